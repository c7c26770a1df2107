package vm

import (
	"runtime"
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
	waiting [levels][]waiter // by how long they have run
	used    chan struct{}    // of one value, or nil
}

type waiter struct {
	number uint64      // in the order of arrival
	ready  *sync.Mutex // locked until it has a processor
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

// take waits for a processor.
func (g *gate) take(ran int64) {
	select {
	case g.used <- struct{}{}:
	default:
	}
	g.mu.Lock()
	if g.free > 0 {
		g.free--
		g.mu.Unlock()
		return
	}
	g.arrived++
	w := waiter{g.arrived, &sync.Mutex{}}
	w.ready.Lock()
	level := levelOf(ran)
	g.waiting[level] = append(g.waiting[level], w)
	g.mu.Unlock()
	w.ready.Lock()
}

// tryTake takes a processor that is free.
func (g *gate) tryTake() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.free == 0 {
		return false
	}
	g.free--
	return true
}

// leave hands the processor on.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	level := g.nextLocked()
	if level < 0 {
		g.free++
		return
	}
	g.granted++
	first := g.waiting[level][0]
	g.waiting[level] = append(g.waiting[level][:0], g.waiting[level][1:]...)
	first.ready.Unlock()
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
