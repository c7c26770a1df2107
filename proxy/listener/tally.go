package listener

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

// Tally counts connections and bounds how many are open, of all and of one address.
// Several listeners may share one. Its zero value bounds nothing.
type Tally struct {
	// Most bounds the open connections, OfOne those of one client address; 0 is no
	// bound.
	Most, OfOne int

	open     atomic.Int64
	accepted atomic.Uint64
	refused  atomic.Uint64

	mu         sync.Mutex
	perAddress map[netip.Addr]*joined // guarded by mu
}

// joined is the connections of one address, which each of them keeps until it parts: to
// look an address up costs more than all else about it.
type joined struct {
	address netip.Addr
	open    int // guarded by the tally's mu
}

// Stats returns the number of connections open now, accepted and refused.
func (t *Tally) Stats() (open int64, accepted, refused uint64) {
	return t.open.Load(), t.accepted.Load(), t.refused.Load()
}

// full reports whether there are so many connections as may be; 0 is no bound.
func (t *Tally) full(most int) bool { return most > 0 && t.open.Load() >= int64(most) }

func (t *Tally) enter() {
	t.open.Add(1)
	t.accepted.Add(1)
}

func (t *Tally) leave() { t.open.Add(-1) }

// join counts a connection of an address, unless it has so many already: then it is nil;
// 0 is no bound, and counts, since a bound may come.
func (t *Tally) join(address netip.Addr, most int) *joined {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := t.perAddress[address]
	switch {
	case of != nil && most > 0 && of.open >= most:
		return nil
	case of == nil:
		if t.perAddress == nil {
			t.perAddress = map[netip.Addr]*joined{}
		}
		of = &joined{address: address}
		t.perAddress[address] = of
	}
	of.open++
	return of
}

// part ends what join has begun.
func (t *Tally) part(of *joined) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if of.open--; of.open == 0 {
		delete(t.perAddress, of.address)
	}
}

// addresses returns how many addresses have connections.
func (t *Tally) addresses() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.perAddress)
}
