package vm_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/stdlib"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
)

// run compiles and runs a script as a tenant's would be; the script's results
// come back as text.
func run(tb testing.TB, source string, limits *vm.Limits) ([]string, *vm.Run, error) {
	tb.Helper()
	program, err := vm.Compile([]byte(source), "a.lua", vm.Options{})
	if err != nil {
		return nil, nil, err
	}
	thread, r := vmtest.Begin(tb, limits)
	main := thread.G.MainThread
	stdlib.Open(main, time.Now)
	f := program.Instantiate(r.VM(), &vm.Functions{SetIndex: stdlib.SetIndex})
	thread.Push(f)
	if err := thread.PCall(0, glua.MultRet, nil); err != nil {
		return nil, r, err
	}
	var results []string
	for i := 1; i <= thread.GetTop(); i++ {
		results = append(results, thread.Get(i).String())
	}
	return results, r, nil
}

// What gopher-lua's own compiler computes otherwise (its issues 440, 478, 514
// and 540), and what is compiled to calls that count.
func TestScripts(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{`return "a" .. "b" .. 1 .. 2.5`, "ab12.5"},
		{`local function f() return "x", "y" end return "a" .. f()`, "ax"},
		{`local function f(...) return "a" .. ... end return f("b", "c")`, "ab"},
		{`local n = 0 ::a:: n = n + 1 do goto a ::a:: end do if n < 3 then goto a end end return n`, "3"},
		{`g = {} function g.f() return 1 end local a = 2 function g:m() return 3 end local b = 4 return a, b, g.f(), g:m()`, "2 4 1 3"},
		{`local t = setmetatable({}, {__concat = function(a, b) return "meta" end}) return t .. "x", "x" .. t, 1 .. t`, "meta meta meta"},
		{`local t = setmetatable({}, {__concat = function(a, b) return (type(a) == "table" and "T" or a) .. "+" .. (type(b) == "table" and "T" or b) end}) return "a" .. "b" .. t`, "ab+T"},
		{`local called = setmetatable({}, {__call = function() return "called" end}) local t = setmetatable({}, {__concat = called}) return t .. "x"`, "called"},
		{`local t = {} t[1 + 1] = "b" t["k" .. 1] = "c" return t[2], t.k1`, "b c"},
		{`local t = {1, 2} t[1], t[2] = t[2], t[1] return t[1], t[2]`, "2 1"},
		{`local function f() return 7, 8, 9 end local t, a = {} a, t[#t + 1], t.x = f() return a, t[1], t.x`, "7 8 9"},
		{`local function f() return 7, 8 end local t = {} t[#t + 1] = f() return #t, t[1]`, "1 7"},
		{`local function f() return 7, 8 end local t = {} t[#t + 1], t[#t + 2] = f() return t[1], t[2]`, "7 8"},
		{`local i, a = 3, {} i, a[i] = i + 1, 20 return i, a[3], a[4]`, "4 20 nil"},
		{`local a, b = {}, {} a[#a+1], b.x, a[#a+2] = 1 return a[1], b.x, a[2]`, "1 nil nil"},
		{`local t = setmetatable({}, {__newindex = function(t, k, v) rawset(t, k, v .. "!") end}) local k = "z" t[k] = "v" return t.z`, "v!"},
		{`local t = {(function() return 1, 2, 3 end)()} return #t`, "3"},
		{`local t = {(function() return 1, 2, 3 end)(), 9} return #t, t[2]`, "2 9"},
		{`local t = {((function() return 1, 2, 3 end)())} return #t`, "1"},
		{`local t = {a = {b = {c = {}}}, [1 + 1] = "x"} t.a.b.c["d" .. ""] = 5 return t.a.b.c.d, t[2]`, "5 x"},
		{`local function f(...) local t = {...} return #t, select("#", ...) end return f(1, nil, 3)`, "3 3"},
		{`local s = "" for i = 1, 3 do s = s .. i end repeat local z = s .. "." s = z until #z > 5 return s`, "123..."},
		{`local o = {n = 0} function o:inc(k) self[k] = self[k] + 1 return self end return o:inc("n"):inc("n").n`, "2"},
		{`do local x = "a" goto done x = "b" ::done:: end return "ok" .. ""`, "ok"},
		{`return (function(...) local a, b = ... return a .. b end)("p", "q")`, "pq"},
		{`x = 1 local k = "x" _G[k] = 2 return x`, "2"},
		{`local ok = true; ok = tonumber("x") and true; return ok`, "nil"},
		{`local function f(s) s = "<" .. s .. ">" return s end return f("a")`, "<a>"},
		{`local function f(s) s = {s} return s[1] end return f("a")`, "a"},
		{`local a, b = 1, 2; a, b = b, a return a, b`, "2 1"},
		{`local function f(role) if role == "admin" then return "secret" end for k in pairs({a=1}) do if false then local x = k end end return "public" end return f("guest")`, "public"},
		{`return (function(...) local b, g = 1, 2; b = (...); return g end)(7)`, "2"},
		{`local n, x = 0, false while not nil or x do n = n + 1 if n > 3 then break end end return n`, "4"},
		{`local t = {} local old = t t, t.x = 5, 6 return t, old.x`, "5 6"},
		{`local t = {} local old = t t.x, t = 5, 6 return t, old.x`, "6 5"},
		{`local function it(s, k) if not k then return 1 end end local n = 0 for x in it do n = n + x end for x in it do n = n + x end return n`, "2"},
		{`local f = function() return "outer" end do local f = function(n) if n then return "inner" end return f() end return f() end`, "outer"},
		{`local function f(n) if n == 0 then return "deep" end return f(n - 1) end return f(100000)`, "deep"},
		{`local function f(a, b) return a, b end local function g(...) return f(...) end return g(1, 2)`, "1 2"},
		{`return "010" + 0, 0.1 + 0.2 .. "", 1 / 0 .. "", 1e15 .. "", -"2"`, "10 0.3 inf 1e+15 -2"},
		{`local t = {} for i = 1, 3 do local j = i t[i] = function() j = j + 1 return j end end return t[1](), t[1](), t[2](), t[3]()`, "2 3 3 4"},
		{`local t, i = {}, 0 repeat local j = i t[#t + 1] = function() return j end i = i + 1 until j == 1 return t[1](), t[2]()`, "0 1"},
		{`local t = {} for i = 1, 2 do if i == 1 then goto continue end t[#t + 1] = i ::continue:: end return #t, t[1]`, "1 2"},
		{`local i = 1 ::top:: if i < 4 then i = i * 2 goto top end return i`, "4"},
		{`local function f(...) return arg.n, arg[2] end return f(1, 2, 3)`, "3 2"},
		{`local function f(...) local a = ... return arg end return f(1)`, "nil"},
		{`local n = 0 for i = "1", "3" do n = n + i end return n`, "6"},
		{`return #"abc", #{1, 2}, #setmetatable({}, {__len = function() return 9 end})`, "3 2 0"},
		{`return 5.5 % 2, -1 % 3, 100 % 0.1, 7 % -3`, "1.5 2 0 -2"},
		{`return #{` + strings.Repeat("1,", 30000) + `}, #{` + strings.Repeat("1,", 40000) + `}`, "30000 40000"},
		{`local t = {} ` + many("t.a%d = %d ") + ` local o = {m = function(s, x) return x end} t.last = o return t.a399, t.last:m("self"), t.a5`, "399 self 5"},
		{`if false then elseif nil then else return "else" .. 1 end`, "else1"},
	} {
		got, _, err := run(t, c.source, vmtest.Limits())
		if err != nil {
			t.Errorf("%s\nfailed: %v", c.source, err)
		} else if strings.Join(got, " ") != c.want {
			t.Errorf("%s\ngave %q, expected %q", c.source, strings.Join(got, " "), c.want)
		}
	}
}

