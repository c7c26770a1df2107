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

// The same as vm's, whose names are longer.
func typeError(L *glua.LState, i int, expected string)            { vm.TypeError(L, i, expected) }
func toNumber(L *glua.LState, v glua.LValue) (glua.LNumber, bool) { return vm.Number(L, v) }
func checkNumber(L *glua.LState, i int) float64                   { return float64(vm.CheckNumber(L, i)) }
func checkInt(L *glua.LState, i int) int                          { return vm.CheckInt(L, i) }
func optInt(L *glua.LState, i, absent int) int                    { return vm.OptInt(L, i, absent) }
func checkString(L *glua.LState, i int) string                    { return vm.CheckString(L, i) }
func checkTable(L *glua.LState, i int) *glua.LTable               { return vm.CheckTable(L, i) }
func checkFunction(L *glua.LState, i int) *glua.LFunction         { return vm.CheckFunction(L, i) }

// checkPresent is argument i, which may be nil but not absent.
func checkPresent(L *glua.LState, i int) glua.LValue { return vm.CheckAny(L, i) }

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
