package stdlib

import (
	"fmt"
	"math"
	"math/bits"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// openBit makes the libraries of bit operations that scripts of other Luas know:
// bit is LuaJIT's, whose results have a sign, bit32 is Lua 5.2's, whose results
// have none.
func openBit(L *glua.LState) {
	result := func(n uint32) glua.LNumber { return glua.LNumber(int32(n)) } //nolint:gosec // G115: the sign is meant
	content := library(L, map[string]glua.LGFunction{
		"tobit":   bitwise(result, func(n uint32) uint32 { return n }),
		"bnot":    bitwise(result, func(n uint32) uint32 { return ^n }),
		"bswap":   bitwise(result, bits.ReverseBytes32),
		"band":    fold(result, func(a, b uint32) uint32 { return a & b }),
		"bor":     fold(result, func(a, b uint32) uint32 { return a | b }),
		"bxor":    fold(result, func(a, b uint32) uint32 { return a ^ b }),
		"lshift":  shift(result, func(n uint32, by int) uint32 { return n << by }),
		"rshift":  shift(result, func(n uint32, by int) uint32 { return n >> by }),
		"arshift": shift(result, func(n uint32, by int) uint32 { return uint32(int32(n) >> by) }), //nolint:gosec // G115: the sign is meant
		"rol":     shift(result, bits.RotateLeft32),
		"ror":     shift(result, func(n uint32, by int) uint32 { return bits.RotateLeft32(n, -by) }),
		"tohex":   bitHex,
	})
	install(L, "bit", content)
	openBit32(L)
}

func openBit32(L *glua.LState) {
	result := func(n uint32) glua.LNumber { return glua.LNumber(n) }
	and := func(a, b uint32) uint32 { return a & b }
	install(L, "bit32", library(L, map[string]glua.LGFunction{
		"bnot": bitwise(result, func(n uint32) uint32 { return ^n }),
		"band": fold32(result, math.MaxUint32, and),
		"bor":  fold32(result, 0, func(a, b uint32) uint32 { return a | b }),
		"bxor": fold32(result, 0, func(a, b uint32) uint32 { return a ^ b }),
		"btest": func(L *glua.LState) int {
			L.Push(glua.LBool(all(L, math.MaxUint32, and) != 0))
			return 1
		},
		"lshift":  shift32(func(n uint32, by int) uint32 { return shifted(n, by) }),
		"rshift":  shift32(func(n uint32, by int) uint32 { return shifted(n, -by) }),
		"arshift": shift32(arithmeticShift),
		"lrotate": shift32(func(n uint32, by int) uint32 { return bits.RotateLeft32(n, by&31) }),
		"rrotate": shift32(func(n uint32, by int) uint32 { return bits.RotateLeft32(n, -(by & 31)) }),
		"extract": bitExtract,
		"replace": bitReplace,
	}))
}

// checkBits is argument i, a number modulo 2^32, as both libraries have it: a
// fraction is rounded to the nearest, half to even.
func checkBits(L *glua.LState, i int) uint32 {
	n := checkNumber(L, i)
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return 0
	}
	n = math.Mod(math.RoundToEven(n), 1<<32)
	return uint32(int64(n)) //nolint:gosec // G115: negative ones wrap around
}

// all joins all arguments.
func all(L *glua.LState, first uint32, f func(a, b uint32) uint32) uint32 {
	n := L.GetTop()
	vm.RunOf(L).Spend(L, n/4)
	for i := 1; i <= n; i++ {
		first = f(first, checkBits(L, i))
	}
	return first
}

func bitwise(result func(uint32) glua.LNumber, f func(uint32) uint32) glua.LGFunction {
	return func(L *glua.LState) int {
		L.Push(result(f(checkBits(L, 1))))
		return 1
	}
}

// fold needs an argument, as LuaJIT's functions do.
func fold(result func(uint32) glua.LNumber, f func(a, b uint32) uint32) glua.LGFunction {
	return func(L *glua.LState) int {
		n := checkBits(L, 1)
		vm.RunOf(L).Spend(L, L.GetTop()/4)
		for i := 2; i <= L.GetTop(); i++ {
			n = f(n, checkBits(L, i))
		}
		L.Push(result(n))
		return 1
	}
}

func fold32(result func(uint32) glua.LNumber, none uint32, f func(a, b uint32) uint32) glua.LGFunction {
	return func(L *glua.LState) int {
		L.Push(result(all(L, none, f)))
		return 1
	}
}

// shift uses the lower five bits of the distance, as LuaJIT does.
func shift(result func(uint32) glua.LNumber, f func(n uint32, by int) uint32) glua.LGFunction {
	return func(L *glua.LState) int {
		n := checkBits(L, 1)
		L.Push(result(f(n, int(checkBits(L, 2)&31))))
		return 1
	}
}

func shift32(f func(n uint32, by int) uint32) glua.LGFunction {
	return func(L *glua.LState) int {
		n := checkBits(L, 1)
		L.Push(glua.LNumber(f(n, checkInt(L, 2))))
		return 1
	}
}

// shifted shifts to the left, or to the right by a negative distance.
func shifted(n uint32, by int) uint32 {
	switch {
	case by >= 32 || by <= -32:
		return 0
	case by < 0:
		return n >> -by
	}
	return n << by
}

func arithmeticShift(n uint32, by int) uint32 {
	if by < 0 || n < 1<<31 {
		return shifted(n, -by)
	}
	return uint32(int32(n) >> min(by, 31)) //nolint:gosec // G115: the sign is meant
}

// checkField is a range of bits: the first, and how many.
func checkField(L *glua.LState, i int) (from int, mask uint32) {
	from, width := checkInt(L, i), optInt(L, i+1, 1)
	if from < 0 {
		vm.ArgError(L, i, "field cannot be negative")
	}
	if width < 1 {
		vm.ArgError(L, i+1, "width must be positive")
	}
	if from+width > 32 {
		L.RaiseError("trying to access non-existent bits")
	}
	return from, uint32(1<<width - 1)
}

func bitExtract(L *glua.LState) int {
	n := checkBits(L, 1)
	from, mask := checkField(L, 2)
	L.Push(glua.LNumber(n >> from & mask))
	return 1
}

func bitReplace(L *glua.LState) int {
	n, by := checkBits(L, 1), checkBits(L, 2)
	from, mask := checkField(L, 3)
	L.Push(glua.LNumber(n&^(mask<<from) | by&mask<<from))
	return 1
}

// bitHex is bit.tohex: 8 digits, or as many as are asked for; negative is in
// capitals.
func bitHex(L *glua.LState) int {
	n := checkBits(L, 1)
	digits, format := 8, "%08x"
	if L.Get(2) != glua.LNil {
		if digits = int(int32(checkBits(L, 2))); digits < 0 { //nolint:gosec // G115: the sign is meant
			digits, format = -digits, "%08X"
		}
	}
	digits = max(0, min(digits, 8))
	L.Push(glua.LString(fmt.Sprintf(format, n)[8-digits:]))
	return 1
}
