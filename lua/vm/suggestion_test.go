package vm_test

import (
	"strings"
	"testing"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/stdlib"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// TestWhatWasMeant: errors about what isn't there guess at what was meant, by what is.
func TestWhatWasMeant(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 40)
	for _, c := range []struct{ source, want string }{
		{`strng.rep("x", 1)`, "attempt to index global 'strng' (a nil value) (did you mean 'string'?)"},
		{`tostrin(1)`, "attempt to call global 'tostrin' (a nil value) (did you mean 'tostring'?)"},
		{`local counter = 1 conter()`, "attempt to call global 'conter' (a nil value) (did you mean 'counter'?)"},
		{`local counter = 1 local function f() return counter, conter.x end f()`, "attempt to index global 'conter' (a nil value) (did you mean 'counter'?)"},
		{`do local counter = 1 end conter()`, "attempt to call global 'conter' (a nil value)"},
		{`conter() local counter = 1`, "attempt to call global 'conter' (a nil value)"},
		{`zzzzzzzz()`, "attempt to call global 'zzzzzzzz' (a nil value)"},
		{`string.formt("x")`, "attempt to call field 'formt' (a nil value) (did you mean 'format'?)"},
		{`("x"):formt()`, "attempt to call method 'formt' (a nil value) (did you mean 'format'?)"},
		{`string.substring("x")`, "attempt to call field 'substring' (a nil value) (did you mean 'sub'?)"},
		{`table.push({}, 1)`, "attempt to call field 'push' (a nil value) (did you mean 'insert'?)"},
		{`os.getenv("x")`, "attempt to call field 'getenv' (a nil value) (did you mean 'get_env'?)"},
		{`table.stringify({})`, "attempt to call field 'stringify' (a nil value)"},
		{`null.x = 1`, "attempt to index global 'null' (a nil value) (did you mean 'nil'?)"},
		{`local t = {colour = 1} t.color.x = 1`, "attempt to index field 'color' (a nil value) (did you mean 'colour'?)"},
		{`local t = {a = {colour = 1}} t.a.color.x = 1`, "attempt to index field 'color' (a nil value) (did you mean 'colour'?)"},
		{`local t = setmetatable({}, {__index = setmetatable({}, {__index = {colour = 1}})}) t.color.x = 1`, "attempt to index field 'color' (a nil value) (did you mean 'colour'?)"},
		{`local t = setmetatable({}, {__index = function() end}) t.color.x = 1`, "attempt to index field 'color' (a nil value)"},
		{`local t = {headers = 1, header = function() end} t.header.x = 1`, "attempt to index field 'header' (a function value) (did you mean 'headers'?)"},
		{`local t = {headerz = 1, header = function() end} t.header.x = 1`, "attempt to index field 'header' (a function value)"},
		{`local t = {color = 5, colour = 1} t.color.x = 1`, "attempt to index field 'color' (a number value)"},
		{`local t = {colour = nil} t.color.x = 1`, "attempt to index field 'color' (a nil value)"},
		{`object.pth.x = 1`, "attempt to index field 'pth' (a nil value) (did you mean 'path'?)"},
		{`object:pth()`, "attempt to call method 'pth' (a nil value) (did you mean 'path'?)"},
		{`local t = {` + long + ` = 1} t.` + long[1:] + `.x = 1`, "(a nil value) (did you mean '" + long + "'?)"},
		{`local t = {` + long + `m = 1} t.` + long + `.x = 1`, "attempt to index field '" + long + "' (a nil value)"},
		{`local t = {` + long + ` = 1} t.` + long + `m.x = 1`, "attempt to index field '" + long + "m' (a nil value)"},
		{`local function f(...) type(1) ; (...)() end f()`, "attempt to call a nil value"},
		{`local function f(...) local a, b = ... ; b() end f(1)`, "attempt to call local 'b' (a nil value)"},
		{deeper(5), "attempt to index field 'color' (a nil value) (did you mean 'colour'?)"},
		{deeper(6), "attempt to index field 'color' (a nil value)"},
	} {
		m := newMeter(t, generous(), vm.NewLedger(0, 0), nil)
		program, err := vm.Compile([]byte(c.source), "a.lua", vm.Options{})
		if err != nil {
			t.Fatalf("%s: %v", c.source, err)
		}
		object := m.main.NewUserData()
		meta := m.main.CreateTable(0, 1)
		meta.RawSetString("__index", m.main.NewFunction(func(*glua.LState) int { return 0 }))
		object.Metatable = meta
		m.main.G.Global.RawSetString("object", object)
		names := func(u *glua.LUserData) []string {
			if u != object {
				t.Error("it was asked for the names of another object")
			}
			return []string{"method", "path"}
		}
		m.L.Push(program.Instantiate(m.lock, &vm.Functions{SetIndex: stdlib.SetIndex, Names: names}))
		err = vm.Call(m.L, 0, 0)
		if err == nil {
			t.Errorf("%s: no error", c.source)
			continue
		}
		got, _, _ := strings.Cut(err.Error(), "\n")
		if got = strings.TrimPrefix(got, "a.lua:1: "); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s\ngives    %s\nexpected %s", c.source, got, c.want)
		}
	}
}

