package stdlib_test

import (
	"testing"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/stdlib"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
)

func TestPCall(t *testing.T) {
	cases{
		{`return pcall(function(...) return ... end, 1, nil, 3)`, `true 1 nil 3`},
		{`return pcall(error)`, `false nil`},
		{`return pcall(error, " x")`, `false " x"`},
		{`local e = {} local ok, got = pcall(error, e) return got == e`, `true`},
		{`return pcall(error, "x", 0)`, `false "x"`},
		{`return pcall(function() error("x") end)`, `false "<string>:1: x"`},
		{`return pcall(function() local function f() error("x", 2) end
f() end)`, `false "<string>:2: x"`},
		{`return pcall(function() return nil + 1 end)`, `false "<string>:1: attempt to perform arithmetic on a nil value"`},
		{`return pcall(string.rep)`, `false "bad argument #1 to '?' (string expected, got no value)"`},
		{`return pcall(1)`, `false "attempt to call a number value"`},
		{`return pcall(setmetatable({}, {__call = function(self, a) return a end}), 5)`, `true 5`},
		{`local x = 0 local function inc() x = x + 1 end pcall(error, "boom") inc() return x`, `1`},
		{`local x = 0 local function inc() x = x + 1 end pcall(pcall, error) pcall(function() pcall(error) error() end) inc() return x`, `1`},
		{`local f pcall(function() local kept = "kept" f = function() return kept end error("x") end)
		local a, b, c, d = 1, 2, 3, 4 pcall(function() local q, w, e = 7, 8, 9 end) return f()`, `"kept"`},
		{`local get, set pcall(function() local a, b = 1, 2 get = function() return a, b end
		set = function(x) a = x end (function() local c = 3 local g = get get = function() return c, g() end error() end)() end)
		set(9) return get()`, `3 9 2`},
		{`local function f() return 1 + f() end return pcall(f)`, `false "stack overflow"`},
		{`local f local function g(n) local kept = n if n == 50 then f = function() return kept end end return 1 + g(n + 1) end
		pcall(g, 1) return f()`, `50`},
		{`local depth = 0 local function f() depth = depth + 1 return pcall(f) end f() return depth < 1000`, `true`},
		{`return xpcall(function() error("x", 0) end, function(m) return m .. "!", 2 end)`, `false "x!"`},
		{`return xpcall(function() return 1, 2 end, type)`, `true 1 2`},
		{`return xpcall(function() error("x", 0) end, function(m) error("y", 0) end)`, `false "error in error handling"`},
		{`return select("#", pcall(function() end))`, `1`},
		{`local function many(n, ...) if n == 0 then return pcall(select, "#", ...) end return many(n - 1, ..., unpack({}, 1, 8000)) end
		return pcall(many, 2)`, `true true 8001`},
		{`local t = {} for i = 1, 200 do t[i] = i end local function deep(n) local a, b, c = unpack(t)
		if n == 0 then error("bottom", 0) end return (deep(n - 1)) end
		for i = 1, 30 do local ok, m = pcall(deep, 100) if m ~= "bottom" then return m end end`, ``},
		{`local fs = {} for i = 1, 10 do local v = i pcall(function() local w = v * 2 fs[i] = function() w = w + 1 return v + w end
		if i % 2 == 0 then error("even") end end) end local s = "" for i = 1, 10 do s = s .. fs[i]() .. "," end return s`,
			`"4,7,10,13,16,19,22,25,28,31,"`},
	}.run(t)
}

func TestPCallOfGo(t *testing.T) {
	thread, _ := begin(t, vmtest.Limits())
	thread.SetGlobal("try", thread.NewFunction(func(L *glua.LState) int {
		results, ok := stdlib.PCall(L, L.Get(1), L.Get(2), L.Get(3))
		L.Push(glua.LBool(ok))
		for _, v := range results {
			L.Push(v)
		}
		return 1 + len(results)
	}))
	for _, test := range (cases{
		{`return try(function(a, b) return b, a end, 1, 2)`, `true 2 1`},
		{`return try(error, "x", 0)`, `false "x"`},
		{`local x = 0 local function inc() x = x + 1 end try(error) inc() return x`, `1`},
		{`return try(nil)`, `false "attempt to call a nil value"`},
	}) {
		if got := eval(thread, test.chunk); got != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.chunk, got, test.want)
		}
	}
}
