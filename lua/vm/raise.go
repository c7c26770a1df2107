package vm

import (
	"fmt"
	"strconv"
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// Raise is how a thread fails: its Panic. What the engine has to say of an
// instruction is said in the words of Lua 5.1, with the names of the script's
// source.
func Raise(L *glua.LState) {
	value := L.Get(-1)
	if s, ok := value.(glua.LString); ok {
		if better := glua.LString(reworded(L, string(s))); better != s {
			RunOf(L).Caught(L, s) // it may have had a whole key in it
			value = better
		}
	}
	panic(&glua.ApiError{Type: glua.ApiErrorRun, Object: value})
}

// Call calls the function below so many arguments on the stack of a thread, and
// leaves so many results there. A thread that has failed can't be used again.
// The error is a *glua.ApiError.
func Call(L *glua.LState, arguments, results int) (err error) {
	before := L.Panic
	L.Panic = Raise
	defer func() {
		L.Panic = before
		if cause := recover(); cause != nil {
			raised, ok := cause.(*glua.ApiError)
			if !ok {
				raised = &glua.ApiError{Type: glua.ApiErrorPanic, Object: glua.LString(fmt.Sprint(cause))}
			}
			raised.StackTrace = trace(L)
			err = raised
		}
	}()
	L.Call(arguments, results)
	return nil
}

// reworded makes Lua's message of the engine's. Those of functions come back as
// they are.
func reworded(L *glua.LState, message string) string {
	f := frameOf(L)
	if !f.scripted() {
		return message
	}
	place := f.Fn.Proto.SourceName + ":" + strconv.Itoa(f.line()) + ": "
	said, ok := strings.CutPrefix(message, place)
	if !ok {
		return message
	}
	i := f.instruction()
	switch {
	case said == "attempt to call a non-function object":
		return place + f.uncallable(L, i)
	case strings.HasPrefix(said, "attempt to index a non-table object("):
		return place + f.unindexable(L, i, said)
	case strings.HasPrefix(said, "cannot perform "), said == "__unm undefined":
		return place + f.arithmetic(L)
	case strings.HasPrefix(said, "attempt to compare "):
		left, right, _ := strings.Cut(strings.TrimPrefix(said, "attempt to compare "), " with ")
		if left == right {
			return place + "attempt to compare two " + left + " values"
		}
	case strings.HasPrefix(said, "too many recursions in "):
		return place + "loop in " + strings.TrimPrefix(said, "too many recursions in ")
	case said == "registry overflow":
		return place + "stack overflow"
	}
	return message
}

func (f *frame) uncallable(L *glua.LState, i instruction) string {
	switch i.op() {
	case glua.OP_CALL, glua.OP_TAILCALL:
		return f.attempt(L, "call", i.a(), f.value(L, i.a()))
	case glua.OP_TFORLOOP:
		return attempt("call", named{}, f.value(L, i.a()))
	}
	return "attempt to call a metamethod that is not a function"
}

// unindexable words the engine's message about a value without fields: the
// object of the instruction, or where the __index of that has led to.
func (f *frame) unindexable(L *glua.LState, i instruction, said string) string {
	kind, _, _ := strings.Cut(strings.TrimPrefix(said, "attempt to index a non-table object("), ")")
	object := -1
	event := "__index"
	switch i.op() {
	case glua.OP_GETTABLE, glua.OP_GETTABLEKS, glua.OP_SELF:
		object = i.b()
	case glua.OP_SETTABLE, glua.OP_SETTABLEKS:
		object, event = i.a(), "__newindex"
	}
	if object >= 0 {
		if v := f.value(L, object); v != nil && v.Type().String() == kind && L.GetMetaField(v, event) == glua.LNil {
			return f.attempt(L, "index", object, v)
		}
	}
	return "attempt to index a " + kind + " value"
}

// arithmetic says which operand of the frame's instruction is no number.
func (f *frame) arithmetic(L *glua.LState) string {
	const action = "perform arithmetic on"
	i := f.instruction()
	operands := []int{i.b(), i.c()}
	switch i.op() {
	case glua.OP_UNM:
		operands = operands[:1]
	case glua.OP_ADD, glua.OP_SUB, glua.OP_MUL, glua.OP_DIV, glua.OP_MOD, glua.OP_POW:
	default:
		return "attempt to " + action + " a value that is not a number"
	}
	for _, operand := range operands {
		v := f.operand(L, operand)
		if _, ok := Number(L, v); ok {
			continue
		}
		if operand&constant != 0 {
			return attempt(action, named{}, v)
		}
		return f.attempt(L, action, operand, v)
	}
	return "attempt to " + action + " a number value"
}

// operand is the value of an operand.
func (f *frame) operand(L *glua.LState, operand int) glua.LValue {
	if operand&constant != 0 {
		return f.Fn.Proto.Constants[operand&^constant]
	}
	return f.value(L, operand)
}

// attempt says what can't be done with the value of a register.
func (f *frame) attempt(L *glua.LState, action string, register int, v glua.LValue) string {
	RunOf(L).Spend(L, min(f.at(), maxLooked)/lookedWork)
	n := nameOf(f.Fn.Proto, f.at(), register)
	return attempt(action, n, v) + f.meant(L, n, v)
}

func attempt(action string, n named, v glua.LValue) string {
	kind := "nil"
	if v != nil {
		kind = v.Type().String()
	}
	if n.kind == "" {
		return "attempt to " + action + " a " + kind + " value"
	}
	return "attempt to " + action + " " + n.kind + " '" + Clip(n.name) + "' (a " + kind + " value)"
}

// RaiseArithmetic raises the error of an arithmetic instruction whose metamethod
// the running function is.
func RaiseArithmetic(L *glua.LState, bad glua.LValue) {
	if f := frameOf(L); f != nil && f.Parent.scripted() {
		L.RaiseError("%s", f.Parent.arithmetic(L))
	}
	L.RaiseError("%s", attempt("perform arithmetic on", named{}, bad))
}

// raiseOperand raises that something can't be done with an argument of the
// running operation.
func raiseOperand(L *glua.LState, action string, argument int) {
	v := L.Get(argument)
	if f := frameOf(L); f != nil && f.Parent.scripted() {
		if i := f.Parent.instruction(); i.op() == glua.OP_CALL {
			L.RaiseError("%s", f.Parent.attempt(L, action, i.a()+argument, v))
		}
	}
	L.RaiseError("%s", attempt(action, named{}, v))
}

// RaiseIndex raises that a value which t[k] = v has come to has no fields. The
// running operation's first argument is t.
func RaiseIndex(L *glua.LState, v glua.LValue) {
	if L.Get(1) == v {
		raiseOperand(L, "index", 1)
	}
	L.RaiseError("%s", attempt("index", named{}, v))
}

// CheckCallable raises an error, in Lua's words, if a metamethod can't be called.
func CheckCallable(L *glua.LState, v glua.LValue) {
	if v.Type() != glua.LTFunction && L.GetMetaField(v, "__call").Type() != glua.LTFunction {
		L.RaiseError("%s", attempt("call", named{}, v))
	}
}
