package stdlib

import (
	"fmt"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// gopher-lua's own PCall isn't used: when an error is raised, it closes the
// upvalues of all frames, also of those that go on (their closures then have a
// copy of the locals that they share), and of none when the engine panics. A
// protected call therefore gets a thread of its own: what is thrown away after
// an error is exactly what the error unwound, and closures keep its registers.

// PCall calls fn with args in protected mode on behalf of L, and returns its
// results; valid until the next call. If ok is false, results is the error
// value alone. A run that is exhausted is not protected from: it is raised.
// Go code that calls back into Lua and wants the errors uses this instead of
// LState.PCall, which spoils the upvalues of the frames below. The library
// must be open on L's VM.
func PCall(L *glua.LState, fn glua.LValue, args ...glua.LValue) (results []glua.LValue, ok bool) {
	l := libOf(L)
	thread := l.enter(L)
	thread.state.Push(fn)
	for _, arg := range args {
		thread.state.Push(arg)
	}
	failure := thread.call(len(args))
	l.leave(L, thread)
	if failure != nil {
		vm.RunOf(L).Caught(L, failure)
		return []glua.LValue{failure}, false
	}
	for i := range thread.state.GetTop() {
		results = append(results, thread.state.Get(i+1))
	}
	l.release(thread)
	return results, true
}

func (l *lib) pcall(L *glua.LState) int {
	fn := checkPresent(L, 1)
	n := L.GetTop()
	checkRoom(L, n)
	thread := l.enter(L)
	L.XMoveTo(thread.state, n)
	failure := thread.call(n - 1)
	l.leave(L, thread)
	if failure != nil {
		vm.RunOf(L).Caught(L, failure)
		L.Push(glua.LFalse)
		L.Push(l.rooted(fn, failure))
		return 2
	}
	L.Push(glua.LTrue)
	return 1 + l.results(L, thread)
}

func (l *lib) xpcall(L *glua.LState) int {
	handler := checkPresent(L, 2)
	fn := L.Get(1)
	thread := l.enter(L)
	thread.state.Push(fn)
	failure := thread.call(0)
	l.leave(L, thread)
	if failure == nil {
		L.SetTop(0)
		L.Push(glua.LTrue)
		return 1 + l.results(L, thread)
	}
	vm.RunOf(L).Caught(L, failure)
	// The handler is protected too: its own error becomes the result.
	second := l.enter(L)
	second.state.Push(handler)
	second.state.Push(l.rooted(fn, failure))
	failure = second.call(1)
	l.leave(L, second)
	L.SetTop(0)
	L.Push(glua.LFalse)
	if failure != nil {
		vm.RunOf(L).Caught(L, failure)
		L.Push(glua.LString("error in error handling"))
		return 2
	}
	if second.state.GetTop() == 0 {
		second.state.Push(glua.LNil)
	}
	second.state.SetTop(1)
	return 1 + l.results(L, second)
}

// results moves a thread's results to L and gives the thread back.
func (l *lib) results(L *glua.LState, thread *protected) int {
	n := thread.state.GetTop()
	thread.state.XMoveTo(L, n)
	l.release(thread)
	return n
}

// rooted mends the message of a Go function at the root of a thread, which has
// no caller: gopher-lua leaves a space where its position would be, and takes
// the function for the main chunk.
func (l *lib) rooted(fn, failure glua.LValue) glua.LValue {
	f, ok := fn.(*glua.LFunction)
	if !ok || !f.IsG || f == l.errorFunction {
		return failure
	}
	message, ok := failure.(glua.LString)
	if !ok || len(message) > 200 {
		return failure
	}
	mended := strings.Replace(string(message), " to main chunk (", " to '?' (", 1)
	return glua.LString(strings.TrimPrefix(mended, " "))
}

// protected is a thread for a protected call.
type protected struct {
	state *glua.LState
	depth int
	slots int // of its stack, as far as they have been charged
	peak  int // how many there were when it failed
	// coroutine is which coroutine the call belongs to; nil is the run's own
	// thread.
	coroutine *glua.LState
}

// threads are those that protected calls run on.
type threads struct {
	free   []*protected
	active map[*glua.LState]*protected // by state
	coroutines
}

const (
	threadBytes = 5 << 10
	// maxDepth bounds threads that wait for one another: protected calls and
	// resumed coroutines. Each may nest calls 256 deep, on the Go stack too.
	maxDepth = 100
	// maxFree bounds the threads that are kept for the next protected call.
	maxFree = 4
	// maxSlots is how many values a thread's stack may take that is kept.
	maxSlots = 1024
	// threadSlots bounds the stack of a thread: 512 KiB. What it has grown by is
	// charged when the thread stops, or waits for another one.
	threadSlots = 32 << 10
)

// checkRoom refuses more values than a thread takes, before they are moved.
func checkRoom(L *glua.LState, n int) {
	if n > threadSlots/2 {
		L.RaiseError("too many arguments")
	}
}

// enter begins a protected call: Lua goes on in its thread.
func (l *lib) enter(L *glua.LState) *protected {
	run := vm.RunOf(L)
	depth := l.depth(L) + 1
	if depth > maxDepth {
		L.RaiseError("stack overflow")
	}
	l.chargeWaiting(L)
	var thread *protected
	if n := len(l.threads.free); n > 0 {
		thread = l.threads.free[n-1]
		l.threads.free = l.threads.free[:n-1]
	} else {
		run.Charge(L, threadBytes)
		thread = &protected{state: l.newThread()}
		thread.slots = vm.StackSlots(thread.state)
	}
	run.Spend(L, 5)
	thread.state.Env = L.Env
	thread.state.SetContext(run)
	thread.depth, thread.coroutine = depth, l.coroutineOf(L)
	l.threads.active[thread.state] = thread
	return thread
}

// leave ends a protected call: Lua goes on in L, unless the run is exhausted.
func (l *lib) leave(L *glua.LState, thread *protected) {
	L.G.CurrentThread = L
	delete(l.threads.active, thread.state)
	vm.RunOf(L).Rethrow(L)
	thread.slots = chargeStack(L, max(vm.StackSlots(thread.state), thread.peak), thread.slots)
}

// chargeStack charges what a thread's stack has grown by, and returns how
// large it is.
func chargeStack(L *glua.LState, size, charged int) int {
	if size > charged {
		vm.RunOf(L).Charge(L, (size-charged)*16)
	}
	return size
}

// chargeWaiting charges what the stack of L, which is about to wait for another
// thread, has grown by. Each of many threads may have a large one.
func (l *lib) chargeWaiting(L *glua.LState) {
	slots := vm.StackSlots(L)
	if slots <= maxSlots {
		return
	}
	if p := l.threads.active[L]; p != nil {
		p.slots = chargeStack(L, slots, p.slots)
	} else if c := l.threads.find(L); c != nil {
		c.slots = chargeStack(L, slots, c.slots)
	} else {
		vm.RunOf(L).ChargeSlots(L, slots)
	}
}

// release keeps the thread of a call that succeeded for the next.
func (l *lib) release(thread *protected) {
	thread.state.RemoveContext()
	thread.state.SetTop(0)
	thread.coroutine = nil
	if len(l.threads.free) < maxFree && vm.StackSlots(thread.state) <= maxSlots {
		l.threads.free = append(l.threads.free, thread)
	} else {
		vm.Discard(thread.state)
	}
}

// newThread makes a thread without a context: one that is derived from a run
// isn't counted.
func (l *lib) newThread() *glua.LState {
	main := l.main
	if ctx := main.Context(); ctx != nil {
		main.RemoveContext()
		defer main.SetContext(ctx)
	}
	limit := main.Options.RegistryMaxSize
	main.Options.RegistryMaxSize = min(limit, threadSlots)
	thread, _ := main.NewThread()
	main.Options.RegistryMaxSize = limit
	return thread
}

// call calls the function below nargs arguments on the thread's stack, and
// leaves its results there. It returns the error value of a failure, never a
// Go nil.
func (p *protected) call(nargs int) (failure glua.LValue) {
	state := p.state
	state.G.CurrentThread = state
	state.Panic = vm.Raise
	defer func() {
		if caught := recover(); caught != nil {
			failure = errorValue(caught)
			p.peak = vm.StackSlots(state)
			vm.Discard(state)
		}
	}()
	fn := state.Get(-nargs - 1)
	if !callable(state, fn) {
		return glua.LString("attempt to call a " + fn.Type().String() + " value")
	}
	state.Call(nargs, glua.MultRet)
	return nil
}

// callable reports whether a value can be called. Strings can't, but for the
// properties of a request.
func callable(L *glua.LState, v glua.LValue) bool {
	switch v.(type) {
	case *glua.LFunction:
		return true
	case glua.LString:
		return false
	}
	return L.GetMetaField(v, "__call").Type() == glua.LTFunction
}

// errorValue is what a script gets for a panic.
func errorValue(caught any) glua.LValue {
	switch caught := caught.(type) {
	case *glua.ApiError:
		if caught.Object != nil {
			return caught.Object
		}
		return glua.LNil
	case string:
		if caught == "lua callstack overflow" {
			return glua.LString("stack overflow")
		}
	}
	return glua.LString(fmt.Sprint("internal error: ", caught))
}
