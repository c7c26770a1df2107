package vm

import (
	"context"
	"errors"
	"fmt"
	"time"

	glua "github.com/yuin/gopher-lua"
)

// Limits bound one run. Zero values are no limit, but for Instructions.
type Limits struct {
	Instructions int64         // VM instructions, and what Go functions Spend
	Memory       int64         // bytes that are Charged
	Timeout      time.Duration // wall time while Lua runs, waiting excluded
	TotalTimeout time.Duration // wall time from Begin to End
	Coroutines   int           // alive or dead, made in this run
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

// slice is how many instructions run between two looks at the clock, at
// memory and at who else waits for the lock.
const slice = 1000

// Run is one use of a VM: a request, or the loading of scripts. It is the
// context of every Lua thread that takes part, because gopher-lua asks its
// context before each instruction: that is how instructions are counted.
//
// All methods must be called with the lock held, by the goroutine that runs
// Lua, but for Context.
type Run struct {
	fuse   int64 // instructions until slow is called; negative once exhausted
	left   int64 // instructions after the fuse
	lock   *Lock
	limits Limits

	exhausted  *Exhausted
	memory     int64 // charged so far
	coroutines int
	ran        int64 // nanoseconds in earlier segments
	since      int64 // when this segment was first looked at; 0 is not yet
	began      int64 // when the run was first looked at; 0 is not yet
	long       bool  // holds a turn of the lock's long runs

	ctx    context.Context
	cancel context.CancelFunc
	parent context.Context

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

// Begin arms the run; the lock is held. The end of parent ends what blocks.
func (r *Run) Begin(parent context.Context, lock *Lock, limits *Limits) {
	owner := r.Owner
	*r = Run{lock: lock, limits: *limits, parent: parent, Owner: owner}
	r.left = limits.Instructions
	r.arm()
}

// End gives back what the run holds; the lock is held.
func (r *Run) End() {
	if r.cancel != nil {
		r.cancel()
		r.cancel, r.ctx = nil, nil
	}
	r.lock.used -= r.memory
	r.lock.Allocated += r.memory
	if r.long {
		r.long = false
		r.lock.turns.release()
	}
}

func (r *Run) arm() {
	r.fuse = min(r.left, slice)
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
	if !r.checkClock() {
		return closed
	}
	r.arm()
	r.lock.share(r)
	return nil
}

// checkClock reports whether there is time left.
func (r *Run) checkClock() bool {
	now := nanotime()
	if r.since == 0 {
		r.since = now
	}
	if r.began == 0 {
		r.began = now
	}
	switch running := r.ran + now - r.since; {
	case r.limits.Timeout > 0 && running > int64(r.limits.Timeout):
		r.exhaust(OutOfTime, fmt.Sprintf("lua.timeout %v is used up", r.limits.Timeout))
	case r.limits.TotalTimeout > 0 && now-r.began > int64(r.limits.TotalTimeout):
		r.exhaust(OutOfTotalTime, fmt.Sprintf("lua.total_timeout %v is used up", r.limits.TotalTimeout))
	case running > longRun && !r.long && r.lock.turns != nil:
		if r.long = r.lock.takeTurn(); !r.long {
			r.exhaust(OutOfTime, "too many requests of the tenant run scripts for long")
		}
		r.ran, r.since = running, nanotime()
	}
	return r.exhausted == nil
}

func (r *Run) exhaust(reason Reason, words string) {
	if r.exhausted == nil {
		r.exhausted = &Exhausted{Reason: reason, Limit: words}
	}
	r.fuse = -1
}

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

// Charge counts bytes that a function is about to allocate for the script, and
// raises an error instead if they are more than the run may have.
func (r *Run) Charge(L *glua.LState, bytes int) {
	n := int64(bytes)
	if r.limits.Memory > 0 && n > r.limits.Memory-r.memory {
		r.Fail(L, OutOfMemory, fmt.Sprintf("lua.max_memory %s is used up", size(r.limits.Memory)))
	}
	if limit := r.lock.MaxMemory; limit > 0 && n > limit-r.lock.used {
		r.Fail(L, OutOfVMMemory, fmt.Sprintf("lua.max_vm_memory %s is used up by the requests in flight", size(limit)))
	}
	r.memory += n
	r.lock.used += n
}

// Spend counts work of a Go function as instructions: about 20 ns each. It
// raises an error when they are used up, and lets others have the lock.
func (r *Run) Spend(L *glua.LState, instructions int) {
	if r.fuse -= int64(instructions); r.fuse < 0 && r.slow() != nil {
		r.Rethrow(L)
	}
}

// AddCoroutine counts a coroutine, and raises an error if there are too many.
func (r *Run) AddCoroutine(L *glua.LState) {
	if r.coroutines >= r.limits.Coroutines {
		L.RaiseError("too many coroutines: lua.max_coroutines is %d", r.limits.Coroutines)
	}
	r.coroutines++
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
	r.pause()
	r.lock.Unlock()
	defer func() {
		r.lock.Lock()
		L.G.CurrentThread = L
	}()
	f()
}

// pause ends a segment of running: time until the next look doesn't count.
func (r *Run) pause() {
	if r.since != 0 {
		r.ran += nanotime() - r.since
		r.since = 0
	}
	if r.long {
		r.long = false
		r.lock.turns.release()
	}
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