// deeper is a table whose field is in the n-th table that __index leads to, itself
// counted.
func deeper(n int) string {
	source := `{colour = 1}`
	for range n - 1 {
		source = `setmetatable({}, {__index = ` + source + `})`
	}
	return `local t = ` + source + ` t.color.x = 1`
}

// TestSuggestions is that of names which are known otherwise.
func TestSuggestions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, known string
		global      bool
		want        string
	}{
		{"api_kei", "api_key user", false, " (did you mean 'api_key'?)"},
		{"api_key", "api_key", false, ""},
		{"api_key", "", false, ""},
		{"user", "password", false, ""},
		{"null", "nul", true, " (did you mean 'nil'?)"},
		{"null", "nul", false, " (did you mean 'nul'?)"},
		{"respnse", "response", true, " (did you mean 'response'?)"},
	} {
		suggest := vm.Suggestion
		if c.global {
			suggest = vm.GlobalSuggestion
		}
		if got := suggest(c.name, strings.Fields(c.known)); got != c.want {
			t.Errorf("%s of %q: got %q, want %q", c.name, c.known, got, c.want)
		}
	}
}

// TestFunctionsKnowWhatTheyAreCalled: by what name a function of the gateway's was
// called, and whose field that is.
func TestFunctionsKnowWhatTheyAreCalled(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`f()`:             "global f, of nothing",
		`local g = f g()`: "local g, of nothing",
		`local g = f local function h() g() end h()`: "upvalue g, of nothing",
		`t.f()`:                     "field f, of t",
		`local u = t u.f()`:         "field f, of t",
		`local u = {t = t} u.t.f()`: "field f, of t",
		`t:f()`:                     "method f, of nothing",
		`(f)()`:                     "global f, of nothing",
		`({f})[1]()`:                "field ?, of nothing",
		`pcall(f)`:                  " , of nothing",
		`return f()`:                "global f, of nothing",
		`for k in f do end`:         "local (for generator), of nothing",
	} {
		m := newMeter(t, generous(), vm.NewLedger(0, 0), nil)
		got := "it wasn't called"
		table := m.main.CreateTable(0, 1)
		f := m.main.NewFunction(func(L *glua.LState) int {
			kind, name, of := vm.CalledAs(L)
			whose := "nothing"
			if of == table {
				whose = "t"
			} else if of != nil {
				whose = of.String()
			}
			got = kind + " " + name + ", of " + whose
			return 0
		})
		table.RawSetString("f", f)
		m.main.G.Global.RawSetString("f", f)
		m.main.G.Global.RawSetString("t", table)
		if err := m.lua(t, source); err != nil || got != want {
			t.Errorf("%s: got %q, want %q; %v", source, got, want, err)
		}
	}
	m := newMeter(t, generous(), vm.NewLedger(0, 0), nil)
	if kind, name, of := vm.CalledAs(m.L); kind != "" || name != "" || of != nil {
		t.Errorf("outside of functions: %q %q %v", kind, name, of)
	}
}

// TestFunctionAtALevel: the function that runs is 0, who has called it 1.
func TestFunctionAtALevel(t *testing.T) {
	t.Parallel()
	m := newMeter(t, generous(), vm.NewLedger(0, 0), nil)
	var levels []*glua.LFunction
	look := m.main.NewFunction(func(L *glua.LState) int {
		for level := range 5 {
			levels = append(levels, vm.FunctionAt(L, level))
		}
		return 0
	})
	m.main.G.Global.RawSetString("look", look)
	if err := m.lua(t, `function outer() look() end outer()`); err != nil {
		t.Fatal(err)
	}
	outer := m.main.G.Global.RawGetString("outer")
	if levels[0] != look || levels[1] != outer || levels[2] == nil || levels[2] == outer || levels[3] != nil || levels[4] != nil {
		t.Errorf("got %v", levels)
	}
	if f := vm.FunctionAt(m.L, 0); f != nil {
		t.Errorf("outside of functions: %v", f)
	}
}
