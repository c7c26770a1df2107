package concurrency

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

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
	lines *lines
	line  uint64 // the number of the limit of those who wait
}

// asks says whether the store is asked at all. One that a reload brings or takes away is
// seen at once.
func (s *shared) asks() bool { return s.store != nil && s.store.Configured() }

// together is what one request has entered: a place in the store, if that has decided,
// and, with on_store_error: local, the gate of this gateway, which counts while the store
// is away.
type together struct {
	of    *limit
	key   []byte
	by    int64
	gate  *store.Gate
	place store.Place
}

// leave lets another one in, of this gateway or of another.
func (t *together) leave() {
	if t.gate != nil {
		t.gate.Leave()
	}
	first := t.of.shared.lines.first(t.of.shared.line, t.key)
	tell := func() {
		if first != nil {
			select {
			case first <- struct{}{}:
			default:
			}
		}
	}
	switch {
	case t.place == nil:
		tell()
	case first == nil:
		t.place.Leave(nil)
	default:
		t.place.Leave(tell)
	}
}

var errFull = errors.New("there is no place, and none to wait in")

// unavailable is why the store hasn't decided, where on_store_error is closed.
type unavailable struct{ why error }

func (u unavailable) Error() string { return u.why.Error() }

// judgeTogether is Judge where gateways count together.
func (l *limit) judgeTogether(r *policy.Request, key []byte) (*policy.Answer, error) {
	began := time.Now()
	err := r.Wait(func(ctx context.Context) error {
		entered, waited, err := l.enter(ctx, key)
		if err != nil {
			return err
		}
		r.Memo.Value, r.Memo.Numbers[memoBy] = entered, entered.by
		if waited {
			r.Memo.Numbers[memoWaited] = int64(time.Since(began))
		}
		return nil
	})
	var failed unavailable
	switch {
	case err == nil:
		return nil, nil
	case errors.Is(err, errFull):
		return l.refuse(r), nil
	case errors.Is(err, store.ErrInFlight):
		return l.refuseLate(r), nil
	case errors.As(err, &failed):
		return policy.Unavailable(failed.why), nil
	}
	return nil, err //nolint:wrapcheck // as Waiter demands
}

// How long who is first in a line waits before it asks the store again. It does so at
// once when a request of this gateway ends.
const (
	leastPause = 10 * time.Millisecond
	mostPause  = 100 * time.Millisecond
)

// enter enters, perhaps after a while. Those who wait here are in one line, whose first
// alone asks the store.
func (l *limit) enter(ctx context.Context, key []byte) (t *together, waited bool, err error) {
	if !l.inFlight.Any(l.shared.line, key) {
		if t, err = l.try(ctx, key); t != nil || err != nil {
			return t, false, err
		}
	}
	if l.config.Queue == 0 {
		return nil, false, errFull
	}
	ctx, cancel := context.WithTimeoutCause(ctx, l.config.QueueTimeout.Std(), store.ErrInFlight)
	defer cancel()
	gate, ticket := l.inFlight.Enter(l.shared.line, key, 1, l.config.Queue-1)
	if ticket != nil {
		if gate, err = ticket.Wait(ctx, l.config.QueueTimeout.Std()); ctx.Err() != nil && err != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return nil, true, err //nolint:wrapcheck // as Waiter demands
		}
	}
	if gate == nil {
		return nil, false, errFull
	}
	defer gate.Leave()
	t, err = l.waitFirst(ctx, key)
	return t, true, err
}

// waitFirst waits for a place as the first of a line.
func (l *limit) waitFirst(ctx context.Context, key []byte) (*together, error) {
	free := l.shared.lines.begin(l.shared.line, key)
	defer l.shared.lines.end(l.shared.line, key)
	for pause := leastPause; ; pause = min(2*pause, mostPause) {
		if t, err := l.try(ctx, key); t != nil || err != nil {
			return t, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-free:
			pause = leastPause
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx) //nolint:wrapcheck // as Waiter demands
		}
	}
}

// try enters if there is a place now, else t is nil.
func (l *limit) try(ctx context.Context, key []byte) (t *together, err error) {
	t = &together{of: l, key: key, by: byStore}
	if l.config.OnStoreError == policy.OnErrorLocal {
		if t.gate, _ = l.inFlight.Enter(l.number, key, l.config.Max, 0); t.gate == nil {
			return nil, nil // this gateway alone has as many
		}
	}
	t.place, err = l.shared.store.Enter(ctx, l.shared.name, key, l.config.Max)
	switch {
	case err == nil && t.place != nil:
		return t, nil
	case err != nil && ctx.Err() == nil && l.config.OnStoreError == policy.OnErrorLocal:
		t.by = byProcessInstead
		return t, nil
	case err != nil && ctx.Err() == nil && l.config.OnStoreError == policy.OnErrorOpen:
		t.by = byNobody
		return t, nil
	}
	if t.gate != nil {
		t.gate.Leave()
	}
	switch {
	case err == nil:
		return nil, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx) //nolint:wrapcheck // as Waiter demands
	}
	return nil, unavailable{err}
}

// lines are who is first in each line.
type lines struct {
	waiting atomic.Int64
	mu      sync.Mutex
	firsts  map[lineOf]chan struct{}
}

type lineOf struct {
	number uint64
	key    string
}

// begin returns what is sent to when there may be a place.
func (l *lines) begin(number uint64, key []byte) <-chan struct{} {
	free := make(chan struct{}, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.firsts == nil {
		l.firsts = map[lineOf]chan struct{}{}
	}
	l.firsts[lineOf{number, string(key)}] = free
	l.waiting.Add(1)
	return free
}

func (l *lines) end(number uint64, key []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.firsts, lineOf{number, string(key)})
	l.waiting.Add(-1)
}

// first returns that of a line, or nil.
func (l *lines) first(number uint64, key []byte) chan<- struct{} {
	if l.waiting.Load() == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.firsts[lineOf{number, string(key)}]
}