// many repeats a text with two numbers, which are the same, 400 times: more
// constants than instructions can name as operands.
func many(format string) string {
	var b strings.Builder
	for i := range 400 {
		fmt.Fprintf(&b, format, i, i)
	}
	return b.String()
}

func TestCompileErrors(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{"x = = 1", "a.lua:1:"},
		{"local x = 1\nif x then", "a.lua:2:10: 'end' expected near '<eof>'"},
		{"\n\nfor i = 1 do end", "a.lua:3:"},
		{"goto nowhere", "a.lua:"},
		{"break", "a.lua:"},
		{"\x1bLuaQ", "expected Lua source, not bytecode"},
		{strings.Repeat("(", 3000) + "1" + strings.Repeat(")", 3000), "a.lua"},
		{"return " + strings.Repeat("{", 300) + strings.Repeat("}", 300), "nested too deeply"},
		{"return " + strings.Repeat("-", 0) + strings.Repeat("not ", 300) + "1", "nested too deeply"},
		{strings.Repeat("do ", 300) + strings.Repeat("end ", 300), "nested too deeply"},
		{"return " + strings.Repeat(`"a" .. `, 300) + `"a"`, "too complex"},
		{"while x do " + strings.Repeat("x=1 ", 100000) + "end", "control structure too long"},
		{strings.Repeat(" ", 2<<20), "expected at most"},
		{"local " + strings.Repeat("a,", 300) + "a = 1", "a.lua"},
	} {
		_, err := vm.Compile([]byte(c.source), "a.lua", vm.Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s: %v, expected %q", c.source, err, c.want)
		}
	}
}

