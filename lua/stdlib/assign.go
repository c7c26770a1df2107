package stdlib

import (
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// SetIndex is t[k] = v for a script, metamethods included, and counts what it
// may allocate on the run.
func SetIndex(L *glua.LState, t, k, v glua.LValue) {
	if table, ok := t.(*glua.LTable); ok && table.Metatable == glua.LNil {
		RawSetIndex(L, table, k, v)
		return
	}
	setThroughMeta(L, t, k, v)
}

func setThroughMeta(L *glua.LState, t, k, v glua.LValue) {
	for range glua.MaxTableGetLoop {
		vm.RunOf(L).SpendKey(L, k)
		table, ok := t.(*glua.LTable)
		if ok && (table.RawGet(k) != glua.LNil || impossible(k)) {
			RawSetIndex(L, table, k, v)
			return
		}
		switch handler := L.GetMetaField(t, "__newindex").(type) {
		case *glua.LNilType:
			if !ok {
				vm.RaiseIndex(L, t)
			}
			RawSetIndex(L, table, k, v)
			return
		case *glua.LFunction:
			L.Push(handler)
			L.Push(t)
			L.Push(k)
			L.Push(v)
			L.Call(3, 0)
			return
		default:
			t = handler
		}
	}
	L.RaiseError("loop in settable")
}

// impossible reports keys that no table can have. Lua 5.1 refuses them before it
// looks for a __newindex.
func impossible(k glua.LValue) bool { return k == glua.LNil || k != k } // NaN is not itself

// RawSetIndex is SetIndex without metamethods. It doesn't look whether t is
// frozen.
func RawSetIndex(L *glua.LState, t *glua.LTable, k, v glua.LValue) { vm.SetRaw(L, t, k, v) }
