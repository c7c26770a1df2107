package vm

import (
	"runtime"
	"slices"
	"sync"
)

// processors are those that long runs may have, whoever's they are: however
// many tenants have long runs, one is left for everybody else.
var processors = &gate{free: max(1, runtime.GOMAXPROCS(0)-1), used: make(chan struct{}, 1)}

// LongRuns returns a channel that has a value when a run has been long since the
// last one was received.
func LongRuns() <-chan struct{} { return processors.used }

// gate hands processors to long runs, a rest's distance at a time. Runs that
// have run for less go first, so that a script of some milliseconds doesn't
// wait for all that run until their limit; every second processor goes to
// whoever has waited longest, so that those end too.
type gate struct {
	mu      sync.Mutex
	free    int
	granted uint64
	arrived uint64
	waiting [levels][]*waiter // by how long they have run
	used    chan struct{}     // of one value, or nil
}

type waiter struct {
	number uint64      // in the order of arrival
	over   func() bool // it needs no processor any more
	ready  sync.Mutex  // locked until had is known
	had    bool
}

// levels is how many there are: below 2, 8 and 32 ms of running, and above.
const levels = 4

func levelOf(ran int64) int {
	level, limit := 0, int64(2e6)
	for level < levels-1 && ran >= limit {
		level++
		limit *= 4
	}
	return level
}

// acquire waits for a processor. It returns false if over was true when it would have
// got one.
func (g *gate) acquire(ran int64, over func() bool) bool {
	select {
	case g.used <- struct{}{}:
	default:
	}
	g.mu.Lock()
	if g.free > 0 {
		g.free--
		g.mu.Unlock()
		return true
	}
	g.arrived++
	w := &waiter{number: g.arrived, over: over}
	w.ready.Lock()
	level := levelOf(ran)
	g.waiting[level] = append(g.waiting[level], w)
	g.mu.Unlock()
	w.ready.Lock()
	return w.had
}

// tryAcquire takes a processor that is free.
func (g *gate) tryAcquire() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.free == 0 {
		return false
	}
	g.free--
	return true
}

// release hands the processor on.
func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for {
		level := g.nextLocked()
		if level < 0 {
			g.free++
			return
		}
		first := g.waiting[level][0]
		g.waiting[level] = slices.Delete(g.waiting[level], 0, 1)
		if first.had = !first.over(); first.had {
			g.granted++
		}
		first.ready.Unlock()
		if first.had {
			return
		}
	}
}

// nextLocked says in which level the next one waits; -1 is nobody.
func (g *gate) nextLocked() int {
	next := -1
	for level := range g.waiting {
		switch {
		case len(g.waiting[level]) == 0:
		case next < 0, g.granted%2 == 1 && g.waiting[level][0].number < g.waiting[next][0].number:
			next = level
		}
	}
	return next
}
