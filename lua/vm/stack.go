package vm

import (
	"reflect"
	"unsafe"

	glua "github.com/yuin/gopher-lua"
)

// freeStack is how many slots of a thread's stack are not counted.
const freeStack = 128

// Where gopher-lua keeps a stack's slots; it has no function for their number.
var (
	registryOffset = offset(reflect.TypeFor[glua.LState](), "reg", reflect.Pointer)
	slotsOffset    = offset(fieldOf(reflect.TypeFor[glua.LState](), "reg").Type.Elem(), "array", reflect.Slice)
)

// offset returns where a field is, and makes sure of its kind: a gopher-lua
// that is built otherwise must not start.
func offset(t reflect.Type, name string, kind reflect.Kind) uintptr {
	f := fieldOf(t, name)
	if f.Type.Kind() != kind {
		panic("BUG: gopher-lua's " + t.String() + "." + name + " is not of the kind " + kind.String())
	}
	return f.Offset
}

func fieldOf(t reflect.Type, name string) reflect.StructField {
	f, ok := t.FieldByName(name)
	if !ok {
		panic("BUG: gopher-lua's " + t.String() + " has no field " + name)
	}
	return f
}

// StackSlots returns how many slots, of 16 bytes, a thread's stack has. It
// grows and never shrinks. It is asked once a request, for which reflection
// takes too long: 30 ns of 900.
func StackSlots(L *glua.LState) int {
	registry := *(*unsafe.Pointer)(unsafe.Add(unsafe.Pointer(L), registryOffset)) //nolint:gosec // G103: the offsets have been checked
	if registry == nil {
		return 0
	}
	return len(*(*[]glua.LValue)(unsafe.Add(registry, slotsOffset)))
}
