package luatest

import (
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/stdlib"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// maxTests bounds the tests and groups of a file, maxOutput what a test prints.
const (
	maxTests  = 10_000
	maxOutput = 64 << 10
)

// openFunctions makes the global functions of a test file.
func (f *file) openFunctions(L *glua.LState) {
	globals := L.G.Global
	for name, fn := range map[string]glua.LGFunction{
		"test": f.test(false), "skip": f.test(true), "describe": f.describeGroup,
		"before_each": f.around(func(g *group) *[]*glua.LFunction { return &g.before }),
		"after_each":  f.around(func(g *group) *[]*glua.LFunction { return &g.after }),
		"scripts":     f.scripts, "config": f.config, "require": f.require, "print": f.print,
		"request": f.request, "expect": f.expect, "fail": failTest, "mock": f.namedMock,
	} {
		globals.RawSetString(name, L.NewFunction(fn))
	}
	f.openMessages(L)
	f.openExpect(L)
	for name, t := range map[string]*glua.LTable{
		"clock": f.openClock(L), "gateway": f.openGateway(L), "upstream": f.mockTable(L, ""),
	} {
		globals.RawSetString(name, vm.Freeze(L, name, t))
	}
	// upstream(name) is another one.
	upstream := globals.RawGetString("upstream").(*glua.LTable) //nolint:forcetypeassert // set above
	meta(upstream).RawSetString("__call", L.NewFunction(func(L *glua.LState) int {
		vm.DropSelf(L)
		return f.namedMock(L)
	}))
}

// test is test(name, function) and skip(name, function).
func (f *file) test(skip bool) glua.LGFunction {
	return func(L *glua.LState) int {
		f.declaring(L)
		name := checkName(L)
		fn, ok := L.Get(2).(*glua.LFunction)
		if !ok && (!skip || L.Get(2) != glua.LNil) {
			vm.ArgError(L, 2, "expected a function")
		}
		if len(f.tests) >= maxTests {
			L.RaiseError("too many tests in a file, expected at most %d", maxTests)
		}
		f.tests = append(f.tests, &testCase{group: f.current, name: name, fn: fn, skip: skip})
		return 0
	}
}

// describeGroup is describe(name, function).
func (f *file) describeGroup(L *glua.LState) int {
	f.declaring(L)
	name, fn := checkName(L), vm.CheckFunction(L, 2)
	outer := f.current
	f.current = &group{parent: outer, name: name}
	defer func() { f.current = outer }()
	L.Push(fn)
	L.Call(0, 0)
	return 0
}

// around is before_each(function) and after_each(function).
func (f *file) around(list func(g *group) *[]*glua.LFunction) glua.LGFunction {
	return func(L *glua.LState) int {
		f.declaring(L)
		to := list(f.current)
		*to = append(*to, vm.CheckFunction(L, 1))
		return 0
	}
}

// declaring refuses declarations while a test runs.
func (f *file) declaring(L *glua.LState) {
	if f.running != nil {
		L.RaiseError("tests are declared by the file and by describe, not within tests")
	}
}

// inTest returns the test that runs.
func (f *file) inTest(L *glua.LState) *testCase {
	if f.running == nil {
		L.RaiseError("there is no gateway while the file declares its tests: do this in test, before_each or after_each")
	}
	return f.running
}

// settingsOf returns what a call of scripts or config is for: the group that
// is being declared or, before its gateway has been asked for, the test.
func (f *file) settingsOf(L *glua.LState) *group {
	t := f.running
	if t == nil {
		return f.current
	}
	if t.gateway != nil {
		L.RaiseError("the gateway of this test has been started already: do this before the first request")
	}
	return &t.own
}

func checkName(L *glua.LState) string {
	name := strings.TrimSpace(vm.CheckString(L, 1))
	if name == "" || len(name) > 1000 {
		vm.ArgError(L, 1, "expected a name of 1 to 1000 bytes")
	}
	return strings.Join(strings.Fields(name), " ")
}

// print writes its arguments to the test's output.
func (f *file) print(L *glua.LState) int {
	var line strings.Builder
	for i := 1; i <= L.GetTop(); i++ {
		if i > 1 {
			line.WriteByte('\t')
		}
		if L.Get(i).Type() == glua.LTTable {
			line.WriteString(show(L.Get(i)))
			continue
		}
		line.WriteString(stdlib.ToString(L, L.Get(i)))
		if line.Len() > maxOutput {
			break
		}
	}
	f.write(line.String())
	return 0
}

// write adds a line to the output of the test that runs, if any; the machine's
// lock is held.
func (f *file) write(line string) {
	if t := f.running; t != nil && t.output.Len()+len(line) <= maxOutput {
		t.output.WriteString(line + "\n")
	}
}

// Write takes a line of the log module of the test's own VM: it is called by
// Lua, with the machine's lock held.
func (f *file) Write(line []byte) (int, error) {
	if e, ok := parseEntry(line); ok {
		f.write(e.level + ": " + e.message + describeFields(e.fields))
	}
	return len(line), nil
}

// failTest is fail(message).
func failTest(L *glua.LState) int {
	L.RaiseError("%s", vm.OptString(L, 1, "failed"))
	return 0
}
