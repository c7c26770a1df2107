package upstream

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

const (
	defaultResolveEvery = 30 * time.Second
	retryUnresolved     = time.Second
	lookupTimeout       = 5 * time.Second
	maxLookups          = 64
	maxAddresses        = 16
)

// resolver keeps the addresses of every name that some target uses, one
// goroutine a name however many targets share it. Requests only ever read the
// last good answer.
type resolver struct {
	registry *Registry
	slots    chan struct{} // bounds the lookups that run at the same time

	mu    sync.Mutex
	names map[string]*hostname // guarded by mu
}

func newResolver(r *Registry) *resolver {
	return &resolver{registry: r, slots: make(chan struct{}, maxLookups), names: map[string]*hostname{}}
}

// acquire makes t a user of the name and tells it what is known so far. The
// first user starts the lookups.
func (r *resolver) acquire(host string, t *Target) *hostname {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.names[host]
	if h == nil {
		ctx, cancel := context.WithCancel(r.registry.ctx)
		h = &hostname{host: host, cancel: cancel, first: make(chan struct{}), users: map[*Target]struct{}{}}
		r.names[host] = h
		r.registry.goroutines.start(func() { r.run(ctx, h) })
	}
	h.join(t)
	return h
}

// release ends what acquire began. The last user stops the lookups.
func (r *resolver) release(h *hostname, t *Target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h.leave(t) > 0 {
		return
	}
	h.cancel()
	if r.names[h.host] == h {
		delete(r.names, h.host)
	}
}

// run resolves the name until ctx ends: each second until there is an answer,
// then at the configured pace.
func (r *resolver) run(ctx context.Context, h *hostname) {
	timer := newTimer()
	defer timer.Stop()
	for {
		answer, err := r.lookup(ctx, h.host)
		if ctx.Err() != nil {
			return
		}
		r.report(h, err)
		h.store(answer, err)
		delay := retryUnresolved
		if h.addresses() != nil {
			delay = jitter(r.registry.options.ResolveEvery, r.registry.options.Rand())
		}
		timer.Reset(delay)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
	}
}

// report logs the first failure of a row and its end. What a failure means for
// the targets that have no address yet is logged by them.
func (r *resolver) report(h *hostname, err error) {
	failing := err != nil
	if h.addresses() == nil || h.failing == failing {
		return
	}
	h.failing = failing
	if failing {
		r.registry.options.Log.Warn().Str("host", h.host).Str("error", cause.Text(err)).Msg("name lookup failed, keeping the last good answer")
		return
	}
	r.registry.options.Log.Info().Str("host", h.host).Msg("name lookup works again")
}

func (r *resolver) lookup(ctx context.Context, host string) (answer []netip.Addr, err error) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer r.registry.recoverInto(&err, "name lookup")
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	found, err := r.registry.options.Lookup(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("cannot resolve %q: %w", host, err)
	}
	for _, ip := range found {
		if ip = ip.Unmap(); ip.IsValid() && len(answer) < maxAddresses && !slices.Contains(answer, ip) {
			answer = append(answer, ip)
		}
	}
	if answer == nil {
		return nil, fmt.Errorf("cannot resolve %q: the answer has no address, expected A or AAAA records", host)
	}
	return answer, nil
}

// hostname is one name and its last good answer.
type hostname struct {
	host    string
	cancel  context.CancelFunc
	first   chan struct{} // closed after the first lookup, whatever came of it
	failing bool          // used by the goroutine of run only

	last atomic.Pointer[[]netip.Addr]

	// mu is held while users are told, so that they hear things in order. A
	// user's own lock is taken under it, never the other way round.
	mu    sync.Mutex
	users map[*Target]struct{} // guarded by mu
	tried bool                 // guarded by mu
	err   error                // guarded by mu: of the last lookup
}

// addresses returns the last good answer, which nobody may change, or nil while
// there is none.
func (h *hostname) addresses() []netip.Addr {
	if answer := h.last.Load(); answer != nil {
		return *answer
	}
	return nil
}

func (h *hostname) store(answer []netip.Addr, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	news := h.addresses() == nil // users care until they have addresses
	if err == nil {
		h.last.Store(&answer)
	}
	h.err = err
	if news {
		for t := range h.users {
			t.observe(outcome{kind: resolved, err: err})
		}
	}
	if !h.tried {
		h.tried = true
		close(h.first)
	}
}

func (h *hostname) join(t *Target) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.users[t] = struct{}{}
	switch {
	case h.addresses() != nil:
		t.observe(outcome{kind: resolved})
	case h.err != nil:
		t.observe(outcome{kind: resolved, err: h.err})
	}
}

func (h *hostname) leave(t *Target) (left int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.users, t)
	return len(h.users)
}
