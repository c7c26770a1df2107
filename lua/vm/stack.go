package vm

import (
	"reflect"

	glua "github.com/yuin/gopher-lua"
)

// freeStack is how many slots of a thread's stack are not counted.
const freeStack = 128

// The fields of gopher-lua's that a stack's size is read from; it has no
// function for that.
var (
	registryField = field(reflect.TypeFor[glua.LState](), "reg", reflect.Pointer)
	slotsField    = field(reflect.TypeFor[glua.LState]().Field(registryField).Type.Elem(), "array", reflect.Slice)
)

func field(t reflect.Type, name string, kind reflect.Kind) int {
	f, ok := t.FieldByName(name)
	if !ok || f.Type.Kind() != kind {
		panic("BUG: gopher-lua's " + t.String() + " has no field " + name + " of the kind " + kind.String())
	}
	return f.Index[0]
}

// StackSlots returns how many slots, of 16 bytes, a thread's stack has. It
// grows and never shrinks.
func StackSlots(L *glua.LState) int {
	registry := reflect.ValueOf(L).Elem().Field(registryField)
	if registry.IsNil() {
		return 0
	}
	return registry.Elem().Field(slotsField).Len()
}
