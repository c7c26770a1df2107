package vm_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/stdlib"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// compiled compiles a source whose name is a.lua.
func compiled(t *testing.T, source string) *vm.Program {
	t.Helper()
	program, err := vm.Compile([]byte(source), "a.lua", vm.Options{})
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return program
}

// reached runs a source, and looks at the function that it returns.
func reached(t *testing.T, source string, visits int) vm.Found {
	t.Helper()
	m := newMeter(t, generous(), vm.NewLedger(0, 0), nil)
	m.L.Push(compiled(t, source).Instantiate(m.lock, &vm.Functions{SetIndex: stdlib.SetIndex}))
	if err := vm.Call(m.L, 0, 1); err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return vm.Reach(m.L, []*glua.LFunction{m.L.Get(-1).(*glua.LFunction)}, visits)
}

// told is what was found, in words.
func told(found vm.Found) string {
	var list []string
	for name, place := range found.Written {
		list = append(list, fmt.Sprintf("%s at %s:%d", name, place.Script, place.Line))
	}
	for place, words := range found.Missing {
		list = append(list, fmt.Sprintf("%s:%d: %s", place.Script, place.Line, words))
	}
	slices.Sort(list)
	return strings.Join(list, "; ")
}

// nested is a table in tables, of which the n-th has a function that writes a global.
func nested(n int) string {
	return "local t = " + strings.Repeat("{a = ", n) + "function() g = 1 end" + strings.Repeat("}", n) + "\nreturn function() t() end"
}

// TestReach: what a function does by itself, and by all that it can call.
func TestReach(t *testing.T) {
	t.Parallel()
	const written = "g at a.lua:1"
	for _, c := range []struct{ source, want string }{
		{"return function() local a = 1 return a end", ""},
		{"g = 1 return function() end", ""},
		{"return function() g = 1 end", written},
		{"return function()\ng = 1\ng = 2 h = 3\nend", "g at a.lua:2; h at a.lua:3"},
		{"return function() return function() g = 1 end end", written},
		{"return function() local a, b = 1, 2 local f = function() return a, b end g = 1 end", written},
		{"local function f() g = 1 end\nreturn function() f() end", written},
		{"local function f() g = 1 end\nreturn function() f = nil end", written},
		{"function f() g = 1 end\nreturn function() f() end", written},
		{"function f() g = 1 end\nreturn function() end", ""},
		{"t = {f = function() g = 1 end}\nreturn function() t.f() end", written},
		{"local t = {function() g = 1 end}\nreturn function() t[1]() end", written},
		{"local t = setmetatable({}, {__index = function() g = 1 end})\nreturn function() return t.x end", written},
		{"local t = {} t.t = t\nreturn function() return t.x end", ""},
		{"function f() g = 1 end local t = _G\nreturn function() t() end", ""},
		{"string.own = function() g = 1 end\nreturn function() string.own() end", ""},
		{"return string.format", ""},
		{"local f = string.format return function() f() end", ""},
		{"local t t = {" + strings.Repeat("1,", 60) + "}\nreturn function() local l = {" + strings.Repeat("1,", 60) + "} g = 1 end", "g at a.lua:2"},
		{nested(1), written},
		{nested(5), written},
		{nested(6), ""},
		{"return function() string.formt('x') end", "a.lua:1: attempt to call field 'formt' (a nil value) (did you mean 'format'?)"},
		{"return function() return string.formt('x') end", "a.lua:1: attempt to call field 'formt' (a nil value) (did you mean 'format'?)"},
		{"return function() string.zzzzzzz('x') end", "a.lua:1: attempt to call field 'zzzzzzz' (a nil value)"},
		{"local s = string\nreturn function()\ns.formt('x') end", "a.lua:3: attempt to call field 'formt' (a nil value) (did you mean 'format'?)"},
		{"return function() string:formt('x') end", "a.lua:1: attempt to call method 'formt' (a nil value) (did you mean 'format'?)"},
		{"return function() local s = string s.formt('x') end", ""}, // what a local has while nothing runs isn't known
		{"return function() string.format('x') end", ""},
		{"return function() string['for' .. 'mt']('x') end", ""},
		{"return function() unknown.formt('x') end", ""},
		{"t = {} return function() t.formt('x') end", ""},
		{"return function() formt('x') end", ""},
	} {
		if got := told(reached(t, c.source, 1000)); got != c.want {
			t.Errorf("%s\ngives    %q\nexpected %q", c.source, got, c.want)
		}
	}
}

