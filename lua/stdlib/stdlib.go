// Package stdlib is the standard library of scripts: Lua 5.1's, less what
// reaches outside of the VM, in versions that count their work and memory on
// the run and are bounded in each call.
//
//	stdlib.Open(L, time.Now) // into the VM's globals
//
// What differs from Lua 5.1:
//   - There is no io, debug, loadfile, dofile, module, collectgarbage, newproxy,
//     string.dump, table.setn, and of os only time, date, difftime and clock.
//     print and require are the caller's, which has Packages for the latter.
//   - Scripts can add to library tables, and not change what is in them.
//     Metatables can be had and set of tables only, but for what there is to see
//     of that of strings; __gc and __mode do nothing.
//   - bit and bit32 are LuaJIT's and Lua 5.2's.
//   - Tables, functions, threads and userdata get an identity that says
//     nothing of addresses. What isn't a number is nan, whatever its sign.
//   - string.format's %s takes any value and calls __tostring; pairs honours
//     __pairs; assert's message may be any value.
//   - A coroutine can't yield in a pcall, a metamethod, or an iterator of a
//     for loop; it gets an error there.
package stdlib

import (
	"hash/maphash"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// lib is the library of one VM. The VM's lock guards it.
type lib struct {
	now    func() time.Time
	opened time.Time
	seed   maphash.Seed // of the identities that tostring shows
	main   *glua.LState

	errorFunction *glua.LFunction
	ofStrings     *glua.LTable // what scripts see of the metatable of strings
	threads       threads
}

// Open installs the library in the globals of a VM, before any script runs on
// it. now is the time that os.time, os.date and os.clock show; its location is
// the local one. The library lives as long as the VM.
func Open(L *glua.LState, now func() time.Time) {
	l := &lib{now: now, opened: now(), seed: maphash.MakeSeed(), main: L}
	l.openBase(L)
	l.openCoroutine(L)
	l.openString(L)
	openTable(L)
	openMath(L)
	openBit(L)
	l.openOS(L)
}

// globals returns the table of L's global variables.
func globals(L *glua.LState) *glua.LTable { return L.G.Global }

// library makes a table of functions.
func library(L *glua.LState, functions map[string]glua.LGFunction) *glua.LTable {
	table := L.CreateTable(0, len(functions))
	for name, function := range functions {
		table.RawSetString(name, L.NewFunction(function))
	}
	return table
}

// install makes a library's table a global, to which scripts can add, in this VM.
func install(L *glua.LState, name string, content *glua.LTable) *glua.LTable {
	table := vm.Extendable(L, name, content)
	globals(L).RawSetString(name, table)
	return table
}

// registryKey is where a VM's library is found.
const registryKey = "\x00stdlib"

func store(L *glua.LState, l *lib) {
	L.G.Registry.RawSetString(registryKey, &glua.LUserData{Value: l, Metatable: glua.LNil})
}

func libOf(L *glua.LState) *lib {
	holder, ok := L.G.Registry.RawGetString(registryKey).(*glua.LUserData)
	if !ok {
		panic("BUG: the standard library is not open")
	}
	l, ok := holder.Value.(*lib)
	if !ok {
		panic("BUG: the standard library is not open")
	}
	return l
}

// ToString is tostring(v) for Go code, __tostring included. The library must
// be open on L's VM.
func ToString(L *glua.LState, v glua.LValue) string { return libOf(L).toString(L, v) }
