package redis

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// mostReached bounds the addresses of a store that are known; the oldest make room.
	mostReached = 1 << 12
	// lookUpEvery is the time between two looks at what the configured names mean.
	lookUpEvery = 30 * time.Second
)

// reach is where a store's servers are: what was configured as an address, what the
// configured names mean, and whatever it was tried to connect to.
type reach struct {
	mu    sync.RWMutex
	known map[netip.AddrPort]struct{}
	order []netip.AddrPort
}

func (r *reach) add(at netip.AddrPort) {
	at = plain(at)
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.known[at]; ok {
		return
	}
	if r.known == nil {
		r.known = map[netip.AddrPort]struct{}{}
	}
	if len(r.order) == mostReached {
		delete(r.known, r.order[0])
		r.order = slices.Delete(r.order, 0, 1)
	}
	r.known[at], r.order = struct{}{}, append(r.order, at)
}

// plain is an address in the one form in which addresses are compared.
func plain(at netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
}

// has says whether an address is known, or leads to a known one: those of this machine
// lead to one another.
func (r *reach) has(at netip.AddrPort, local func(netip.Addr) bool) bool {
	at = plain(at)
	r.mu.RLock()
	defer r.mu.RUnlock()
	if _, ok := r.known[at]; ok {
		return true
	}
	return slices.ContainsFunc(r.order, func(known netip.AddrPort) bool {
		return known.Port() == at.Port() && local(known.Addr()) && local(at.Addr())
	})
}

// addLiterals adds what a section has without names.
func (r *reach) addLiterals(c *Config) {
	for _, address := range c.Address {
		if at, err := netip.ParseAddrPort(address); err == nil {
			r.add(at)
		}
	}
}

// control is the ControlContext of the dialler: it sees each address just before the
// connection is made.
func (r *reach) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	if at, err := netip.ParseAddrPort(address); err == nil {
		r.add(at)
	}
	return nil
}

// lookUp adds what the section's names mean, until ctx is done: of several addresses
// only the first that answers is connected to, but all are the store's.
func (r *reach) lookUp(ctx context.Context, c *Config) {
	for {
		names := false
		for _, address := range c.Address {
			host, port, err := net.SplitHostPort(address)
			if err != nil || strings.HasPrefix(address, "unix:") {
				continue
			}
			if _, err := netip.ParseAddr(host); err == nil {
				continue
			}
			names = true
			r.lookUpOne(ctx, host, port)
		}
		if !names {
			return
		}
		select {
		case <-time.After(lookUpEvery):
		case <-ctx.Done():
			return
		}
	}
}

func (r *reach) lookUpOne(ctx context.Context, host, port string) {
	within, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	number, err := net.LookupPort("tcp", port)
	if err != nil {
		return
	}
	found, err := net.DefaultResolver.LookupNetIP(within, "ip", host)
	if err != nil {
		return // what was known of it stays
	}
	for _, addr := range found {
		r.add(netip.AddrPortFrom(addr, uint16(number))) //nolint:gosec // G115: Check has looked
	}
}

// Announce says which store there is to be: what is known of where it is holds at once,
// for what runs before it is used.
func (s *Shared) Announce(config *Config) {
	if config == nil {
		s.announced.Store(nil)
		return
	}
	r := &reach{}
	r.addLiterals(config)
	s.announced.Store(r)
}

// Reaches says whether a connection to an address would reach the store, or one of its
// Sentinels, as far as is known. local says whether an address is of this machine.
func (s *Shared) Reaches(at netip.AddrPort, local func(netip.Addr) bool) bool {
	list := []*reach{s.announced.Load()}
	for _, c := range []*client{s.current.Load(), s.next.Load()} {
		if c != nil {
			list = append(list, c.reach)
		}
	}
	return slices.ContainsFunc(list, func(r *reach) bool { return r != nil && r.has(at, local) })
}
