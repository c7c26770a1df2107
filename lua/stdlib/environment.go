package stdlib

import (
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// environmentKey is where the metatable of a function's environment has the table
// that the script has given.
const environmentKey = "\x00environment"

// environmentBytes is what an environment is counted as.
const environmentBytes = 2 << 10

// environment makes what a function has for its global variables of a script's
// table: an empty table through which all assignments go to that table, counted.
// The engine would make them in one instruction, for any number of tables.
func environment(L *glua.LState, t *glua.LTable) *glua.LTable {
	if t == globals(L) {
		return t
	}
	vm.RunOf(L).Charge(L, environmentBytes)
	meta := L.CreateTable(0, 3)
	meta.RawSetString("__index", t)
	meta.RawSetString("__newindex", L.NewFunction(func(L *glua.LState) int {
		SetIndex(L, t, L.Get(2), L.Get(3))
		return 0
	}))
	meta.RawSetString(environmentKey, t)
	env := L.CreateTable(0, 1)
	env.Metatable = meta
	return env
}

// given is the table that a script has given for an environment, or the globals'.
func given(env *glua.LTable) *glua.LTable {
	if meta, ok := env.Metatable.(*glua.LTable); ok {
		if t, ok := meta.RawGetString(environmentKey).(*glua.LTable); ok {
			return t
		}
	}
	return env
}

// functionAt is the function that argument 1 is, or that it says the level of.
// nil is the thread itself: level 0.
func functionAt(L *glua.LState) *glua.LFunction {
	if f, ok := L.Get(1).(*glua.LFunction); ok {
		return f
	}
	level := optInt(L, 1, 1)
	if level < 0 {
		vm.ArgError(L, 1, "level must be non-negative")
	}
	if level == 0 {
		return nil
	}
	f := vm.FunctionAt(L, min(level, 1000))
	if f == nil || isTrampoline(f) {
		vm.ArgError(L, 1, "invalid level")
	}
	return f
}

// getEnvironment is getfenv([function or level]).
func getEnvironment(L *glua.LState) int {
	f := functionAt(L)
	if f == nil || f.IsG || f.Env == nil || isTrampoline(f) {
		L.Push(globals(L))
	} else {
		L.Push(given(f.Env))
	}
	return 1
}

// setEnvironment is setfenv(function or level, table). A thread's own can't be
// set: it is the globals' of the VM.
func setEnvironment(L *glua.LState) int {
	t := checkTable(L, 2)
	if _, ok := L.Get(1).(*glua.LFunction); !ok {
		checkNumber(L, 1)
	}
	f := functionAt(L)
	if f == nil || f.IsG || isTrampoline(f) {
		L.RaiseError("'setfenv' cannot change environment of given object")
	}
	f.Env = environment(L, t)
	L.Push(f)
	return 1
}
