package stdlib

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"sync"
	"weak"

	glua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// trampolines are what gopher-lua's coroutines need to be right: the root of
// one must be a Lua function that doesn't end in a tail call to a function of
// the script's, and a yield must be called for all its results. begin sets how
// the thread fails, which the engine does when it is first resumed.
const trampolines = `
local yield, results, begin = ...
return function(fn)
	return function(...) return results(fn(begin(...))) end
end, function(...)
	return results(yield(...))
end`

// trampolineSource is the name of their source, which no script's file has.
const trampolineSource = "coroutine"

// coroutines are those of a VM that still exist.
type coroutines struct {
	known map[weak.Pointer[glua.LState]]*coroutine
	sweep int // size at which known is swept

	start          *glua.LFunction // makes the root of a coroutine
	create, resume glua.LGFunction // gopher-lua's own
	bottoms        map[yieldStack]bool
}

// coroutine is what gopher-lua doesn't say of one.
type coroutine struct {
	run   context.Context // of the run that made it
	depth int             // when it was resumed last
	slots int             // of its stack, as far as they have been charged
}

func (l *lib) openCoroutine(L *glua.LState) {
	scratch := glua.NewState(glua.Options{SkipOpenLibs: true})
	defer scratch.Close()
	glua.OpenCoroutine(scratch)
	own := func(name string) glua.LGFunction {
		f, ok := scratch.GetField(scratch.GetGlobal(glua.CoroutineLibName), name).(*glua.LFunction)
		if !ok || !f.IsG {
			panic("BUG: gopher-lua has no coroutine." + name)
		}
		return f.GFunction
	}
	c := &l.threads.coroutines
	l.threads.active = map[*glua.LState]*protected{}
	c.known = map[weak.Pointer[glua.LState]]*coroutine{}
	c.bottoms = map[yieldStack]bool{}
	c.create, c.resume = own("create"), own("resume")

	start, yield := l.compileTrampolines(L)
	c.start = start
	content := library(L, map[string]glua.LGFunction{
		"create":  func(L *glua.LState) int { l.coCreate(L); return 1 },
		"resume":  l.coResume,
		"running": l.coRunning,
		"status":  l.coStatus,
		"wrap":    l.coWrap,
	})
	content.RawSetString("yield", yield)
	install(L, "coroutine", content)
	store(L, l)
}

// trampolinesProto compiles them once: VMs share what can't change.
var trampolinesProto = sync.OnceValue(func() *glua.FunctionProto {
	chunk, err := parse.Parse(strings.NewReader(trampolines), trampolineSource)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	proto, err := glua.Compile(chunk, trampolineSource)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return proto
})

func (l *lib) compileTrampolines(L *glua.LState) (start, yield *glua.LFunction) {
	proto := trampolinesProto()
	state := L
	var ok1, ok2 bool
	state.Push(state.NewFunctionFromProto(proto))
	state.Push(state.NewFunction(l.coYield))
	state.Push(state.NewFunction(func(L *glua.LState) int { return L.GetTop() }))
	state.Push(state.NewFunction(func(L *glua.LState) int {
		L.Panic = vm.Raise
		return L.GetTop()
	}))
	state.Call(3, 2)
	start, ok1 = state.Get(-2).(*glua.LFunction)
	yield, ok2 = state.Get(-1).(*glua.LFunction)
	state.Pop(2)
	if !ok1 || !ok2 {
		panic("BUG: the trampolines of coroutines are not functions")
	}
	return start, yield
}

// isTrampoline reports functions in Lua that stand for Go's: scripts see them as
// such.
func isTrampoline(f *glua.LFunction) bool {
	if f.IsG {
		return false
	}
	all := trampolinesProto().FunctionPrototypes
	return slices.Contains(all, f.Proto) || slices.Contains(all[0].FunctionPrototypes, f.Proto)
}

// find returns what is known of a coroutine; nil is another kind of thread.
func (c *coroutines) find(thread *glua.LState) *coroutine {
	if len(c.known) == 0 {
		return nil
	}
	return c.known[weak.Make(thread)]
}

// add also forgets those that are gone, now and then, and those that died with
// their request.
func (c *coroutines) add(thread *glua.LState, made *coroutine) {
	if len(c.known) >= c.sweep {
		for pointer, old := range c.known {
			if other := pointer.Value(); other == nil || other.Dead && old.run != made.run {
				delete(c.known, pointer)
			}
		}
		c.sweep = 2*len(c.known) + 32
	}
	c.known[weak.Make(thread)] = made
}

// depth is how many threads wait for L, which runs.
func (l *lib) depth(L *glua.LState) int {
	if p := l.threads.active[L]; p != nil {
		return p.depth
	}
	if c := l.threads.find(L); c != nil {
		return c.depth
	}
	return 0
}

// coroutineOf is the coroutine that L, which runs, belongs to; nil is none.
func (l *lib) coroutineOf(L *glua.LState) *glua.LState {
	if p := l.threads.active[L]; p != nil {
		return p.coroutine
	}
	if l.threads.find(L) != nil {
		return L
	}
	return nil
}