// TestReachIsBounded: so many values are looked at, of which calls that stand far
// into a function count as many.
func TestReachIsBounded(t *testing.T) {
	t.Parallel()
	var functions strings.Builder
	for i := range 50 {
		fmt.Fprintf(&functions, "local f%d = function() g%d = 1 end\n", i, i)
	}
	functions.WriteString("return function() return f0")
	for i := range 49 {
		fmt.Fprintf(&functions, ", f%d", i+1)
	}
	functions.WriteString(" end")
	for visits, want := range map[int]int{0: 0, 1: 0, 2: 1, 11: 10, 51: 50, 100: 50} {
		if got := len(reached(t, functions.String(), visits).Written); got != want {
			t.Errorf("of %d visits %d globals are found, want %d", visits, got, want)
		}
	}
	table := "local t = {} for i = 1, 50 do t[i] = {} end t[51] = function() g = 1 end return function() return t end"
	for visits, want := range map[int]int{102: 0, 103: 0, 104: 1} {
		if got := len(reached(t, table, visits).Written); got != want {
			t.Errorf("of %d visits %d globals are found in a table, want %d", visits, got, want)
		}
	}
	missing := "return function()\n" + strings.Repeat("string.formt()\n", 150) + "end"
	if got := len(reached(t, missing, 1<<20).Missing); got != 100 {
		t.Errorf("%d functions are missed, want 100", got)
	}
	if got := len(reached(t, missing, 11).Missing); got != 9 { // a function, and nine calls
		t.Errorf("of 11 visits %d functions are missed, want 9", got)
	}
}

// TestLiteralCalls: the texts that a function is called with, and where.
func TestLiteralCalls(t *testing.T) {
	t.Parallel()
	program := compiled(t, `local a = get_env("A")
function f() return get_env("B"), get_env(a), other("C"), get_env(1), get_env("D", 2), x.get_env("E") end
print("get_env") get_env = 1 get_env("F")`)
	got := program.LiteralCalls("get_env")
	var list []string
	for place, text := range got {
		list = append(list, fmt.Sprintf("%s:%d %s", place.Script, place.Line, text))
	}
	slices.Sort(list)
	if want := []string{"a.lua:1 A", "a.lua:2 B", "a.lua:3 F"}; !slices.Equal(list, want) {
		t.Errorf("got %q, want %q", list, want)
	}
}

// TestProgramsTellTheirNames: what is a text of theirs, and what their variables are
// called.
func TestProgramsTellTheirNames(t *testing.T) {
	t.Parallel()
	program := compiled(t, `local one = "text" local function f(two) for three = 1, 2 do local four = function() return "inner" end end end`)
	for text, want := range map[string]bool{"text": true, "inner": true, "one": false, "other": false} {
		if program.Mentions(text) != want {
			t.Errorf("it mentions %q: %v", text, !want)
		}
	}
	got := slices.DeleteFunc(program.Variables(), func(name string) bool { return strings.HasPrefix(name, "(") })
	if want := []string{"f", "four", "one", "three", "two"}; !slices.Equal(got, want) {
		t.Errorf("its variables are %q, want %q", got, want)
	}
	var many strings.Builder
	for i := range 500 {
		fmt.Fprintf(&many, "do local v%d end ", i)
	}
	if got := len(compiled(t, many.String()).Variables()); got != 400 {
		t.Errorf("it tells %d variables, want 400", got)
	}
}

// TestUndefined: the globals that are read and that nobody writes, once a line.
func TestUndefined(t *testing.T) {
	t.Parallel()
	first, second := compiled(t, "a = b\nc() c() d()\nc()"), compiled(t, "b = print\nx = y")
	known := func(name string) bool { return name == "print" }
	undefined := vm.Undefined([]*vm.Program{first, second}, known)
	var got []string
	for p := range maps.Keys(undefined) {
		for _, g := range undefined[p] {
			got = append(got, fmt.Sprint(p == first, " ", g.Name, ":", g.Line))
		}
	}
	slices.Sort(got)
	if want := []string{"false y:2", "true c:2", "true c:3", "true d:2"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
