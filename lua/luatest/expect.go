package luatest

import (
	"fmt"
	"slices"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/stdlib"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// verdict is what a matcher finds: whether it holds, and the words for when it
// should have or should not have.
type verdict struct {
	ok       bool
	expected string // after "expected"; "not" precedes it where it is denied
	detail   string // of a difference, in lines of its own
}

// matcher judges a value by the arguments from the second on.
type matcher func(L *glua.LState, v glua.LValue) verdict

func simple(expected string, ok func(v glua.LValue) bool) matcher {
	return func(_ *glua.LState, v glua.LValue) verdict { return verdict{ok: ok(v), expected: expected} }
}

// matchers are the methods of what expect returns. Each exists denied too:
// is_nil as is_not_nil, equals as not_equals.
func matchers() map[string]matcher {
	return map[string]matcher{
		"equals":   matchEquals,
		"is_nil":   simple("nil", func(v glua.LValue) bool { return v == glua.LNil }),
		"is_true":  simple("true", func(v glua.LValue) bool { return v == glua.LTrue }),
		"is_false": simple("false", func(v glua.LValue) bool { return v == glua.LFalse }),
		"is_empty": matchEmpty,
		"is_a":     matchType,
		"contains": matchContains,
		"matches":  matchPattern,
		"errors":   matchErrors,
		"at_least": matchOrder("at least", func(v, bound float64) bool { return v >= bound }),
		"at_most":  matchOrder("at most", func(v, bound float64) bool { return v <= bound }),
		"has_length": func(L *glua.LState, v glua.LValue) verdict {
			n, ok := lengthOf(v)
			return verdict{ok: ok && n == vm.CheckInt(L, 2), expected: fmt.Sprintf("a length of %d", vm.CheckInt(L, 2))}
		},
	}
}

// openExpect makes the metatable of what expect returns.
func (f *file) openExpect(L *glua.LState) {
	methods := L.NewTable()
	for name, m := range matchers() {
		denied := "not_" + name
		if rest, ok := strings.CutPrefix(name, "is_"); ok {
			denied = "is_not_" + rest
		}
		methods.RawSetString(name, L.NewFunction(f.judge(m, true)))
		methods.RawSetString(denied, L.NewFunction(f.judge(m, false)))
	}
	names := []string{}
	methods.ForEach(func(k, _ glua.LValue) { names = append(names, k.String()) })
	slices.Sort(names)
	unknown := L.NewTable()
	unknown.RawSetString("__index", L.NewFunction(func(L *glua.LState) int {
		L.RaiseError("there is no expectation %s, only %s", show(L.Get(2)), strings.Join(names, ", "))
		return 0
	}))
	methods.Metatable = unknown
	f.expects = L.NewTable()
	f.expects.RawSetString("__index", methods)
	f.expects.RawSetString("__metatable", glua.LFalse)
}

// expectation is what expect(value) returns.
type expectation struct{ value glua.LValue }

func (f *file) expect(L *glua.LState) int {
	if L.GetTop() == 0 {
		vm.ArgError(L, 1, "expected a value")
	}
	vm.RunOf(L).Charge(L, 100)
	L.Push(&glua.LUserData{Value: &expectation{L.Get(1)}, Metatable: f.expects})
	return 1
}

// judge makes a method of a matcher. It returns the expectation, so that
// several can be chained.
func (*file) judge(m matcher, wanted bool) glua.LGFunction {
	return func(L *glua.LState) int {
		e, ok := vm.CheckUserData(L, 1).Value.(*expectation)
		if !ok {
			vm.ArgError(L, 1, "expected expect(value); call it with a colon")
		}
		v := m(L, e.value)
		if v.ok != wanted {
			not := ""
			if !wanted {
				not = "not "
			}
			L.RaiseError("%s", "expectation failed\n  expected: "+not+v.expected+"\n  actual:   "+show(e.value)+v.detail)
		}
		L.SetTop(1)
		return 1
	}
}

func matchEquals(L *glua.LState, v glua.LValue) verdict {
	expected := vm.CheckAny(L, 2)
	c := comparison{L: L}
	if c.equal(expected, v) {
		return verdict{ok: true, expected: show(expected)}
	}
	found := verdict{expected: show(expected)}
	if c.at != "" {
		found.detail = fmt.Sprintf("\n  they differ at %s: expected %s, actual %s", c.at, show(c.expected), show(c.actual))
	}
	a, aText := c.expected.(glua.LString)
	b, bText := c.actual.(glua.LString)
	if aText && bText && len(a)+len(b) > 80 {
		at := 0
		for at < len(a) && at < len(b) && a[at] == b[at] {
			at++
		}
		from := max(0, at-20)
		found.detail += fmt.Sprintf("\n  they differ from byte %d on: expected …%s, actual …%s", at+1,
			quote(clip(string(a[from:]), 60)), quote(clip(string(b[from:]), 60)))
	}
	return found
}

// lengthOf is the length of a string or list, or how many entries a table has.
func lengthOf(v glua.LValue) (int, bool) {
	switch v := v.(type) {
	case glua.LString:
		return len(v), true
	case *glua.LTable:
		t := plain(v)
		if n := t.Len(); n > 0 {
			return n, true
		}
		n := 0
		t.ForEach(func(_, _ glua.LValue) { n++ })
		return n, true
	}
	return 0, false
}

func matchEmpty(_ *glua.LState, v glua.LValue) verdict {
	n, ok := lengthOf(v)
	return verdict{ok: ok && n == 0, expected: "an empty string or table"}
}

func matchType(L *glua.LState, v glua.LValue) verdict {
	return verdict{ok: v.Type().String() == vm.CheckString(L, 2), expected: "a " + vm.CheckString(L, 2)}
}

// matchContains looks for a part of a string, or for an entry of a list.
func matchContains(L *glua.LState, v glua.LValue) verdict {
	part := vm.CheckAny(L, 2)
	found := verdict{expected: "something that contains " + show(part)}
	switch v := v.(type) {
	case glua.LString:
		text := vm.CheckString(L, 2)
		vm.RunOf(L).Spend(L, len(v)/16)
		found.ok = strings.Contains(string(v), text)
	case *glua.LTable:
		t := plain(v)
		for i := 1; i <= t.Len() && !found.ok; i++ {
			found.ok = (&comparison{L: L}).equal(part, t.RawGet(glua.LNumber(i)))
		}
	}
	return found
}

// matchPattern is string.find with a Lua pattern.
func matchPattern(L *glua.LState, v glua.LValue) verdict {
	found := verdict{expected: "something that matches " + quote(vm.CheckString(L, 2))}
	text, ok := v.(glua.LString)
	if !ok {
		return found
	}
	library, ok := L.G.Global.RawGetString("string").(*glua.LTable)
	if !ok {
		return found
	}
	L.Push(plain(library).RawGetString("find"))
	L.Push(text)
	L.Push(L.Get(2))
	L.Call(2, 1)
	found.ok = L.Get(-1) != glua.LNil
	L.Pop(1)
	return found
}

// matchErrors calls the value, which must raise an error, whose text contains
// the argument if there is one.
func matchErrors(L *glua.LState, v glua.LValue) verdict {
	part := vm.OptString(L, 2, "")
	found := verdict{expected: "a function that raises an error"}
	if part != "" {
		found.expected += " with " + quote(part)
	}
	results, ok := stdlib.PCall(L, v)
	switch {
	case ok:
		found.detail = "\n  it returned without an error"
	case len(results) > 0:
		text := errorText(results[0])
		found.ok = strings.Contains(text, part)
		found.detail = "\n  it raised: " + text
	}
	return found
}

func matchOrder(words string, holds func(v, bound float64) bool) matcher {
	return func(L *glua.LState, v glua.LValue) verdict {
		bound := vm.CheckNumber(L, 2)
		n, ok := v.(glua.LNumber)
		return verdict{ok: ok && holds(float64(n), float64(bound)), expected: fmt.Sprintf("a number %s %s", words, bound)}
	}
}