// coCreate replaces the function on L's stack by a new coroutine.
func (l *lib) coCreate(L *glua.LState) *glua.LState {
	fn, ok := L.Get(1).(*glua.LFunction)
	if !ok {
		vm.ArgError(L, 1, "Lua function expected")
	}
	run := vm.RunOf(L)
	run.Charge(L, threadBytes)
	run.Spend(L, 50)

	L.SetTop(0)
	L.Push(l.threads.start)
	L.Push(fn)
	L.Call(1, 1) // replaces fn by the root, at index 1
	limit := L.Options.RegistryMaxSize
	L.Options.RegistryMaxSize = min(limit, threadSlots)
	l.threads.create(L)
	L.Options.RegistryMaxSize = limit
	thread, ok := L.Get(-1).(*glua.LState)
	if !ok {
		panic("BUG: gopher-lua's coroutine.create made no thread")
	}
	run.AddCoroutine(L, thread)
	thread.SetContext(run)
	l.threads.add(thread, &coroutine{run: run.Context(), slots: vm.StackSlots(thread)})
	return thread
}

func (l *lib) coResume(L *glua.LState) int {
	thread := checkThread(L, 1)
	if reason := l.prepare(L, thread); reason != "" {
		L.Push(glua.LFalse)
		L.Push(glua.LString(reason))
		return 2
	}
	return l.resume(L)
}

// resume resumes the thread at index 1 with the arguments above it.
func (l *lib) resume(L *glua.LState) int {
	n := l.threads.resume(L)
	L.G.CurrentThread = L
	vm.RunOf(L).Rethrow(L)
	if thread, ok := L.Get(1).(*glua.LState); ok {
		made := l.threads.find(thread)
		made.slots = chargeStack(L, vm.StackSlots(thread), made.slots)
	}
	if first := L.GetTop() - n + 1; n == 2 && L.Get(first) == glua.LFalse {
		vm.RunOf(L).Caught(L, L.Get(first+1))
		if message, ok := L.Get(first + 1).(glua.LString); ok && message == "lua callstack overflow" {
			L.Replace(first+1, glua.LString("stack overflow"))
		}
	}
	return n
}

// prepare says why a thread can't be resumed; "" is that it can.
func (l *lib) prepare(L, thread *glua.LState) string {
	run := vm.RunOf(L)
	made := l.threads.find(thread)
	if made == nil || made.run != run.Context() {
		L.RaiseError("cannot resume a coroutine of another request")
	}
	if status := l.status(L, thread); status != "suspended" {
		return "cannot resume " + status + " coroutine"
	}
	checkRoom(L, L.GetTop())
	made.depth = l.depth(L) + 1
	if made.depth > maxDepth {
		L.RaiseError("stack overflow")
	}
	l.chargeWaiting(L)
	run.Spend(L, 5)
	return ""
}

// status may be asked for a thread of any kind. One of a request that is over is
// dead, and nothing but Dead may be looked at.
func (l *lib) status(L, thread *glua.LState) string {
	switch {
	case thread.Dead:
		return "dead"
	case thread == l.coroutineOf(L):
		return "running"
	case thread.Parent != nil:
		return "normal"
	}
	return "suspended"
}

func (l *lib) coStatus(L *glua.LState) int {
	L.Push(glua.LString(l.status(L, checkThread(L, 1))))
	return 1
}

func (l *lib) coRunning(L *glua.LState) int {
	if thread := l.coroutineOf(L); thread != nil {
		L.Push(thread)
	} else {
		L.Push(glua.LNil)
	}
	return 1
}

func (l *lib) coWrap(L *glua.LState) int {
	thread := l.coCreate(L)
	resume := func(L *glua.LState) int {
		if reason := l.prepare(L, thread); reason != "" {
			L.Error(glua.LString(where(L, 1)+reason), 0)
		}
		L.Insert(thread, 1)
		n := l.resume(L)
		if first := L.GetTop() - n + 1; L.Get(first) == glua.LFalse {
			failure := L.Get(first + 1)
			if s, ok := failure.(glua.LString); ok {
				failure = positioned(L, 1, string(s))
			}
			L.Error(failure, 0)
		}
		return n - 1
	}
	L.Push(L.NewClosure(resume, thread)) // thread, so that vm.Live sees it
	return 1
}

func checkThread(L *glua.LState, i int) *glua.LState {
	thread, ok := L.Get(i).(*glua.LState)
	if !ok {
		vm.ArgError(L, i, "coroutine expected")
	}
	return thread
}

// coYield ends this turn of a coroutine; its arguments are the results.
func (l *lib) coYield(L *glua.LState) int {
	var reason string
	switch {
	case l.coroutineOf(L) == nil:
		reason = "attempt to yield from outside a coroutine"
	case l.threads.find(L) == nil:
		reason = "attempt to yield across a pcall"
	case !l.atBottom():
		reason = "attempt to yield across metamethod/C-call boundary"
	default:
		return -1
	}
	L.Error(glua.LString(where(L, 2)+reason), 0) // level 1 is the trampoline
	return 0
}

// yieldStack is the Go stack from coYield on: as much as atBottom looks at.
type yieldStack [5]uintptr

// atBottom reports whether the VM loop that called coYield is the one that
// runs the coroutine. In a loop that a metamethod or a Go function has started,
// gopher-lua would go on after the yield as if it had returned.
func (l *lib) atBottom() bool {
	var stack yieldStack
	n := runtime.Callers(3, stack[:])
	known, ok := l.threads.bottoms[stack]
	if ok {
		return known
	}
	frames := runtime.CallersFrames(stack[:n])
	bottom, loop := false, false
	for more := true; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		if loop {
			bottom = strings.HasSuffix(frame.Function, "gopher-lua.threadRun")
			break
		}
		loop = strings.HasSuffix(frame.Function, "gopher-lua.mainLoopWithContext")
	}
	if len(l.threads.bottoms) < 64 {
		l.threads.bottoms[stack] = bottom
	}
	return bottom
}
