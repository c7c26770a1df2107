package vm

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"time"

	glua "github.com/yuin/gopher-lua"
)

// Limits bound one run. Zero values are no limit, but for Instructions.
type Limits struct {
	Instructions int64         // VM instructions, and what Go functions Spend
	Memory       int64         // bytes that are Charged
	String       int64         // bytes of one string
	Timeout      time.Duration // wall time while Lua runs, waiting excluded
	TotalTimeout time.Duration // wall time from Begin to End
	Coroutines   int           // alive or dead, made in this run
	Loader       Loader        // of a run that loads scripts
}

// Loader is told by a run that loads scripts what it takes, since nobody has
// asked for a load yet who could be refused.
type Loader interface {
	// Lend counts bytes that the run is about to allocate; if it may not have them,
	// it says why, and the run ends. The lock is held.
	Lend(bytes int64) *Exhausted
	// Pace is told now and then what the run has used. What it returns, if not
	// nil, is called without the lock: it waits while others are to run first.
	Pace(ran time.Duration, charged int64) (wait func())
}

// Reason says which limit ended a run.
type Reason string

// The reasons.
const (
	OutOfInstructions Reason = "instructions"
	OutOfTime         Reason = "timeout"
	OutOfTotalTime    Reason = "total_timeout"
	OutOfMemory       Reason = "memory"
	OutOfVMMemory     Reason = "vm_memory"
	OutOfMemoryRate   Reason = "memory_rate"
	OutOfTurns        Reason = "turns" // waited in vain for other long runs
	Shed              Reason = "shed"  // the VM was dropped
	Cancelled         Reason = "cancelled"
)

// Exhausted is why a run was ended. A script can't catch it: pcall and
// coroutine.resume raise it again.
type Exhausted struct {
	Reason Reason
	Limit  string // words for the log: the setting and its value
}

func (e *Exhausted) Error() string { return e.Limit }

// ErrCancelled ends a run whose request is over.
var ErrCancelled = errors.New("the request was cancelled")

// Run is one use of a VM: a request, or the loading of scripts. It is the
// context of every Lua thread that takes part, because gopher-lua asks its
// context before each instruction: that is how instructions are counted.
//
// All methods must be called with the lock held, by the goroutine that runs
// Lua, but for Context.
type Run struct {
	fuse   int64 // instructions until slow is called; negative once exhausted
	left   int64 // instructions after the fuse
	slice  int64 // how many instructions the fuse is for, at most
	lock   *Lock
	limits Limits

	exhausted  *Exhausted
	memory     int64 // charged so far
	coroutines []*glua.LState
	ran        int64 // nanoseconds until since
	since      int64 // when the clock was looked at last; 0 is not since it began or paused
	largest    int64 // bytes of the largest value that it was charged for
	worked     int64 // ran at the end of the last rest
	rested     int64 // memory at the end of the last rest
	depth      int   // bytes of the deepest Go stack that has been charged
	stack      int   // slots of the largest stack that has been charged
	began      int64 // when the run was first looked at; 0 is not yet
	long       bool  // holds a turn of the lock's long runs
	processor  bool  // of the long runs', is held

	ctx    context.Context
	cancel context.CancelFunc
	parent context.Context
	ends   context.Context // that it ends with; nil is none

	// Owner is the value of whoever began the run.
	Owner any
}

// RunOf returns the run that a thread takes part in. Every script runs in one.
func RunOf(L *glua.LState) *Run {
	r, ok := L.Context().(*Run)
	if !ok {
		panic("BUG: Lua runs outside of a Run")
	}
	return r
}

// VM returns the lock of the VM that the run uses.
func (r *Run) VM() *Lock { return r.lock }

// Begin arms the run; the lock is held. The end of parent ends what blocks.
func (r *Run) Begin(parent context.Context, lock *Lock, limits *Limits) {
	owner := r.Owner
	*r = Run{lock: lock, limits: *limits, parent: parent, Owner: owner}
	r.left = limits.Instructions
	if r.slice = lock.slice; r.slice < slice {
		r.since = nanotime() // even the first instructions may take long
	}
	r.arm()
	r.retire()
}

// EndWith has the run end when ctx does, before one of its next instructions too and
// not only where it waits: nobody waits for what it makes. It is called after Begin.
func (r *Run) EndWith(ctx context.Context) { r.ends = ctx }

