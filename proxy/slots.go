package proxy

import "sync"

// slots bounds how many tenants load their scripts at once: those that run,
// and, much more generously, those that wait for something. So one tenant's wait
// is not another's.
type slots struct {
	running, begun int // at most

	mu   sync.Mutex
	free sync.Cond // some may have become free
	runs int       // guarded by mu, as are those below
	all  int
}

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
	of      *slots
	waiting bool // guarded by of.mu, as is over
	over    bool
}

// acquire waits for a slot.
func (p *slots) acquire() *slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.runs >= p.running || p.all >= p.begun {
		p.free.Wait()
	}
	p.runs++
	p.all++
	return &slot{of: p}
}

// release gives the slot back, whatever it is used for.
func (l *slot) release() {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	if !l.waiting {
		l.of.runs--
	}
	l.over = true
	l.of.all--
	l.of.free.Broadcast()
}

// wait gives the slot to others until the function that it returns is called.
// That one waits for nobody: what has waited is nearly done.
func (l *slot) wait() (end func()) {
	l.turn(true)
	return func() { l.turn(false) }
}

func (l *slot) turn(waiting bool) {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	if l.over || l.waiting == waiting {
		return
	}
	if l.waiting = waiting; waiting {
		l.of.runs--
	} else {
		l.of.runs++
	}
	l.of.free.Broadcast()
}
