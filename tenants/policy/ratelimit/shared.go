package ratelimit

import (
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// Who has decided, in a memo.
const (
	byProcess = iota
	byStore
	byProcessInstead // the store hasn't
	byNobody         // on_store_error: open
)

// shared is where a limit counts together with other gateways.
type shared struct {
	store store.Shared
	name  string // of the limit there
}

// asks says whether the store is asked at all. One that a reload brings or takes away is
// seen at once.
func (s *shared) asks() bool { return s.store != nil && s.store.Configured() }

// take asks the store, and if that can't say does as on_store_error says.
func (l *limit) take(r *policy.Request, key []byte) (v store.Verdict, answer *policy.Answer, err error) {
	v, failed, err := r.TakeShared(l.shared.store, l.shared.name, key, l.quota)
	switch {
	case err != nil:
		return v, nil, err //nolint:wrapcheck // as Waiter demands
	case failed == nil:
		r.Memo.Numbers[memoBy] = byStore
		return v, nil, nil
	}
	switch l.config.OnStoreError {
	case policy.OnErrorOpen:
		r.Memo.Numbers[memoBy] = byNobody
		return store.Verdict{Allowed: true}, nil, nil
	case policy.OnErrorClosed:
		return v, policy.Unavailable(failed), nil
	}
	r.Memo.Numbers[memoBy] = byProcessInstead
	return v, nil, nil
}
