package stdlib_test

import (
	"context"
	"testing"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
)

func TestCoroutine(t *testing.T) {
	cases{
		{`local co = coroutine.create(function(a, b) local c = coroutine.yield(a + b); return c, "end" end)
		local x, y = coroutine.resume(co, 1, 2); local p, q, r = coroutine.resume(co, 9)
		return x, y, p, q, r, coroutine.status(co), coroutine.resume(co)`,
			`true 3 true 9 "end" "dead" false "cannot resume dead coroutine"`},
		{`local co = coroutine.wrap(function() local a, b, c = coroutine.yield(); return a, b, c, select("#", coroutine.yield()) end)
		co() co(1) return co(5, 6)`, `1 nil nil 2`},
		{`local co = coroutine.create(function() return coroutine.yield(1) end)
		coroutine.resume(co) return select("#", coroutine.resume(co)), coroutine.status(co)`, `1 "dead"`},
		{`local co = coroutine.create(function(...) return coroutine.yield(...) end)
		return select("#", coroutine.resume(co)), coroutine.resume(co, 4, nil, 6)`, `1 true 4 nil 6`},
		{`local co = coroutine.wrap(string.upper) return co("x")`, `"X"`},
		{`local co = coroutine.wrap(coroutine.yield) return co("x"), co("y")`, `"x" "y"`},
		{`return coroutine.resume(coroutine.create(function() error({1}) end)) == false`, `true`},
		{`local co = coroutine.create(function() error("boom", 0) end)
		local a, b = coroutine.resume(co) return a, b, coroutine.status(co)`, `false "boom" "dead"`},
		{`local co co = coroutine.create(function() return coroutine.resume(co) end) return coroutine.resume(co)`,
			`true false "cannot resume running coroutine"`},
		{`local outer outer = coroutine.create(function()
			local inner = coroutine.create(function() return coroutine.status(outer), coroutine.resume(outer) end)
			return coroutine.resume(inner) end) return coroutine.resume(outer)`,
			`true true "normal" false "cannot resume normal coroutine"`},
		{`return coroutine.running(), coroutine.wrap(function() return type(coroutine.running()) end)()`, `nil "thread"`},
		{`local co co = coroutine.create(function() return pcall(function()
			return coroutine.running() == co, coroutine.status(co), coroutine.resume(co) end) end)
		return coroutine.resume(co)`, `true true true "running" false "cannot resume running coroutine"`},
		{`return pcall(coroutine.wrap(function() error("boom", 0) end))`, `false "boom"`},
		{`local f = coroutine.wrap(function() end) f() return pcall(f)`, `false "cannot resume dead coroutine"`},
		{`return pcall(coroutine.create, 1)`, `false "bad argument #1 to '?' (Lua function expected)"`},
		{`return pcall(coroutine.resume, 1)`, `false "bad argument #1 to '?' (coroutine expected)"`},
		{`coroutine.yield(1)`, `error: <string>:1: attempt to yield from outside a coroutine`},
		{`return coroutine.resume(coroutine.create(function() pcall(coroutine.yield, 1) return "on" end))`, `true "on"`},
		{`return coroutine.resume(coroutine.create(function() return pcall(coroutine.yield, 1) end))`, `true false "attempt to yield across a pcall"`},
		{`return coroutine.resume(coroutine.create(function() table.sort({2, 1}, coroutine.yield) end))`,
			`false "attempt to yield across metamethod/C-call boundary"`},
		{`return coroutine.resume(coroutine.create(function() return setmetatable({}, {__index = function() coroutine.yield() end}).x end))`,
			`false "<string>:1: attempt to yield across metamethod/C-call boundary"`},
		{`local function f() return 1 + f() end local co = coroutine.create(f) local a, b = coroutine.resume(co)
		return a, b, coroutine.status(co)`, `false "stack overflow" "dead"`},
		{`local co local kept co = coroutine.create(function() local x = 1 kept = function() x = x + 1 return x end
		coroutine.yield() error("x") end) coroutine.resume(co) kept() coroutine.resume(co) return kept()`, `3`},
		{`local x = 0 local function inc() x = x + 1 end coroutine.resume(coroutine.create(error)) inc() return x`, `1`},
		{`local t = {} for i = 1, 8000 do t[i] = 1 end
		local function push(f, n, ...) if n == 0 then return f(...) end return push(f, n - 1, 1, unpack(t)) end
		return pcall(push, coroutine.wrap(function(...) return select("#", ...) end), 1)`, `true 8001`},
		{`local a = {} for i = 1, 8000 do a[i] = 1 end local function g(...) return pcall(select, "#", ...) end
		local function h(...) return g(unpack(a)), ... end return pcall(function(...) return select("#", h(unpack(a))) end)`, `true 8001`},
		{`local t = {} for v in coroutine.wrap(function() for i = 1, 4 do coroutine.yield(i) end end) do t[#t + 1] = v end
		return table.concat(t, ",")`, `"1,2,3,4"`},
	}.run(t)
}

// TestCoroutineOfAnotherRun makes coroutines in one run and resumes them in the
// next, which has the same Run, as pools do.
func TestCoroutineOfAnotherRun(t *testing.T) {
	main := glua.NewState(glua.Options{SkipOpenLibs: true})
	t.Cleanup(main.Close)
	open(main)
	lock := vm.NewLock(main, vm.NewLedger(0, 0), nil)
	lock.Lock()
	run := &vm.Run{}
	run.Begin(t.Context(), lock, vmtest.Limits())
	main.SetContext(run)
	if got := eval(main, `co = coroutine.create(coroutine.yield) f = coroutine.wrap(coroutine.yield) f() return coroutine.resume(co)`); got != "true" {
		t.Fatal(got)
	}
	run.End()
	run.Begin(t.Context(), lock, vmtest.Limits())
	defer run.End()
	for _, c := range (cases{
		{`return pcall(coroutine.resume, co)`, `false "cannot resume a coroutine of another request"`},
		{`return pcall(f)`, `false "cannot resume a coroutine of another request"`},
		{`return coroutine.status(co), type(co), co == co, tostring(co):match("^thread: 0x") ~= nil`, `"dead" "thread" true true`},
		{`return pcall(function() return co.x end)`, `false "<string>:1: attempt to index global 'co' (a thread value)"`},
		{`for i = 1, 90 do coroutine.wrap(function() end)() end return coroutine.status(co), (pcall(coroutine.resume, co)), (pcall(f))`, `"dead" false false`},
	}) {
		if got := eval(main, c.chunk); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.chunk, got, c.want)
		}
	}
}

// TestBlock waits in coroutines and protected calls.
func TestBlock(t *testing.T) {
	thread, run := begin(t, vmtest.Limits())
	thread.SetGlobal("wait", thread.NewFunction(func(L *glua.LState) int {
		run.Block(L, func(context.Context) {})
		L.Push(glua.LBool(L.G.CurrentThread == L))
		return 1
	}))
	if got := eval(thread, `local co = coroutine.wrap(function() local a, b = pcall(wait) coroutine.yield(a, b) return wait() end)
	local ok, a, b = pcall(co) local c = co() return ok, a, b, c, wait(), select(2, pcall(wait))`); got != "true true true true true true" {
		t.Error(got)
	}
}
