package stdlib

import (
	"reflect"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// What tables take, in bytes, growing included. TestTableBytes measures it.
const (
	arraySlotBytes = 32   // a slot of the array
	newKeyBytes    = 200  // a key that the table didn't have
	hashBytes      = 3000 // the first key: gopher-lua makes room for 32
	firstArray     = 32   // slots of the first array
)

// The engine doesn't say how long a table's array is, nor how many keys it
// ever had; reflection does, for a few nanoseconds.
var (
	arrayField  = tableField("array", reflect.Slice)
	hashField   = tableField("dict", reflect.Map)
	stringField = tableField("strdict", reflect.Map)
	keysField   = tableField("keys", reflect.Slice)
)

func tableField(name string, kind reflect.Kind) int {
	field, ok := reflect.TypeFor[glua.LTable]().FieldByName(name)
	if !ok || field.Type.Kind() != kind {
		panic("BUG: gopher-lua's LTable has no " + name)
	}
	return field.Index[0]
}

// arraySlots returns how long a table's array is, its nils included.
func arraySlots(t *glua.LTable) int {
	return reflect.ValueOf(t).Elem().Field(arrayField).Len()
}

// lostKeys returns how many keys next steps over: the hash part's keys that
// have been set to nil.
func lostKeys(t *glua.LTable) int {
	table := reflect.ValueOf(t).Elem()
	return table.Field(keysField).Len() - table.Field(stringField).Len() - table.Field(hashField).Len()
}

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
		if ok && table.RawGet(k) != glua.LNil {
			RawSetIndex(L, table, k, v)
			return
		}
		switch handler := L.GetMetaField(t, "__newindex").(type) {
		case *glua.LNilType:
			if !ok {
				L.RaiseError("attempt to index a %s value", t.Type().String())
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

// RawSetIndex is SetIndex without metamethods. It doesn't look whether t is
// frozen.
func RawSetIndex(L *glua.LState, t *glua.LTable, k, v glua.LValue) {
	switch key := k.(type) {
	case glua.LNumber:
		if key >= 1 && key < glua.LNumber(glua.MaxArrayIndex) {
			if i := int(key); glua.LNumber(i) == key {
				setSlot(L, t, i, v)
				return
			}
		}
		if key != key {
			L.RaiseError("table index is NaN")
		}
	case glua.LString:
		vm.RunOf(L).SpendKey(L, key)
	case *glua.LNilType:
		L.RaiseError("table index is nil")
	}
	setKey(L, t, k, v)
}

// setSlot is t[i] = v, where i is an array's index.
func setSlot(L *glua.LState, t *glua.LTable, i int, v glua.LValue) {
	if t.RawGetInt(i) != glua.LNil {
		t.RawSetInt(i, v)
		return
	}
	array := reflect.ValueOf(t).Elem().Field(arrayField)
	slots, room := array.Len(), array.Cap()
	if i > slots && v == glua.LNil {
		return // as it is, but the engine would make room for it
	}
	if i > room {
		run := vm.RunOf(L)
		run.Charge(L, (max(i, room+room/4, firstArray)-room)*arraySlotBytes)
		run.Spend(L, (i-slots)/8)
	}
	t.RawSetInt(i, v)
}

// setKey is t[k] = v, where k is a key of the hash part.
func setKey(L *glua.LState, t *glua.LTable, k, v glua.LValue) {
	if t.RawGetH(k) != glua.LNil {
		t.RawSetH(k, v)
		return
	}
	if v == glua.LNil {
		return
	}
	table := reflect.ValueOf(t).Elem()
	keys := table.Field(keysField).Len()
	bytes := newKeyBytes
	if _, isString := k.(glua.LString); isString {
		if table.Field(stringField).IsNil() {
			bytes += hashBytes
		}
	} else if table.Field(hashField).IsNil() {
		bytes += hashBytes
	}
	// A key that had been deleted costs nothing, and only now is that known.
	t.RawSetH(k, v)
	if table.Field(keysField).Len() > keys {
		vm.RunOf(L).Charge(L, bytes)
	}
}

// length is #t without metamethods.
func length(L *glua.LState, t *glua.LTable) int {
	n := t.Len()
	if slots := arraySlots(t); slots > n+64 {
		vm.RunOf(L).Spend(L, (slots-n)/8) // Len has stepped over them
	}
	return n
}

// manyLost is how many deleted keys next may step over uncounted.
const manyLost = 1000

// next is the key after k and its value; nil is the end. k nil is the start.
func next(L *glua.LState, t *glua.LTable, k glua.LValue) (key, value glua.LValue) {
	vm.RunOf(L).SpendKey(L, k)
	if lostKeys(t) > manyLost {
		// How many it steps over is known to the engine only: measure.
		began := time.Now()
		key, value = t.Next(k)
		vm.RunOf(L).Spend(L, int(time.Since(began)/20))
	} else {
		key, value = t.Next(k)
	}
	from, ok := k.(glua.LNumber)
	if !ok && k != glua.LNil {
		return key, value
	}
	to, ok := key.(glua.LNumber)
	if !ok {
		to = glua.LNumber(arraySlots(t))
	}
	if nils := to - from; nils > 64 && nils < glua.LNumber(glua.MaxArrayIndex) {
		vm.RunOf(L).Spend(L, int(nils)/8)
	}
	return key, value
}
