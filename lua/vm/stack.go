package vm

import (
	"reflect"
	"unsafe"

	glua "github.com/yuin/gopher-lua"
)

// freeStack is how many slots of a thread's stack are not counted.
const freeStack = 128

// Where gopher-lua keeps a stack's slots and the variables of functions that
// are on it; it has no functions for them.
var (
	registryOffset  = offset(reflect.TypeFor[glua.LState](), "reg", reflect.Pointer)
	slotsOffset     = offset(fieldOf(reflect.TypeFor[glua.LState](), "reg").Type.Elem(), "array", reflect.Slice)
	topOffset       = offset(fieldOf(reflect.TypeFor[glua.LState](), "reg").Type.Elem(), "top", reflect.Int)
	handlerOffset   = offset(fieldOf(reflect.TypeFor[glua.LState](), "reg").Type.Elem(), "handler", reflect.Interface)
	allocOffset     = offset(fieldOf(reflect.TypeFor[glua.LState](), "reg").Type.Elem(), "alloc", reflect.Pointer)
	openOffset      = offset(reflect.TypeFor[glua.LState](), "uvcache", reflect.Pointer)
	nextOffset      = offset(reflect.TypeFor[glua.Upvalue](), "next", reflect.Pointer)
	upvalueRegistry = offset(reflect.TypeFor[glua.Upvalue](), "reg", reflect.Pointer)
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

// field is a field of a struct of gopher-lua's, at an offset that has been
// checked.
func field[T any](p unsafe.Pointer, offset uintptr) *T {
	return (*T)(unsafe.Add(p, offset))
}

// slotsOf are the slots of a stack, of which only those up to its top matter.
func slotsOf(registry unsafe.Pointer) *[]glua.LValue {
	if registry == nil {
		return nil
	}
	return field[[]glua.LValue](registry, slotsOffset)
}

// registryOf is a thread's stack; nil is a dead thread's.
func registryOf(L *glua.LState) *[]glua.LValue {
	return slotsOf(*field[unsafe.Pointer](unsafe.Pointer(L), registryOffset)) //nolint:gosec // G103: see field
}

// registryOfUpvalue is the stack on which a variable is, or was.
func registryOfUpvalue(u *glua.Upvalue) *[]glua.LValue {
	return slotsOf(*field[unsafe.Pointer](unsafe.Pointer(u), upvalueRegistry)) //nolint:gosec // G103: see field
}

func openUpvalues(L *glua.LState) *glua.Upvalue {
	return *field[*glua.Upvalue](unsafe.Pointer(L), openOffset) //nolint:gosec // G103: see field
}

func nextUpvalue(u *glua.Upvalue) *glua.Upvalue {
	return *field[*glua.Upvalue](unsafe.Pointer(u), nextOffset) //nolint:gosec // G103: see field
}

// StackSlots returns how many slots, of 16 bytes, a thread's stack has. It
// grows and never shrinks.
func StackSlots(L *glua.LState) int {
	slots := registryOf(L)
	if slots == nil {
		return 0
	}
	return len(*slots)
}

// Discard ends a thread that won't run again. Functions keep the variables that
// were on its stack, but neither that nor the thread: the engine closes none after an error,
// and a closed one refers to the stack still.
func Discard(L *glua.LState) {
	registry := *field[unsafe.Pointer](unsafe.Pointer(L), registryOffset) //nolint:gosec // G103: see field
	if registry == nil {
		return
	}
	open := field[*glua.Upvalue](unsafe.Pointer(L), openOffset) //nolint:gosec // G103: see field
	for u := *open; u != nil; u = nextUpvalue(u) {
		u.Close()
	}
	*open = nil
	*slotsOf(registry) = nil
	*field[int](registry, topOffset) = 0
	*field[[2]unsafe.Pointer](registry, handlerOffset) = [2]unsafe.Pointer{} // the thread itself
	*field[unsafe.Pointer](registry, allocOffset) = nil
}
