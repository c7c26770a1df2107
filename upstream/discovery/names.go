package discovery

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

const (
	retryUnresolved = time.Second
	lookupTimeout   = 5 * time.Second
	maxLookups      = 64
	maxAddresses    = 16
)

// Options is what lookups need from outside; all must be set.
type Options struct {
	Context context.Context // ends them all
	Log     zerolog.Logger
	// Lookup resolves a name to its IPv4 and IPv6 addresses.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Start runs a goroutine.
	Start func(func()) bool
	// Recover is deferred around each lookup; it turns a panic into an error.
	Recover func(err *error, what string)
	// Pace returns the time until the next lookup after a good one.
	Pace func() time.Duration
}

// Names keeps the addresses of every name that some target uses, one goroutine
// a name however many targets share it. Requests only ever read the last good
// answer.
type Names struct {
	options Options
	slots   chan struct{} // bounds the lookups that run at the same time

	mu    sync.Mutex
	names map[string]*hostname // guarded by mu
}

// NewNames returns Names that has none yet.
func NewNames(options Options) *Names {
	return &Names{options: options, slots: make(chan struct{}, maxLookups), names: map[string]*hostname{}}
}

// Acquire returns a name as the source of a target. The first one starts the
// lookups, the last one that is closed stops them.
func (n *Names) Acquire(host string) Source {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.names[host]
	if h == nil {
		ctx, cancel := context.WithCancel(n.options.Context)
		h = &hostname{host: host, cancel: cancel, first: make(chan struct{}), told: map[*user]func(error){}}
		n.names[host] = h
		n.options.Start(func() { n.run(ctx, h) })
	}
	h.users++
	return &user{hostname: h, names: n}
}

// user is a name as the source of one target.
type user struct {
	*hostname
	names *Names
}

// Close ends what Acquire began.
func (u *user) Close() {
	u.mu.Lock()
	delete(u.told, u)
	u.mu.Unlock()
	u.names.mu.Lock()
	defer u.names.mu.Unlock()
	if u.users--; u.users > 0 {
		return
	}
	u.cancel()
	if u.names.names[u.host] == u.hostname {
		delete(u.names.names, u.host)
	}
}

// Subscribe implements Source.
func (u *user) Subscribe(tell func(error)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.told[u] = tell
	switch {
	case u.Addresses() != nil:
		tell(nil)
	case u.err != nil:
		tell(u.err)
	}
}

// run resolves the name until ctx ends: each second until there is an answer,
// then at the configured pace.
func (n *Names) run(ctx context.Context, h *hostname) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		answer, err := n.lookup(ctx, h.host)
		if ctx.Err() != nil {
			return
		}
		n.report(h, err)
		h.store(answer, err)
		delay := retryUnresolved
		if h.Addresses() != nil {
			delay = n.options.Pace()
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
func (n *Names) report(h *hostname, err error) {
	failing := err != nil
	if h.Addresses() == nil || h.failing == failing {
		return
	}
	h.failing = failing
	if failing {
		n.options.Log.Warn().Str("host", h.host).Str("error", cause.Text(err)).Msg("requests go on to the last known addresses of a host: its name can't be looked up")
		return
	}
	n.options.Log.Info().Str("host", h.host).Msg("the host's name can be looked up again")
}

func (n *Names) lookup(ctx context.Context, host string) (answer []netip.Addr, err error) {
	select {
	case n.slots <- struct{}{}:
		defer func() { <-n.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer n.options.Recover(&err, "name lookup")
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	found, err := n.options.Lookup(ctx, host)
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
	users   int           // guarded by Names.mu

	last atomic.Pointer[[]netip.Addr]

	// mu is held while users are told, so that they hear things in order. A
	// user's own lock is taken under it, never the other way round.
	mu    sync.Mutex
	told  map[*user]func(error) // guarded by mu
	tried bool                  // guarded by mu
	err   error                 // guarded by mu: of the last lookup
}

// Addresses implements Source.
func (h *hostname) Addresses() []netip.Addr {
	if answer := h.last.Load(); answer != nil {
		return *answer
	}
	return nil
}

// Tried implements Source.
func (h *hostname) Tried() <-chan struct{} { return h.first }

func (h *hostname) store(answer []netip.Addr, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	news := h.Addresses() == nil // users care until they have addresses
	if err == nil {
		h.last.Store(&answer)
	}
	h.err = err
	if news {
		for _, tell := range h.told {
			tell(err)
		}
	}
	if !h.tried {
		h.tried = true
		close(h.first)
	}
}
