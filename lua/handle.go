package lua

import (
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// handle is all that Lua holds of a request: its number among the requests of
// the VM. Objects and functions that scripts get have a handle, never a call
// nor anything of the proxy's, and each use of one asks the run that it is used
// in whether it is still that request's: scripts can keep them for as long as
// they like, wherever they like. handle.call and current are the only ways
// from Lua to a request.
type handle uint64

// current returns the request that L runs for.
func current(L *glua.LState) *call {
	owner := vm.RunOf(L).Owner
	switch owner.(type) {
	case *asking:
		L.RaiseError("there is no request while chi_tls_ask is asked")
	case *ticking:
		L.RaiseError("there is no request while a timer runs")
	}
	c, ok := owner.(*call)
	if !ok || c.exchange == nil {
		L.RaiseError("there is no request while the script is loaded")
	}
	return c
}

// call returns the request of the handle if L runs for it.
func (h handle) call(L *glua.LState) *call {
	c := current(L)
	if c.number != h {
		L.RaiseError("this belongs to another request: what a request's functions are given can't be kept for the next")
	}
	return c
}

// objects are what the functions of a request are given: userdata whose value
// is their objects, and functions that close over these. Those that can't be
// kept are used again, for the next request.
type objects struct {
	of                                          handle
	request, response, headers, responseHeaders glua.LUserData
	nexts                                       []*glua.LFunction // of the frames
}

func (sh *shard) newObjects(kept bool) *objects {
	o := &objects{}
	object := func(meta *glua.LTable) glua.LUserData {
		return glua.LUserData{Value: o, Metatable: meta, Env: sh.main.Env}
	}
	o.request, o.response = object(sh.requestMeta), object(sh.responseMeta)
	if kept {
		o.request.Metatable, o.response.Metatable = sh.keptRequestMeta, sh.keptResponseMeta
	}
	o.headers, o.responseHeaders = object(sh.headersMeta), object(sh.responseHeadersMeta)
	return o
}

// next returns the function next of the frame d.
func (o *objects) next(sh *shard, d int) *glua.LFunction {
	for len(o.nexts) <= d {
		frame := len(o.nexts)
		next := func(L *glua.LState) int { return o.of.call(L).next(L, frame) }
		o.nexts = append(o.nexts, sh.main.NewClosure(next, &o.request)) // the upvalue is for vm.Live to see o
	}
	return o.nexts[d]
}

// Size is vm.Sized's.
func (o *objects) Size() int { return 320 + 256*len(o.nexts) }

// objectsAt returns the objects of which one is the n-th argument, or nil.
func objectsAt(L *glua.LState, n int) *objects {
	object, ok := L.Get(n).(*glua.LUserData)
	if !ok {
		return nil
	}
	o, ok := object.Value.(*objects)
	if !ok {
		vm.ArgError(L, n, "request or response expected")
	}
	return o
}

// self returns the call and where the arguments begin: after the object, which
// scripts of the first style leave out.
func self(L *glua.LState) (c *call, first int) {
	o := objectsAt(L, 1)
	if o == nil {
		return current(L), 1
	}
	return o.of.call(L), 2
}

// owner is self where there must be an object.
func owner(L *glua.LState) (*call, *objects) {
	vm.CheckUserData(L, 1)
	o := objectsAt(L, 1)
	return o.of.call(L), o
}

// getter reads a field of an object that is not a method; nil is no such field.
type getter func(c *call, L *glua.LState, o *objects, name string) glua.LValue

// openObjects makes the metatables of what every request has.
func (sh *shard) openObjects() {
	L := sh.main
	sh.requestMeta, sh.keptRequestMeta = sh.objectMeta(requestKind())
	sh.responseMeta, sh.keptResponseMeta = sh.objectMeta(responseKind())
	sh.headersMeta = headersMeta(L, false)
	sh.responseHeadersMeta = headersMeta(L, true)
	sh.errorMeta = L.CreateTable(0, 1)
	sh.errorMeta.RawSetString("__tostring", L.NewFunction(errorString))
	sh.errorMeta.RawSetString("__metatable", glua.LFalse)
}

// objectMeta makes the metatables of objects that can't be kept, and of those
// that can. The engine finds a method of the former in a table, which is fast,
// and doesn't tell a property which object it is of; methods ask themselves.
func (sh *shard) objectMeta(k *kind) (meta, kept *glua.LTable) {
	L := sh.main
	table, properties := L.CreateTable(0, 1), L.CreateTable(0, 1)
	for name, f := range k.methods {
		table.RawSetString(name, L.NewFunction(f))
	}
	properties.RawSetString("__index", L.NewFunction(func(L *glua.LState) int {
		c := current(L)
		name, _ := L.Get(2).(glua.LString)
		return k.push(L, k.get(c, L, c.objects, string(name)))
	}))
	table.Metatable = properties
	asked := L.NewFunction(func(L *glua.LState) int {
		c, o := owner(L)
		name, _ := L.Get(2).(glua.LString)
		value := table.RawGetString(string(name))
		if value == glua.LNil {
			value = k.get(c, L, o, string(name))
		}
		return k.push(L, value)
	})
	set := L.NewFunction(func(L *glua.LState) int {
		c, _ := owner(L)
		name, _ := L.Get(2).(glua.LString)
		if !k.set(c, L, string(name)) {
			chargeGuess(L)
			L.RaiseError("%s", k.refusal(fieldText(L.Get(2))))
		}
		return 0
	})
	with := func(index glua.LValue) *glua.LTable {
		meta := L.CreateTable(0, 1)
		meta.RawSetString("__index", index)
		meta.RawSetString("__newindex", set)
		meta.RawSetString("__metatable", glua.LFalse)
		return meta
	}
	return with(table), with(asked)
}
