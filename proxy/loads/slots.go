package loads

import (
	"context"
	"sync"
)

// slots bounds how many tenants load their scripts at once: those that run,
// and, much more generously, those that wait for something. So one tenant's wait
// is not another's. Those that have run for long make way for those that have
// not.
type slots struct {
	running, begun int // at most

	mu      sync.Mutex
	free    sync.Cond // some may have become free
	runs    int       // guarded by mu, as are those below
	all     int
	waiting [slotLevels]int // for a slot, by how much they have run
}

// slotLevels is how many classes of loads there are: each has run for some times
// as long as the one before it, which goes first.
const slotLevels = 8

// maxBegun bounds the loads that are under way, and so the memory that they
// take together.
const maxBegun = 512

func newSlots(running int) *slots {
	p := &slots{running: running, begun: maxBegun}
	p.free.L = &p.mu
	return p
}

// slot is what one load has. Its methods may be called at any time, also after
// release: a load that was given up goes on for a while.
type slot struct {
	of   *slots
	idle bool // guarded by of.mu, as is over
	over bool
}

// acquire waits for a slot.
func (p *slots) acquire() *slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting[0]++
	for p.runs >= p.running || p.all >= p.begun {
		p.free.Wait()
	}
	p.waiting[0]--
	p.runs++
	p.all++
	return &slot{of: p}
}

// release gives the slot back, whatever it is used for.
func (l *slot) release() {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	if !l.idle {
		l.of.runs--
	}
	l.over = true
	l.of.all--
	l.of.free.Broadcast()
}

// wait gives the slot to others until the function that it returns is called.
// That one waits for nobody: what has waited is nearly done.
func (l *slot) wait() (end func()) {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	l.turnLocked(true)
	return func() {
		l.of.mu.Lock()
		defer l.of.mu.Unlock()
		l.turnLocked(false)
	}
}

// yield gives the slot to loads that have run for less, and waits for one until
// ctx is done.
func (l *slot) yield(ctx context.Context, level int) {
	p := l.of
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.free.Broadcast()
	})
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.over || l.idle {
		return
	}
	level = min(level, slotLevels-1)
	l.turnLocked(true)
	p.waiting[level]++
	for ctx.Err() == nil && !l.over && (p.runs >= p.running || p.beforeLocked(level)) {
		p.free.Wait()
	}
	p.waiting[level]--
	l.turnLocked(false)
}

// beforeLocked reports whether others go first.
func (p *slots) beforeLocked(level int) bool {
	first := 0
	if p.all >= p.begun {
		first = 1 // no other is begun
	}
	for _, waiting := range p.waiting[first:level] {
		if waiting > 0 {
			return true
		}
	}
	return false
}

func (l *slot) turnLocked(idle bool) {
	if l.over || l.idle == idle {
		return
	}
	if l.idle = idle; idle {
		l.of.runs--
	} else {
		l.of.runs++
	}
	l.of.free.Broadcast()
}
