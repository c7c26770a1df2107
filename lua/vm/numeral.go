package vm

import (
	"math"
	"strconv"
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// Number converts as Lua does: numbers, and strings that are one.
func Number(L *glua.LState, v glua.LValue) (glua.LNumber, bool) {
	switch v := v.(type) {
	case glua.LNumber:
		return v, true
	case glua.LString:
		text, ok := Numeral(L, string(v))
		if !ok {
			return 0, false
		}
		RunOf(L).Spend(L, len(text)/4)
		return parseNumber(text)
	}
	return 0, false
}

// Space is what C's isspace takes in the "C" locale.
const Space = " \t\n\v\f\r"

// parseNumber reads a number as Lua 5.1 does: decimal, with an exponent, or a
// hexadecimal, between any white space. The engine's own takes 010 for
// octal, and 1_000.
func parseNumber(s string) (glua.LNumber, bool) {
	s = strings.Trim(s, Space)
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

// maxNumeral bounds the text of a number, white space around it excluded:
// reading takes up to 9 ns a byte.
const maxNumeral = 4 << 10

// Numeral returns the text of s without white space around it, a part at a
// time; ok is false if it is too long for a number.
func Numeral(L *glua.LState, s string) (text string, ok bool) {
	if len(s) <= maxNumeral {
		return s, true
	}
	run := RunOf(L)
	isSpace := func(c byte) bool { return c == ' ' || c-'\t' < 5 }
	for len(s) > 0 && isSpace(s[0]) {
		if s = s[1:]; len(s)%trimmed == 0 {
			run.Spend(L, trimmed/16)
		}
	}
	for len(s) > 0 && isSpace(s[len(s)-1]) {
		if s = s[:len(s)-1]; len(s)%trimmed == 0 {
			run.Spend(L, trimmed/16)
		}
	}
	return s, len(s) <= maxNumeral
}

// trimmed is how many bytes of white space are taken off between looks at the
// run.
const trimmed = 4 << 10
