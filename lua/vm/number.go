package vm

import (
	"math"
	"strconv"

	glua "github.com/yuin/gopher-lua"
)

// AppendNumber appends a number as Lua 5.1 writes it: with 14 significant
// digits, as C's "%.14g" does.
func AppendNumber(dst []byte, n glua.LNumber) []byte {
	const exact = 1e14 // more digits than 14 have an exponent
	f := float64(n)
	switch {
	case f == math.Trunc(f) && f > -exact && f < exact && (f != 0 || !math.Signbit(f)):
		return strconv.AppendInt(dst, int64(f), 10)
	case f != f:
		return append(dst, "nan"...)
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	}
	return strconv.AppendFloat(dst, f, 'g', 14, 64)
}

// Modulo is a % b as Lua 5.1 computes it, which isn't exact where the operands
// aren't integers.
func Modulo(a, b float64) float64 { return a - math.Floor(a/b)*b }

// NumberText is AppendNumber as a string.
func NumberText(n glua.LNumber) string {
	var room [32]byte
	return string(AppendNumber(room[:0], n))
}

// Text is a value as text: a string as it is, a number as Lua writes it.
func Text(v glua.LValue) string {
	if n, ok := v.(glua.LNumber); ok {
		return NumberText(n)
	}
	return v.String()
}
