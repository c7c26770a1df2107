package luatest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/lua/stdlib"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
)

// Bounds of the tests' own VM: generous, but a test that never ends or eats
// all memory fails alone.
const (
	maxInstructions = 1 << 50 // time bounds it
	maxMemory       = 256 << 20
	maxCoroutines   = 1000
)

// machine is the VM of one test file.
type machine struct {
	main      *glua.LState
	lock      *vm.Lock
	functions vm.Functions
	modules   map[string]*glua.LTable // "keystone.json" and the like
	packages  *stdlib.Packages        // modules of the directory
	closed    bool
	client    *fetch.Client

	// answering is held for reading by functions that answer for mocks: a test
	// is over when they are.
	answering sync.RWMutex
}

// testModules are those that make sense outside of the gateway: shared and
// limit would show a dictionary that is not the scripts'.
var testModules = []string{"json", "crypto", "jwt", "re", "time", "url", "http", "log"}

// newMachine makes a VM. log receives what keystone.log is given.
func newMachine(c modules.Clock, log io.Writer, cover func(string, int)) *machine {
	main := glua.NewState(glua.Options{
		SkipOpenLibs: true, RegistrySize: 256, RegistryMaxSize: 256 << 10, RegistryGrowStep: 4096,
		CallStackSize: 256, MinimizeStackMemory: true,
	})
	m := &machine{
		main: main, lock: vm.NewLock(main, vm.NewLedger(0, 0), nil), functions: vm.Functions{SetIndex: stdlib.SetIndex, Line: cover},
		modules: map[string]*glua.LTable{},
		client: fetch.New(fetch.Config{ // tests ask the gateway itself, and mocks
			Allow: []fetch.Permission{{Network: netip.MustParsePrefix(mockNetwork)}},
		}),
	}
	stdlib.Open(main, c.Now)
	m.packages = stdlib.OpenPackages(main, "?.lua;?/init.lua")
	tenant := &modules.Tenant{
		Name: "test", Log: zerolog.New(log), Clock: c, Random: rand.Reader, HTTP: m.client,
		Env: func(string) (string, bool) { return "", false },
	}
	tables := modules.Open(main, tenant)
	for _, name := range testModules {
		m.modules["keystone."+name] = vm.Freeze(main, name, tables[name])
	}
	for _, name := range []string{"json", "http", "log"} { // global in scripts too
		main.G.Global.RawSetString(name, m.modules["keystone."+name])
	}
	meta(m.modules["keystone.log"]).RawSetString("__call", main.NewFunction(modules.LogCall(tenant)))
	return m
}

// meta returns the metatable of a table that has been frozen.
func meta(t *glua.LTable) *glua.LTable {
	meta, ok := t.Metatable.(*glua.LTable)
	if !ok {
		panic("BUG: the table is not frozen")
	}
	return meta
}

func (m *machine) close() {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.closed = true
	m.main.Close()
	m.client.Close()
}

// luaError is an error of Lua code with where it came from.
type luaError struct {
	message string
	stack   []string // the innermost frame first
}

func (e *luaError) Error() string { return e.message }

// call runs fn with the arguments that args pushes, in a run of its own, and
// hands its first result to result. It takes the lock; args and result are
// called with it held, and may be nil.
func (m *machine) call(ctx context.Context, timeout time.Duration, fn *glua.LFunction, args func(L *glua.LState) int, result func(L *glua.LState, v glua.LValue) error) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.closed {
		return errors.New("the test file has ended")
	}
	outer := m.main.G.CurrentThread
	defer func() { m.main.G.CurrentThread = outer }()
	run := &vm.Run{}
	run.Begin(ctx, m.lock, &vm.Limits{
		Instructions: maxInstructions, Memory: maxMemory, TotalTimeout: timeout, Coroutines: maxCoroutines,
	})
	defer run.End()
	thread, _ := m.main.NewThread()
	thread.SetContext(run)
	m.main.G.CurrentThread = thread
	// One more Go function around everything, so that args and result are
	// protected too.
	thread.Push(m.main.NewFunction(func(L *glua.LState) int {
		L.Push(fn)
		n := 0
		if args != nil {
			n = args(L)
		}
		L.Call(n, 1)
		if result != nil {
			if err := result(L, L.Get(-1)); err != nil {
				L.RaiseError("%s", err.Error())
			}
		}
		return 0
	}))
	if err := vm.Call(thread, 0, 0); err != nil {
		return failure(err, run.Exhausted(), timeout)
	}
	return nil
}

