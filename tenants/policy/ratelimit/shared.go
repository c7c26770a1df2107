package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// What a limit does when the store doesn't decide.
const (
	onErrorLocal  = "local"
	onErrorOpen   = "open"
	onErrorClosed = "closed"
)

// inStore and inProcess are where a limit counts.
const (
	inStore   = "redis"
	inProcess = "local"
)

var unavailable = &policy.Refusal{Status: 503, Code: "store_unavailable", Message: "the request can't be counted at the moment: try again later"}

var errNoStore = errors.New("store: redis is asked for, and there is none, expected the section store with redis, or store: local")

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
	s := &l.shared
	var failed error
	err = r.Wait(func(ctx context.Context) error {
		if v, failed = s.store.Take(ctx, s.name, key, l.quota); failed != nil {
			return ctx.Err() //nolint:wrapcheck // Wait says why
		}
		return nil
	})
	switch {
	case err != nil:
		return v, nil, err //nolint:wrapcheck // as Waiter demands
	case failed == nil:
		r.Memo.Numbers[memoBy] = byStore
		return v, nil, nil
	}
	switch l.config.OnStoreError {
	case onErrorOpen:
		r.Memo.Numbers[memoBy] = byNobody
		return store.Verdict{Allowed: true}, nil, nil
	case onErrorClosed:
		return v, &policy.Answer{Refusal: unavailable, Cause: fmt.Errorf("on_store_error is closed: %w", failed), Header: message.Header{
			{Name: []byte("Retry-After"), Value: strconv.AppendInt(nil, 1, 10)},
		}}, nil
	}
	r.Memo.Numbers[memoBy] = byProcessInstead
	return v, nil, nil
}
