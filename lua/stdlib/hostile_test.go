package stdlib_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// tight are the limits of hostile scripts: a million instructions take a small
// part of a second, so what takes much longer isn't counted.
func tight() *vm.Limits {
	return &vm.Limits{Instructions: 1_000_000, Memory: 64 << 20, Coroutines: 100}
}

const (
	instructions = "lua.max_instructions"
	memory       = "lua.max_memory"
	budget       = "lua.max_" // whichever comes first
)

// cpuTime is what this process has used so far: the clock would tell how busy
// the machine is.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func TestHostile(t *testing.T) {
	tests := []struct{ chunk, want string }{
		{`return string.find(string.rep("a", 30), string.rep("a?", 30) .. string.rep("a", 30) .. "b")`, instructions},
		{`return string.find(string.rep("a", 3e4), string.rep("a*", 30) .. "b")`, instructions},
		{`return string.find(string.rep("a", 1e6), ".-.-.-.-b")`, instructions},
		{`return string.rep("a", 1e6):find(("(.-)"):rep(9) .. "%9%8%7b")`, instructions},
		{`return ("x"):rep(1e7):gsub("", ("y"):rep(1e5))`, budget},
		{`return ("("):rep(1e7):find("%b()")`, instructions},
		{`return ("x"):rep(1e6):find("[" .. ("a"):rep(1e5) .. "]")`, instructions},
		{`return ("x"):rep(1e5):find(("x?"):rep(1e5))`, "pattern too complex"},
		{`while true do pcall(string.find, ("a"):rep(99), ("a-"):rep(30) .. "b") end`, instructions},
		{`return string.rep("x", 1e9)`, memory},
		{`return string.rep("x", 2^53)`, "too large"},
		{`local s = "x" while true do s = s:rep(2) end`, memory},
		{`local s = ("x"):rep(1e6) while true do s:upper() end`, budget},
		{`local s = ("x"):rep(1e6) while true do s:lower() end`, instructions},
		{`local s = ("x"):rep(1e6) while true do s:reverse() end`, budget},
		{`local s = ("x"):rep(1e6) while true do s:find("y", 1, true) end`, instructions},
		{`local s = ("x"):rep(1e6) while true do s = ("%q"):format(s .. "") end`, budget},
		{`local s = ("%99d"):rep(1e6) return s:format(1)`, "no value"},
		{`local t = {} for i = 1, 8000 do t[i] = 1 end local s = ("%99.99f"):rep(8000) while true do s:format(unpack(t)) end`, budget},
		{`local t = {} local s = ("x"):rep(1e5) for i = 1, 1000 do t[i] = s end return table.concat(t, s)`, memory},
		{`return table.concat({}, "x", 1, 2^53)`, "invalid value"},
		{`return table.concat(setmetatable({}, {__index = function() return "x" end}), "x", 1, 2^53)`, "invalid value"},
		{`for i = 1, 1e6 do table.insert({}, 2^15 - 1, 1) end`, memory},
		{`for i = 1, 1e6 do rawset({}, 2^15 - 1, 1) end`, memory},
		{`table.insert({}, 2^25, 1) rawset({}, 2^15, 1) rawset({}, 1e6, 1)`, ""},
		{`table.insert({}, -2^53, 1)`, instructions},
		{`local t = {} for i = 1, 1e5 do table.insert(t, i) end while true do table.insert(t, 1, 1) end`, instructions},
		{`local t = {} for i = 1, 1e5 do table.insert(t, i) end while true do t[#t] = nil table.insert(t, 1, 1) end`, ""},
		{`local i = 0 local t = {} while true do i = i + 1 rawset(t, "k" .. i, 1) rawset(t, "k" .. i, nil) end`, budget},
		{`local t = {} for i = 1, 1e5 do rawset(t, "k" .. i, 1) end for i = 1, 1e5 do t["k" .. i] = nil end
		t.x = 1 while true do next(t) end`, instructions},
		{`local t = {} rawset(t, 1e6, 1) while true do next(t) end`, instructions},
		{`local t = {} rawset(t, 1e6, 1) t[1e6] = nil while true do table.getn(t) end`, instructions},
		{`local t = {} for i = 1, 1e5 do table.insert(t, i % 7) end while true do table.sort(t, function() return true end) end`, instructions},
		{`local t = {} for i = 1, 1e3 do table.insert(t, i % 7) end while true do table.sort(t) end`, budget},
		{`local t = {} for i = 1, 1e3 do table.insert(t, i) end while true do table.sort(t, function(a, b)
		for i = 1, 1000 do t[i] = nil end return a < b end) table.insert(t, 1) end`, instructions},
		{`while true do pcall(function() while true do end end) end`, instructions},
		{`while true do xpcall(function() while true do end end, function() while true do end end) end`, instructions},
		{`while true do coroutine.wrap(function() end)() end`, "too many coroutines"},
		{`while true do pcall(function() local co = coroutine.wrap(function() while true do end end) co() end) end`, instructions},
		{`local function f() return coroutine.wrap(f)() end return f()`, "too many coroutines"},
		{`local function f() return pcall(f) end while true do f() end`, budget},
		{`local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k] end return t.x`, "overflow"},
		{`local t = setmetatable({}, {}) getmetatable(t).__index = t return t.x`, "too many recursions"},
		{`local t = setmetatable({}, {}) getmetatable(t).__tostring = tostring return tostring(t)`, "overflow"},
		{`local function f() return (("x"):gsub(".", f)) end return f()`, "overflow"},
		{`local function f(a, b) table.sort({1, 2}, f) end f()`, "overflow"},
		{`local function f() for k in pairs(setmetatable({}, {__pairs = f})) do end end f()`, "overflow"},
		{`local function f() local ok, m = xpcall(f, f) error(m) end f()`, ""},
		{`local t = {} for i = 1, 8000 do t[i] = i end local function f(...) return f(1, unpack(t)) end f()`, ""},
		{`local function f(...) return select("#", ...) + select(-1, f(1, 2, 3, ...)) end f()`, "overflow"},
		{`while true do unpack({}, 1, 8000) end`, memory},
		{`return os.date(("%c"):rep(1e7))`, budget},
		{`return os.time({year = 1e300, month = 1, day = 1})`, "out of range"},
		{`return os.date("%c", 0/0), os.date("%c", 1/0)`, "out of range"},
		{`return tonumber(("1"):rep(1e7)), tonumber(("1"):rep(1e7), 7)`, ""},
		{`while true do tostring({}) end`, budget},
		{`string.rep = nil`, "read-only"},
		{`rawset(string, "rep", nil)`, "read-only"},
		{`table.insert(string, 1)`, "read-only"},
		{`table.sort(string)`, "read-only"},
		{`table.remove(string)`, "read-only"},
		{`setmetatable(string, {})`, "protected metatable"},
		{`setmetatable("", {})`, "table expected"},
		{`getmetatable("").__add = print`, "read-only"},
		{`local k, v = next(string) while true do for k, v in pairs(string) do if type(v) ~= "function" then error(k) end end end`, instructions},
		{`("x")(1)`, "attempt to call a string value"},
		{`return rawset({}, 0/0, 1)`, "NaN"},
		{`return ("%d"):format(0/0), ("%c"):format(1/0), ("%x"):format(-1/0), ("x"):rep(0/0), ("x"):sub(0/0, 1/0), math.random(2^53)`, ""},
		{`return io or debug or dofile or loadfile or require or module or collectgarbage or
		newproxy or package or _printregs or string.dump or os.exit or os.getenv or print`, ""},
	}
	for _, test := range tests {
		thread, _ := begin(t, tight())
		began := cpuTime(t)
		got := eval(thread, test.chunk)
		if !strings.Contains(got, test.want) {
			t.Errorf("%s\n got %.300s\nwant %s", test.chunk, got, test.want)
		}
		if took := cpuTime(t) - began; took > 30*time.Second { // the race detector takes ten times as long
			t.Errorf("%s took %v of processor time", test.chunk, took)
		} else if testing.Verbose() && took > 300*time.Millisecond {
			t.Logf("%v: %s", took, test.chunk)
		}
		if strings.Contains(got, "runtime error") || strings.Contains(got, "internal error") || strings.Contains(got, "BUG") {
			t.Errorf("%s: %s", test.chunk, got)
		}
	}
}
