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

	// Allocated is what runs that have ended were charged since the holder of
	// the lock last set it to 0: globals can't have grown by more.
	Allocated int64

	main   *glua.LState
	ledger *Ledger
	turns  *Turns
}

// NewLock returns the lock of a new VM, whose main thread is main. The ledger
// and the turns are shared by all VMs of a tenant; turns may be nil.
func NewLock(main *glua.LState, ledger *Ledger, turns *Turns) *Lock {
	return &Lock{main: main, ledger: ledger, turns: turns}
}

// Ledger is what all runs of a tenant have been charged together: those in
// flight, which has a limit, and how fast, which is slowed down.
type Ledger struct {
	limit int64
	rate  int64 // bytes a second
	used  atomic.Int64
	paid  atomic.Int64 // when, in nanoseconds, the rate will have been kept; 0 is not known
}

// NewLedger allows so many bytes at once, and large runs so many a second; 0 is
// no limit.
func NewLedger(limit, rate int64) *Ledger { return &Ledger{limit: limit, rate: rate} }

// memoryBurst is how many bytes a tenant's large runs may be ahead of the rate.
const memoryBurst = 8 << 20

// pay counts bytes that were allocated, and returns for how many nanoseconds
// whoever did should rest; more than patience is a refusal. A tenant that
// allocates without a break would keep the collector busy, and with it the
// processors and caches of everybody else.
func (l *Ledger) pay(bytes, now int64) (rest int64) {
	if l.rate <= 0 {
		return 0
	}
	worth := func(bytes int64) int64 { return int64(float64(bytes) / float64(l.rate) * 1e9) }
	for {
		paid := l.paid.Load()
		next := now + worth(bytes)
		if paid != 0 {
			next = max(paid, now) + worth(bytes)
		}
		rest = max(0, next-now-worth(memoryBurst))
		if rest > patience { // it is refused, and must not keep others from their turn
			next = max(paid, min(next, now+worth(memoryBurst)+patience/2))
		}
		if l.paid.CompareAndSwap(paid, next) {
			return rest
		}
	}
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
