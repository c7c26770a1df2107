package stdlib

import (
	"math"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// operators are the metamethods of strings for arithmetic. The engine would
// read a string as a number by itself, but not as Lua does (010 would be
// octal), and in one instruction, however long the string is: 9 ms a MiB.
var operators = map[string]func(a, b float64) float64{
	"add": func(a, b float64) float64 { return a + b },
	"sub": func(a, b float64) float64 { return a - b },
	"mul": func(a, b float64) float64 { return a * b },
	"div": func(a, b float64) float64 { return a / b },
	"mod": vm.Modulo,
	"pow": math.Pow,
}

// openArithmetic fills the metatable of strings.
func openArithmetic(L *glua.LState, meta *glua.LTable) {
	for name, apply := range operators {
		meta.RawSetString("__"+name, L.NewFunction(func(L *glua.LState) int { return arithmetic(L, name, apply) }))
	}
	meta.RawSetString("__unm", L.NewFunction(func(L *glua.LState) int {
		n, ok := toNumber(L, L.Get(1))
		if !ok {
			vm.RaiseArithmetic(L, L.Get(1))
		}
		L.Push(-n)
		return 1
	}))
}

func arithmetic(L *glua.LState, name string, apply func(a, b float64) float64) int {
	left, right := L.Get(1), L.Get(2)
	a, isA := toNumber(L, left)
	b, isB := toNumber(L, right)
	if isA && isB {
		L.Push(glua.LNumber(apply(float64(a), float64(b))))
		return 1
	}
	// The first operand's metamethod goes first, and the first is a string.
	if _, ok := left.(glua.LString); ok {
		if _, ok := right.(glua.LString); !ok {
			if handler, ok := L.GetMetaField(right, "__"+name).(*glua.LFunction); ok {
				L.Push(handler)
				L.Push(left)
				L.Push(right)
				L.Call(2, 1)
				return 1
			}
		}
	}
	if isA {
		left = right
	}
	vm.RaiseArithmetic(L, left)
	return 0
}
