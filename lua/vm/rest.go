package vm

import (
	"fmt"
	"runtime"
	"time"
)

// A run that goes on for longer than longRun needs a turn, and rests for a
// while now and then: goroutines that are always ready keep the scheduler from
// looking at the network, so that everybody else's requests would wait.
const (
	longRun   = 200e3 // nanoseconds of running
	restAfter = 100e3 // nanoseconds of running; the rest is as long. A thread that runs for longer is in the way of others on its processor
	maxRest   = 20e6
	patience  = 1e9 // nanoseconds that a run waits at most, for its turn and for each rest

	// A run that has been charged so many bytes since its last rest is long
	// too, and rests for as long as the tenant is ahead of its rate.
	largeRun = 1 << 20
)

// share lets others run: those who wait for the VM and, from long runs,
// everybody else.
func (r *Run) share() {
	if loader := r.limits.Loader; loader != nil {
		if wait := loader.Pace(time.Duration(r.ran), r.memory); wait != nil {
			r.yield(wait)
		}
	}
	large := r.large()
	switch {
	case (large || r.ran > longRun) && !r.long && r.lock.turns != nil:
		if r.long = r.lock.takeTurn(); !r.long {
			r.exhaust(OutOfTurns, "too many requests of the tenant run scripts for long")
			return
		}
		r.yield(runtime.Gosched)
		r.hurry() // to the rest that is due
	case r.long && (large || r.ran-r.worked > restAfter):
		rest := r.lock.ledger.pay(r.memory-r.rested, r.since)
		if rest > patience {
			r.rested = r.memory
			r.exhaust(OutOfMemoryRate, fmt.Sprintf("lua.max_memory_rate %s is used up by the tenant's requests", size(r.lock.ledger.rate)))
			return
		}
		rest = max(rest, min(r.ran-r.worked, maxRest))
		r.yield(func() { nap(time.Duration(rest)) })
		r.worked, r.rested = r.ran, r.memory
	case r.lock.waiting.Load() > 0:
		r.yield(runtime.Gosched)
	}
}

// yield gives the VM, and the processor of a long run, away while f runs. Loads
// need none: there are few at a time.
func (r *Run) yield(f func()) {
	if !r.long || r.limits.Loader != nil {
		r.lock.pass(f)
	} else {
		r.releaseProcessor()
		thread := r.lock.main.G.CurrentThread
		r.lock.Unlock()
		f()
		r.processor = r.lock.takeWithProcessor(r)
		r.lock.main.G.CurrentThread = thread
	}
	r.resume()
}

// releaseProcessor lets another long run go on.
func (r *Run) releaseProcessor() {
	if r.processor {
		r.processor = false
		processors.release()
	}
}

// large reports whether the run has been charged so much since its last rest
// that it must rest for that.
func (r *Run) large() bool {
	return r.memory-r.rested > largeRun && r.lock.ledger.rate > 0 && r.lock.turns != nil
}

// hurry has slow called at the next instruction.
func (r *Run) hurry() {
	if r.fuse > 0 {
		r.left += r.fuse
		r.fuse = 0
	}
}
