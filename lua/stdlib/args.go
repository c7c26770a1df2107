package stdlib

import (
	"math"
	"strconv"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// space is what C's isspace takes in the "C" locale.
const space = " \t\n\v\f\r"

// parseNumber reads a number as Lua 5.1 does: decimal, with an exponent, or a
// hexadecimal, between any white space. The engine's own takes 010 for
// octal, and 1_000.
func parseNumber(s string) (glua.LNumber, bool) {
	s = strings.Trim(s, space)
	digits := strings.TrimPrefix(strings.TrimPrefix(s, "-"), "+")
	if len(s)-len(digits) > 1 || digits == "" {
		return 0, false
	}
	if len(digits) > 2 && digits[0] == '0' && digits[1]|0x20 == 'x' {
		n, ok := parseHex(digits)
		if s[0] == '-' {
			n = -n
		}
		return n, ok
	}
	for i := range len(digits) {
		c := digits[i]
		if (c < '0' || c > '9') && c != '.' && c != '+' && c != '-' && c|0x20 != 'e' {
			return 0, false
		}
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(n, 0) { // too large is infinite, as in C
		return 0, false
	}
	return glua.LNumber(n), true
}

// parseHex reads a hexadecimal number, which may have a fraction and an
// exponent of two, as C's strtod takes them.
func parseHex(s string) (glua.LNumber, bool) {
	if strings.IndexByte(s, '_') >= 0 {
		return 0, false
	}
	if !strings.ContainsAny(s, "pP") {
		s += "p0"
	}
	n, err := strconv.ParseFloat(s, 64)
	return glua.LNumber(n), err == nil || math.IsInf(n, 0)
}

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

// Number reads a string as a number, as Lua does.
func Number(L *glua.LState, s string) (glua.LNumber, bool) { return toNumber(L, glua.LString(s)) }

// toNumber converts as Lua does: numbers, and strings that are one.
func toNumber(L *glua.LState, v glua.LValue) (glua.LNumber, bool) {
	switch v := v.(type) {
	case glua.LNumber:
		return v, true
	case glua.LString:
		text, ok := numeral(L, string(v))
		if !ok {
			return 0, false
		}
		vm.RunOf(L).Spend(L, len(text)/4)
		return parseNumber(text)
	}
	return 0, false
}

// typeError raises that argument i has the wrong type.
func typeError(L *glua.LState, i int, expected string) {
	got := "no value"
	if i <= L.GetTop() {
		got = L.Get(i).Type().String()
	}
	L.ArgError(i, expected+" expected, got "+got)
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
		L.ArgError(i, "the table is read-only")
	}
	return t
}

// checkPresent is argument i, which may be nil but not absent.
func checkPresent(L *glua.LState, i int) glua.LValue {
	if i > L.GetTop() {
		L.ArgError(i, "value expected")
	}
	return L.Get(i)
}