// failure words what a protected call has returned.
func failure(err error, exhausted *vm.Exhausted, timeout time.Duration) error {
	e := &luaError{message: err.Error()}
	if raised, ok := errors.AsType[*glua.ApiError](err); ok {
		e.message = "nil"
		if raised.Object != nil {
			e.message = errorText(raised.Object)
		}
		e.stack = frames(raised.StackTrace)
	}
	switch {
	case exhausted == nil:
	case exhausted.Reason == vm.OutOfTotalTime:
		e.message = fmt.Sprintf("took longer than %v", timeout)
	case exhausted.Reason == vm.OutOfMemory:
		e.message = fmt.Sprintf("used more than %d MiB of memory", maxMemory>>20)
	default:
		e.message = exhausted.Limit
	}
	if len(e.stack) > 0 && exhausted != nil {
		e.message = position(e.stack[0]) + ": " + e.message
	}
	return e
}

// errorText words an error value.
func errorText(v glua.LValue) string {
	if v.Type() == glua.LTString || v.Type() == glua.LTNumber {
		return v.String()
	}
	return "error value: " + show(v)
}

// frames returns where Lua code stood, such as "auth.lua:12 in function 'key'",
// without what is Go's.
func frames(trace string) []string {
	var list []string
	for line := range strings.Lines(trace) {
		at, within, ok := strings.Cut(strings.TrimSpace(line), ": in ")
		if !ok || !strings.Contains(at, ".lua:") {
			continue
		}
		if strings.HasPrefix(within, "function '") {
			at += " in " + within
		}
		list = append(list, at)
	}
	return list
}

// position is the part of a frame that says where it is.
func position(frame string) string {
	at, _, _ := strings.Cut(frame, " in function '")
	return at
}

// instantiate compiles a file's source into a function of the VM; the lock is
// held.
func (m *machine) instantiate(source []byte, name string, cover bool) (*glua.LFunction, error) {
	program, err := vm.Compile(source, name, vm.Options{Cover: cover})
	if err != nil {
		return nil, err
	}
	return program.Instantiate(m.lock, &m.functions), nil
}

// require is the global function of that name: the gateway's modules, then
// files beside the test file, then those of the tenant's directory.
func (f *file) require(L *glua.LState) int {
	name := vm.CheckString(L, 1)
	if t, ok := f.machine.modules[name]; ok {
		L.Push(t)
		return 1
	}
	if strings.HasPrefix(name, "keystone.") {
		L.RaiseError("module %q is not there in tests, only %s", name, "keystone."+strings.Join(testModules, ", keystone."))
	}
	f.machine.packages.Require(L, name, func() *glua.LFunction { return f.findModule(L, name) })
	return 1
}

// findModule returns the function of a module's file, or raises an error.
func (f *file) findModule(L *glua.LState, name string) *glua.LFunction {
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || strings.ContainsAny(part, "/\\\x00") {
			vm.ArgError(L, 1, "expected names joined by dots, such as lib.auth")
		}
	}
	file := strings.ReplaceAll(name, ".", "/")
	beside, tenant := path.Join(path.Dir(f.name), file), path.Join(f.tenant(), file)
	for _, found := range []string{beside + ".lua", beside + "/init.lua", tenant + ".lua", tenant + "/init.lua"} {
		source, err := readSource(f.runner.options.Dir, found)
		if err != nil {
			continue
		}
		main, err := f.machine.instantiate(source, found, f.runner.cover != nil)
		if err != nil {
			L.RaiseError("%s", err.Error())
		}
		return main
	}
	L.RaiseError("module %q is neither %s.lua nor %s.lua, nor an init.lua in a directory of that name", name, beside, tenant)
	return nil
}
