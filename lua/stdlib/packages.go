package stdlib

import (
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// Packages are the modules of one VM: what require has returned, and the global
// table "package", which shows them.
type Packages struct {
	loaded, preload *glua.LTable
	failed          *glua.LTable // the errors of those that have failed, in a list each: they may be nil
	running         map[running]bool
}

// running is a module that a run is making. Other runs have the VM while it waits.
type running struct {
	run  *vm.Run
	name string
}

// OpenPackages makes the table package. path is what package.path says. The
// libraries must be open.
func OpenPackages(L *glua.LState, path string) *Packages {
	p := &Packages{
		loaded: L.CreateTable(0, 16), preload: L.CreateTable(0, 1), failed: L.CreateTable(0, 1),
		running: map[running]bool{},
	}
	content := L.CreateTable(0, 5)
	content.RawSetString("loaded", p.loaded)
	content.RawSetString("preload", p.preload)
	content.RawSetString("path", glua.LString(path))
	content.RawSetString("cpath", glua.LString(""))
	content.RawSetString("config", glua.LString("/\n;\n?\n!\n-\n"))
	install(L, "package", content)
	for _, name := range []string{"_G", "string", "table", "math", "coroutine", "os", "bit", "bit32", "package"} {
		p.loaded.RawSetString(name, globals(L).RawGetString(name))
	}
	content.RawSetString("loaded", vm.Extendable(L, "package.loaded", p.loaded))
	return p
}

// Require pushes a module. find returns the function that makes it, or raises an
// error. A module that has failed isn't run again: its error is raised again. Two
// runs that want one at once make it each.
func (p *Packages) Require(L *glua.LState, name string, find func() *glua.LFunction) {
	if value := p.loaded.RawGetString(name); value != glua.LNil {
		L.Push(value)
		return
	}
	making := running{vm.RunOf(L), name}
	if p.running[making] {
		L.RaiseError("module %q requires itself", name)
	}
	if failure, ok := p.failed.RawGetString(name).(*glua.LTable); ok {
		L.Error(failure.RawGetInt(1), 0)
	}
	main, ok := p.preload.RawGetString(name).(*glua.LFunction)
	if !ok {
		main = find()
	}
	p.running[making] = true
	defer func() {
		delete(p.running, making)
		if cause := recover(); cause != nil {
			if vm.RunOf(L).Exhausted() == nil {
				p.fail(L, name, errorValue(cause))
			}
			panic(cause)
		}
	}()
	L.Push(main)
	L.Push(glua.LString(name))
	L.Call(1, 1)
	value := L.Get(-1)
	L.Pop(1)
	if value == glua.LNil {
		if value = p.loaded.RawGetString(name); value == glua.LNil { // it may have done so itself
			value = glua.LTrue
		}
	}
	vm.SetRaw(L, p.loaded, glua.LString(name), value)
	L.Push(value)
}

// failureBytes is what the list of an error is counted as, without the error.
const failureBytes = 128

// fail keeps a module's error, counted: requests can make modules, of functions.
func (p *Packages) fail(L *glua.LState, name string, failure glua.LValue) {
	vm.RunOf(L).Charge(L, failureBytes)
	list := L.CreateTable(1, 0)
	vm.SetRaw(L, list, glua.LNumber(1), failure)
	vm.SetRaw(L, p.failed, glua.LString(name), list)
}

// Roots are the values that the VM keeps for require, whatever the scripts do to
// the table package.
func (p *Packages) Roots() []glua.LValue {
	return []glua.LValue{p.loaded, p.preload, p.failed}
}
