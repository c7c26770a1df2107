package vm

import (
	"sync"
	"sync/atomic"
	"time"

	glua "github.com/yuin/gopher-lua"
)

// Lock is the lock of one VM. It is held while Lua instructions run and while
// Lua values are touched, and never while anything is waited for.
type Lock struct {
	mu      sync.Mutex
	waiting atomic.Int32

	// allocated is what runs that have ended were charged since the VM was last
	// measured: globals can't have grown by more. total is since it was made.
	allocated, total atomic.Int64
	retired          atomic.Pointer[Exhausted] // why its runs end, if they do

	slice   int64 // of its runs, by the largest value
	largest int64 // bytes of the largest value that it was given since it was measured

	main      *glua.LState
	ledger    *Ledger
	turns     *Turns
	functions *Functions // of the programs that are loaded
	sealed    bool       // libraries can't be added to any more
}

// NewLock returns the lock of a new VM, whose main thread is main. The ledger
// and the turns are shared by all VMs of a tenant; turns may be nil.
func NewLock(main *glua.LState, ledger *Ledger, turns *Turns) *Lock {
	return &Lock{main: main, ledger: ledger, turns: turns, slice: slice}
}

// Lock waits for the VM.
func (l *Lock) Lock() {
	if l.mu.TryLock() {
		return
	}
	l.waiting.Add(1)
	l.mu.Lock()
	l.waiting.Add(-1)
}

// Allocated returns what runs that have ended were charged since the VM was
// last measured. The lock need not be held.
func (l *Lock) Allocated() int64 { return l.allocated.Load() }

// Total returns what runs that have ended were charged since the VM was made.
// The lock need not be held.
func (l *Lock) Total() int64 { return l.total.Load() }

// Count counts bytes that were allocated for scripts, who may keep them, and
// that no run was charged.
func (l *Lock) Count(bytes int64) {
	l.allocated.Add(bytes)
	l.total.Add(bytes)
}

// Measured says that what the VM holds has just been counted, and how large,
// in bytes, the largest value is. The lock is held.
func (l *Lock) Measured(largest int64) {
	l.allocated.Store(0)
	l.largest, l.slice = 0, slice
	l.noteLargest(largest)
}

// Seal makes tables that scripts could add to read-only. The lock is held.
func (l *Lock) Seal() { l.sealed = true }

// Retire ends the VM's runs, each before its next instruction: the VM is about
// to be emptied. The lock need not be held.
func (l *Lock) Retire(reason Reason, words string) {
	l.retired.CompareAndSwap(nil, &Exhausted{Reason: reason, Limit: words})
}

// Retired reports whether the VM's runs have been ended.
func (l *Lock) Retired() bool { return l.retired.Load() != nil }

// TryLock takes the VM if nobody has it.
func (l *Lock) TryLock() bool { return l.mu.TryLock() }

// Unlock gives the VM to others.
func (l *Lock) Unlock() { l.mu.Unlock() }

// Waiting returns how many wait for the VM.
func (l *Lock) Waiting() int { return int(l.waiting.Load()) }

// takeTurn waits for a while until few enough runs of the tenant are long. It
// reports whether it came to that.
func (l *Lock) takeTurn() bool {
	t := l.turns
	select {
	case t.slots <- struct{}{}:
		return true
	default:
	}
	if t.waiting.Add(1) > t.most {
		t.waiting.Add(-1)
		return false
	}
	had := false
	l.pass(func() {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case t.slots <- struct{}{}:
			had = true
		case <-timer.C:
		}
	})
	t.waiting.Add(-1)
	return had
}

// pass gives the VM away in the middle of a run, while f runs.
func (l *Lock) pass(f func()) {
	thread := l.main.G.CurrentThread
	l.Unlock()
	f()
	l.Lock()
	l.main.G.CurrentThread = thread
}

// takeWithProcessor is Lock for a long run, which needs a processor too. It
// holds neither while it waits for the other: the VM is for the tenant's other
// requests, and the processor for the long runs of others. A run that is over by
// then gets the VM alone.
func (l *Lock) takeWithProcessor(r *Run) (processor bool) {
	for {
		if !processors.acquire(r.ran, r.over) {
			l.Lock()
			return false
		}
		if l.TryLock() {
			return true
		}
		processors.release()
		l.Lock()
		if processors.tryAcquire() {
			return true
		}
		l.Unlock()
	}
}

// Turns bounds how many of a tenant's runs may be long at once, so that
// processors are left for everybody else.
type Turns struct {
	slots   chan struct{}
	waiting atomic.Int64
	most    int64
}

// NewTurns allows n long runs at once, and lets at most waiting wait for that.
func NewTurns(n, waiting int) *Turns {
	return &Turns{slots: make(chan struct{}, n), most: int64(waiting)}
}

func (t *Turns) release() { <-t.slots }
