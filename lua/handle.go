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
	c, ok := vm.RunOf(L).Owner.(*call)
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
// is their objects, and functions that close over these.
type objects struct {
	of                                          handle
	request, response, headers, responseHeaders glua.LUserData
	nexts                                       []*glua.LFunction // of the frames
}

func (sh *shard) newObjects() *objects {
	o := &objects{}
	object := func(meta *glua.LTable) glua.LUserData {
		return glua.LUserData{Value: o, Metatable: meta, Env: sh.main.Env}
	}
	o.request, o.response = object(sh.requestMeta), object(sh.responseMeta)
	o.headers, o.responseHeaders = object(sh.headersMeta), object(sh.responseHeadersMeta)
	return o
}

// next returns the function next of the frame d.
func (o *objects) next(sh *shard, d int) *glua.LFunction {
	for len(o.nexts) <= d {
		frame := len(o.nexts)
		o.nexts = append(o.nexts, sh.main.NewFunction(func(L *glua.LState) int { return o.of.call(L).next(L, frame) }))
	}
	return o.nexts[d]
}

// self returns the call and where the arguments begin: after the object, which
// scripts of the first style leave out.
func self(L *glua.LState) (c *call, first int) {
	object, ok := L.Get(1).(*glua.LUserData)
	if !ok {
		return current(L), 1
	}
	o, ok := object.Value.(*objects)
	if !ok {
		L.ArgError(1, "request or response expected")
	}
	return o.of.call(L), 2
}

// owner is self where there must be an object.
func owner(L *glua.LState) *call {
	L.CheckUserData(1)
	c, _ := self(L)
	return c
}
