package concurrency

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// inFlight is what all policies of a tenant count.
type inFlight struct {
	*store.InFlight
	lines lines
}

// New builds the policy. Requests that are in progress at a reload are counted on, as
// long as by and the place in the list stay the same.
func (c *Config) New(deps policy.Deps) (policy.Policy, error) {
	kept := policy.Keep(deps.Kept.Tenant, func() *inFlight { return &inFlight{InFlight: store.NewInFlight()} })
	by := c.By
	if by == nil {
		by = []string{"tenant"}
	}
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, deps.Place, " ", strings.Join(by, " "))
	l := &limit{config: c, inFlight: kept.InFlight, key: policy.ParseKey(by), number: h.Sum64()}
	_, _ = h.Write([]byte(" waits"))
	l.shared = shared{name: "concurrency:" + strconv.FormatUint(l.number, 36), lines: &kept.lines, line: h.Sum64()}
	var err error
	l.shared.store, err = deps.SharedBy(c.Store)
	return l, err
}

// limit is the policy.
type limit struct {
	config   *Config
	inFlight *store.InFlight
	key      policy.Key
	number   uint64
	shared   shared
}

// What a memo's numbers are.
const (
	memoWaited = iota // nanoseconds
	memoBy            // who has decided
)

// Judge lets a request pass while there are few enough, perhaps after a while. What
// it has entered is in the memo.
func (l *limit) Judge(r *policy.Request) (*policy.Answer, error) {
	key := r.Append(func(dst []byte) []byte { return l.key.Append(dst, r) })
	if l.shared.asks() {
		return l.judgeTogether(r, key)
	}
	gate, ticket := l.inFlight.Enter(l.number, key, l.config.Max, l.config.Queue)
	if gate != nil {
		r.Memo.Value = gate
		return nil, nil
	}
	if ticket == nil {
		return l.refuse(r), nil
	}
	return l.wait(r, ticket)
}

// refuse answers who finds no place, and none in the queue.
func (l *limit) refuse(r *policy.Request) *policy.Answer {
	cause := fmt.Errorf("max (%d) requests of %s are in progress", l.config.Max, l.key.Describe(r))
	if l.config.Queue > 0 {
		cause = fmt.Errorf("%w, and queue (%d) more wait", cause, l.config.Queue)
	}
	return refuse(cause)
}

// refuseLate answers who has waited in vain.
func (l *limit) refuseLate(r *policy.Request) *policy.Answer {
	return refuse(fmt.Errorf("max (%d) requests of %s were in progress for all of queue_timeout (%s)", l.config.Max, l.key.Describe(r), l.config.QueueTimeout))
}

// wait waits until the request is let in, its time is over, or its client has gone.
func (l *limit) wait(r *policy.Request, ticket *store.Ticket) (*policy.Answer, error) {
	began := time.Now()
	err := r.Wait(func(ctx context.Context) error {
		gate, err := ticket.Wait(ctx, l.config.QueueTimeout.Std())
		if err == nil {
			r.Memo.Value, r.Memo.Numbers[memoWaited] = gate, int64(time.Since(began))
		}
		return err //nolint:wrapcheck // Wait returns it as it is
	})
	if errors.Is(err, store.ErrInFlight) {
		return l.refuseLate(r), nil
	}
	return nil, err //nolint:wrapcheck // as Waiter demands
}

func refuse(cause error) *policy.Answer {
	return &policy.Answer{Refusal: full, Cause: cause, Header: message.Header{{Name: []byte("Retry-After"), Value: []byte("1")}}}
}

// Done lets the next one in.
func (l *limit) Done(r *policy.Request) {
	switch entered := r.Memo.Value.(type) {
	case *store.Gate:
		entered.Leave()
	case *together:
		entered.leave()
	}
}

// Explain is policy.Explainer's.
func (l *limit) Explain(r *policy.Request) string {
	if r.Memo.Numbers[memoBy] == byNobody {
		return "the store has not decided, and on_store_error is " + l.config.OnStoreError
	}
	where := [...]string{byProcess: "", byStore: ", in the store", byProcessInstead: ", of this gateway alone, since the store has not decided"}[r.Memo.Numbers[memoBy]]
	if waited := time.Duration(r.Memo.Numbers[memoWaited]); waited > 0 {
		return fmt.Sprintf("fewer than %d requests of %s are in progress after %v"+where, l.config.Max, l.key.Describe(r), waited.Round(time.Millisecond))
	}
	return fmt.Sprintf("fewer than %d requests of %s were in progress"+where, l.config.Max, l.key.Describe(r))
}
