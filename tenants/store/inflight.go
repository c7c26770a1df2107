package store

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"time"
)

// InFlight counts what is in flight at once, by keys that strangers choose, and has
// more of it wait, in the order in which it came. A key takes memory only while
// something of it is in flight or waits, so that nothing has to be bounded but those
// who wait. It starts no goroutine; all methods may be called at once.
type InFlight struct {
	seeds  [2]maphash.Seed
	shards [shardCount]inFlightShard
}

type inFlightShard struct {
	mu    sync.Mutex
	gates map[identity]*Gate
	spare *Gate // linked by next

	_ [64]byte // keeps shards from sharing a cache line
}

// Gate is what one key has in flight. It belongs to who has entered it, until Leave.
type Gate struct {
	of          identity
	shard       *inFlightShard
	inside      int
	first, last *waiting
	queued      int
	next        *Gate // spare
}

// waiting is one that waits to enter.
type waiting struct {
	entered       chan struct{} // closed when it has
	ahead, behind *waiting
	most          int // in flight, as it knows
	done          bool
}

// ErrInFlight says that as much is in flight as may be, and as much waits as may wait.
var ErrInFlight = errors.New("as much is in flight as may be")

// NewInFlight returns one of nothing.
func NewInFlight() *InFlight {
	f := &InFlight{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
	for i := range f.shards {
		f.shards[i].gates = map[identity]*Gate{}
	}
	return f
}

// Enter enters the gate of a key of the limit of that number, if less than most is
// inside, and nobody waits. Else it returns a Ticket to wait with, if less than queue
// do, or none.
func (f *InFlight) Enter(limit uint64, key []byte, most, queue int) (g *Gate, t *Ticket) {
	id, s := f.at(limit, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	g = s.gates[id]
	if g == nil {
		g = s.open(id)
	}
	if g.inside < most && g.queued == 0 {
		g.inside++
		return g, nil
	}
	if g.queued >= queue {
		return nil, nil
	}
	w := &waiting{entered: make(chan struct{}), most: most, ahead: g.last}
	if g.last == nil {
		g.first = w
	} else {
		g.last.behind = w
	}
	g.last = w
	g.queued++
	return nil, &Ticket{g, w}
}

func (f *InFlight) at(limit uint64, key []byte) (identity, *inFlightShard) {
	id := identity{maphash.Bytes(f.seeds[0], key) ^ spread(limit), maphash.Bytes(f.seeds[1], key) ^ spread(limit+1)}
	return id, &f.shards[id[0]%shardCount]
}

// Any says whether anything of a key is in flight, or waits.
func (f *InFlight) Any(limit uint64, key []byte) bool {
	id, s := f.at(limit, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gates[id] != nil
}

// open returns the gate of an identity that has none.
func (s *inFlightShard) open(id identity) *Gate {
	g := s.spare
	if g == nil {
		g = &Gate{shard: s}
	} else {
		s.spare, g.next = g.next, nil
	}
	g.of = id
	s.gates[id] = g
	return g
}

// Leave is called once by each who has entered. It lets in who has waited for longest.
func (g *Gate) Leave() {
	s := g.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	g.inside--
	g.admit()
	g.close()
}

// admit lets in those who wait, as many as may be inside.
func (g *Gate) admit() {
	for w := g.first; w != nil && g.inside < w.most; w = g.first {
		g.unlink(w)
		w.done = true
		g.inside++
		close(w.entered)
	}
}

// close forgets a gate of nothing. Few are kept for the next.
func (g *Gate) close() {
	if g.inside > 0 || g.queued > 0 {
		return
	}
	s := g.shard
	delete(s.gates, g.of)
	if s.spare == nil || s.spare.next == nil {
		g.next, s.spare = s.spare, g
	}
}

func (g *Gate) unlink(w *waiting) {
	if w.ahead == nil {
		g.first = w.behind
	} else {
		w.ahead.behind = w.behind
	}
	if w.behind == nil {
		g.last = w.ahead
	} else {
		w.behind.ahead = w.ahead
	}
	g.queued--
}

// Ticket is a place in the queue of a gate. It ends with Wait.
type Ticket struct {
	gate *Gate
	w    *waiting
}

// Wait waits until the gate is entered, which is returned then. Otherwise the error is
// that of ctx, or ErrInFlight when the time is over.
func (t *Ticket) Wait(ctx context.Context, longest time.Duration) (*Gate, error) {
	timer := time.NewTimer(longest)
	defer timer.Stop()
	err := ErrInFlight
	select {
	case <-t.w.entered:
		return t.gate, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
	}
	g := t.gate
	g.shard.mu.Lock()
	defer g.shard.mu.Unlock()
	if t.w.done { // meanwhile
		return g, nil
	}
	g.unlink(t.w)
	g.admit() // those behind may know of more than it did
	g.close()
	return nil, err //nolint:wrapcheck // the caller's own
}
