package vm

import (
	"reflect"
	"unsafe"

	glua "github.com/yuin/gopher-lua"
)

// frame is gopher-lua's callFrame: a function that is being called, and where
// it is.
type frame struct {
	Idx        int
	Fn         *glua.LFunction
	Parent     *frame
	Pc         int // of the next instruction
	Base       int
	LocalBase  int // of its registers, on the stack
	ReturnBase int
	NArgs      int
	NRet       int
	TailCall   int // how many calls it has taken the place of
}

// frameOffset is where a thread has its innermost frame. A gopher-lua whose
// frames are others must not start.
var frameOffset = func() uintptr {
	theirs, ours := fieldOf(reflect.TypeFor[glua.LState](), "currentFrame"), reflect.TypeFor[frame]()
	if theirs.Type.Kind() != reflect.Pointer || theirs.Type.Elem().NumField() != ours.NumField() {
		panic("BUG: gopher-lua's frames are not those that are known")
	}
	for i := range ours.NumField() {
		a, b := ours.Field(i), theirs.Type.Elem().Field(i)
		if a.Name != b.Name || a.Offset != b.Offset || a.Type.Kind() != b.Type.Kind() {
			panic("BUG: gopher-lua's frames have another field " + b.Name)
		}
	}
	return theirs.Offset
}()

// frameOf is the innermost frame of a thread, or nil.
func frameOf(L *glua.LState) *frame {
	return *field[*frame](unsafe.Pointer(L), frameOffset) //nolint:gosec // G103: see field
}

// scripted reports whether a frame is that of a script's function.
func (f *frame) scripted() bool { return f != nil && !f.Fn.IsG && f.Pc > 0 }

// at is the index of the instruction under way.
func (f *frame) at() int { return f.Pc - 1 }

func (f *frame) instruction() instruction { return instruction(f.Fn.Proto.Code[f.at()]) }

func (f *frame) line() int { return f.Fn.Proto.DbgSourcePositions[f.at()] }

// value is what a register holds; nil if that isn't known, as of a function that isn't running.
func (f *frame) value(L *glua.LState, register int) glua.LValue {
	slots := registryOf(L)
	if i := f.LocalBase + register; slots != nil && i >= 0 && i < len(*slots) {
		return (*slots)[i]
	}
	return nil
}