// End gives back what the run holds; the lock is held.
func (r *Run) End() {
	if r.cancel != nil {
		r.cancel()
		r.cancel, r.ctx = nil, nil
	}
	for _, coroutine := range r.coroutines {
		Discard(coroutine)
		*coroutine = glua.LState{Dead: true, G: coroutine.G} // its stack goes, whoever still holds it
	}
	r.coroutines = nil
	if r.large() {
		r.lock.ledger.pay(r.memory-r.rested, nanotime()) // others will rest for it
	}
	r.lock.ledger.used.Add(-r.memory)
	r.lock.allocated.Add(r.memory)
	r.lock.total.Add(r.memory)
	r.short()
}

// short ends the time of a long run: it waits for something, or is over.
func (r *Run) short() {
	r.releaseProcessor()
	if r.long {
		r.long = false
		r.lock.turns.release()
	}
}

func (r *Run) arm() {
	r.fuse = min(r.left, r.slice-1) // one more has burnt it down
	r.left -= r.fuse
}

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Done is called before each instruction.
func (r *Run) Done() <-chan struct{} {
	r.fuse--
	if r.fuse >= 0 {
		return nil
	}
	return r.slow()
}

// Err is part of context.Context.
func (r *Run) Err() error {
	if r.exhausted == nil {
		return nil
	}
	return r.exhausted
}

// Deadline is part of context.Context; blocking functions use Context's.
func (r *Run) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value is part of context.Context.
func (r *Run) Value(any) any { return nil }

// slow is called when the fuse has burnt down: fuse is negative, by how much
// has been used beyond it.
func (r *Run) slow() <-chan struct{} {
	if r.exhausted != nil {
		r.fuse = -1
		return closed
	}
	if r.left += r.fuse; r.left < 0 {
		r.exhaust(OutOfInstructions, fmt.Sprintf("lua.max_instructions %d is used up", r.limits.Instructions))
		return closed
	}
	now := nanotime()
	if r.began == 0 {
		r.began = now
	}
	took := int64(0)
	if r.since != 0 {
		took = now - r.since
	}
	r.ran += took
	r.since = now
	if r.ends != nil && r.ends.Err() != nil {
		r.exhaust(Cancelled, ErrCancelled.Error())
	}
	if !r.inTime(now) {
		return closed
	}
	r.adapt(took)
	r.arm()
	r.share()
	r.retire()
	if r.exhausted != nil {
		return closed
	}
	return nil
}

// retire ends the run if its VM's have been ended.
func (r *Run) retire() {
	if why := r.lock.retired.Load(); why != nil {
		r.exhaust(why.Reason, why.Limit)
	}
}

// over reports whether the run will end when it goes on. It may be called while its
// goroutine waits.
func (r *Run) over() bool {
	return r.lock.retired.Load() != nil || r.limits.TotalTimeout > 0 && nanotime()-r.began > int64(r.limits.TotalTimeout)
}

// inTime reports whether there is time left.
func (r *Run) inTime(now int64) bool {
	switch {
	case r.limits.Timeout > 0 && r.ran > int64(r.limits.Timeout):
		r.exhaust(OutOfTime, fmt.Sprintf("lua.timeout %v is used up", r.limits.Timeout))
	case r.limits.TotalTimeout > 0 && now-r.began > int64(r.limits.TotalTimeout):
		r.exhaust(OutOfTotalTime, fmt.Sprintf("lua.total_timeout %v is used up", r.limits.TotalTimeout))
	}
	return r.exhausted == nil
}

func (r *Run) exhaust(reason Reason, words string) {
	if r.exhausted == nil {
		r.exhausted = &Exhausted{Reason: reason, Limit: words}
		if owner, ok := r.Owner.(Blamer); ok {
			owner.Exhausted()
		}
	}
	r.fuse = -1
}

// Blamer is an Owner that wants to know what was running when the budget was
// exhausted.
type Blamer interface{ Exhausted() }

// Exhausted returns why the run has been ended, or nil.
func (r *Run) Exhausted() *Exhausted { return r.exhausted }

// Rethrow raises the error of an exhausted run again. Whatever catches errors
// for a script calls it.
func (r *Run) Rethrow(L *glua.LState) {
	if r.exhausted != nil {
		L.RaiseError("%s", r.exhausted.Limit)
	}
}

