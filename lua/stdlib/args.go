package stdlib

import (
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// parseDigits reads a natural number in a base up to 36.
func parseDigits(s string, base int) (glua.LNumber, bool) {
	n := 0.0
	for i := range len(s) {
		d := digit(s[i])
		if d >= base {
			return 0, false
		}
		n = n*float64(base) + float64(d)
	}
	return glua.LNumber(n), s != ""
}

// digit returns a digit's value; 99 is none.
func digit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'z':
		return int(c|0x20-'a') + 10
	}
	return 99
}

// toNumber converts as Lua does: numbers, and strings that are one.
func toNumber(L *glua.LState, v glua.LValue) (glua.LNumber, bool) { return vm.Number(L, v) }

// typeError raises that argument i has the wrong type.
func typeError(L *glua.LState, i int, expected string) {
	vm.TypeError(L, i, expected)
}

// checkNumber is argument i, which is or reads as a number.
func checkNumber(L *glua.LState, i int) float64 {
	n, ok := toNumber(L, L.Get(i))
	if !ok {
		typeError(L, i, "number")
	}
	return float64(n)
}

// maxInt bounds the integers that functions get, so that sums don't overflow.
const maxInt = 1 << 53

// toInt cuts the fraction off. NaN is 0; what is too large is cut to maxInt.
func toInt(n float64) int {
	if n != n {
		return 0
	}
	return int(max(-maxInt, min(n, maxInt)))
}

// checkInt is argument i as an integer within ±maxInt.
func checkInt(L *glua.LState, i int) int { return toInt(checkNumber(L, i)) }

// optInt is checkInt for an argument that may be absent or nil.
func optInt(L *glua.LState, i, absent int) int {
	if L.Get(i) == glua.LNil {
		return absent
	}
	return checkInt(L, i)
}

// checkString is argument i, a string or a number.
func checkString(L *glua.LState, i int) string {
	switch v := L.Get(i).(type) {
	case glua.LString:
		return string(v)
	case glua.LNumber:
		vm.RunOf(L).Charge(L, 32)
		return vm.NumberText(v)
	}
	typeError(L, i, "string")
	return ""
}

// checkTable is argument i, a table.
func checkTable(L *glua.LState, i int) *glua.LTable {
	t, ok := L.Get(i).(*glua.LTable)
	if !ok {
		typeError(L, i, "table")
	}
	return t
}

// checkFunction is argument i, a function.
func checkFunction(L *glua.LState, i int) *glua.LFunction {
	f, ok := L.Get(i).(*glua.LFunction)
	if !ok {
		typeError(L, i, "function")
	}
	return f
}

// checkReadable is argument i, a table: what it reads as if it is frozen. It
// must not be handed to scripts.
func checkReadable(L *glua.LState, i int) *glua.LTable { return readable(checkTable(L, i)) }

func readable(t *glua.LTable) *glua.LTable {
	if t.Metatable == glua.LNil {
		return t
	}
	if content := vm.Frozen(t); content != nil {
		return content
	}
	return t
}

// checkWritable is argument i, a table that isn't frozen.
func checkWritable(L *glua.LState, i int) *glua.LTable {
	t := checkTable(L, i)
	if t.Metatable != glua.LNil && vm.Frozen(t) != nil {
		vm.ArgError(L, i, "the table is read-only")
	}
	return t
}

// checkPresent is argument i, which may be nil but not absent.
func checkPresent(L *glua.LState, i int) glua.LValue {
	if i > L.GetTop() {
		vm.ArgError(L, i, "value expected")
	}
	return L.Get(i)
}