func TestErrorsNameTheLineAsWritten(t *testing.T) {
	for line, source := range map[int]string{
		3: "local t\n\nt[1 .. ''] = 2",
		2: "local t = {}\nlocal s = 'a' .. nil .. 'b'",
		4: "local function f()\n  local x = {}\n\n  x['a' .. 1], y = nil + 1, 2\nend f()",
	} {
		_, _, err := run(t, source, vmtest.Limits())
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("a.lua:%d:", line)) {
			t.Errorf("%q: %v, expected line %d", source, err, line)
		}
	}
}

// Each script would take far more than its limits allow.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		source string
		reason vm.Reason
	}{
		{`while true do end`, vm.OutOfInstructions},
		{`while true do pcall(function() while true do end end) end`, vm.OutOfInstructions},
		{`coroutine.wrap(function() while true do end end)()`, vm.OutOfInstructions},
		{`local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) pcall(function() return t[1] end) while true do end`, vm.OutOfInstructions},
		{`local s = "x" while true do s = s .. s end`, vm.OutOfMemory},
		{`local t = {} while true do t[#t + 1] = ("abc"):rep(50) .. #t end`, vm.OutOfMemory},
		{`local t = {} while true do t[#t + 1] = {} end`, vm.OutOfMemory},
		{`local t = {} while true do t["k" .. #t .. tostring({})] = 1 end`, vm.OutOfMemory},
		{`while true do local t = {} t[2^15 - 1] = 1 end`, vm.OutOfMemory},
		{`while true do local t, a = {} a, t[2^15 - 1] = 1, 2 end`, vm.OutOfMemory},
		{`string.rep("x", 1e9)`, vm.OutOfMemory},
	} {
		limits := &vm.Limits{Instructions: 3_000_000, Memory: 16 << 20, Coroutines: 10}
		_, r, err := run(t, c.source, limits)
		if err == nil || r.Exhausted() == nil || r.Exhausted().Reason != c.reason {
			t.Errorf("%s: %v, expected to run out of %s", c.source, err, c.reason)
		}
	}
}

func TestGlobals(t *testing.T) {
	program, err := vm.Compile([]byte(`
local a = 1
function known() return a, b end
c = d
local function f(e) return e, f, g end
for i, v in pairs({}) do h(i, v) end
`), "a.lua", vm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var reads, writes []string
	for _, g := range program.Reads {
		reads = append(reads, fmt.Sprint(g.Name, ":", g.Line))
	}
	for _, g := range program.Writes {
		writes = append(writes, fmt.Sprint(g.Name, ":", g.Line))
	}
	if want := []string{"b:3", "d:4", "g:5", "pairs:6", "h:6"}; !slices.Equal(reads, want) {
		t.Errorf("reads %v, expected %v", reads, want)
	}
	if want := []string{"known:3", "c:4"}; !slices.Equal(writes, want) {
		t.Errorf("writes %v, expected %v", writes, want)
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{`t[k], x = f(), "a" .. b`, `return {1, [k] = v, f()}`, `goto a ::a::`, `if a then elseif b then end`} {
		f.Add(seed)
	}
	scripts, _ := filepath.Glob("../../scripts/*.lua")
	for _, name := range scripts {
		if source, err := os.ReadFile(name); err == nil {
			f.Add(string(source))
		}
	}
	f.Fuzz(func(t *testing.T, source string) {
		if len(source) > 4096 {
			return
		}
		for _, cover := range []bool{false, true} {
			program, err := vm.Compile([]byte(source), "a.lua", vm.Options{Cover: cover})
			if err == nil && program == nil || err != nil && !strings.HasPrefix(err.Error(), "a.lua:") {
				t.Errorf("%q: %v, %v", source, program, err)
			}
		}
	})
}