// Fail ends the run for a reason of the caller's and raises it.
func (r *Run) Fail(L *glua.LState, reason Reason, words string) {
	r.exhaust(reason, words)
	L.RaiseError("%s", words)
}

// AddCoroutine takes a coroutine into the run, whose end it will not survive,
// or raises an error if there are too many. L is the thread that makes it.
func (r *Run) AddCoroutine(L, coroutine *glua.LState) {
	if len(r.coroutines) >= r.limits.Coroutines {
		L.RaiseError("too many coroutines: lua.max_coroutines is %d", r.limits.Coroutines)
	}
	r.coroutines = append(r.coroutines, coroutine)
}

// Block runs f without the lock, so that others can use the VM meanwhile. f
// must not touch L or any Lua value. L is the thread that called the function.
// When Block returns, what f waited for has happened, or its context, which is
// Context's, is done; then Block raises an error that ends the run.
func (r *Run) Block(L *glua.LState, f func(ctx context.Context)) {
	ctx := r.Context()
	r.Yield(L, func() {
		if owner, ok := r.Owner.(Watcher); ok {
			defer owner.Watch(r.cancel)()
		}
		f(ctx)
	})
	if err := ctx.Err(); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			r.Fail(L, OutOfTotalTime, fmt.Sprintf("lua.total_timeout %v is used up", r.limits.TotalTimeout))
		}
		r.Fail(L, Cancelled, ErrCancelled.Error())
	}
}

// Watcher is an Owner that can tell while a run waits that nobody wants its
// result any more.
type Watcher interface {
	// Watch calls cancel then, until the function that it returns is called.
	// The lock is not held.
	Watch(cancel func()) (end func())
}

// Yield is Block without a context, for what bounds its wait itself.
func (r *Run) Yield(L *glua.LState, f func()) {
	r.ChargeSlots(L, StackSlots(L))
	r.chargeDepth(L)
	r.pause()
	r.lock.Unlock()
	defer func() {
		r.lock.Lock()
		L.G.CurrentThread = L
		r.resume()
		r.retire()
	}()
	f()
}

// ChargeSlots counts the slots of a stack, if it is the run's largest so far,
// and the frames of the calls that it has grown for: of two slots each, up to
// as many as calls may nest.
func (r *Run) ChargeSlots(L *glua.LState, slots int) {
	before := max(r.stack, freeStack)
	if grown := slots - before; grown > 0 {
		r.stack = slots
		r.Charge(L, stackSlot*grown+frameBytes*(min(slots, framedSlots)-min(before, framedSlots))/2)
	}
}

// Bytes of a slot and of a frame, and how many slots have frames.
const (
	stackSlot   = 16
	frameBytes  = 100
	framedSlots = freeStack + 2*512
)

// chargeDepth counts the Go stack of a run that is about to wait: metamethods,
// pcall and coroutines nest on it. Its size is a power of two; what a request
// without nesting needs isn't counted here.
func (r *Run) chargeDepth(L *glua.LState) {
	if r.limits.Instructions-r.left-r.fuse <= slice { // it can't have nested deeply
		return
	}
	size := 1 << bits.Len(uint(stackInUse()+stackMargin))
	if size > max(r.depth, freeDepth) {
		deeper := size - max(r.depth, freeDepth)
		r.depth = size
		r.Charge(L, deeper)
	}
}

// Bytes of the Go stack: how many of it are not counted, and how many the run
// time keeps free at its end, for functions that don't look.
const (
	freeDepth   = 16 << 10
	stackMargin = 1 << 10
)

// pause ends a segment of running: time until the next look doesn't count.
func (r *Run) pause() {
	if r.since != 0 {
		r.ran += nanotime() - r.since
		r.since = 0
	}
	r.short()
}

// Context returns a context that ends with the request or at total_timeout.
func (r *Run) Context() context.Context {
	if r.ctx == nil {
		if r.began == 0 {
			r.began = nanotime()
		}
		if r.limits.TotalTimeout > 0 {
			left := time.Duration(r.began + int64(r.limits.TotalTimeout) - nanotime())
			r.ctx, r.cancel = context.WithTimeout(r.parent, left)
		} else {
			r.ctx, r.cancel = context.WithCancel(r.parent)
		}
	}
	return r.ctx
}

func size(n int64) string {
	if n >= 1<<20 && n%(1<<20) == 0 {
		return fmt.Sprintf("%dMiB", n>>20)
	}
	return fmt.Sprintf("%dB", n)
}
