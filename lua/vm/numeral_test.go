package vm

import (
	"math"
	"testing"

	glua "github.com/yuin/gopher-lua"
)

// TestNumerals: what is a number as text, as lua5.1 on Linux has it, whose
// strtod takes hexadecimal fractions and exponents; Go's own forms are none.
func TestNumerals(t *testing.T) {
	t.Parallel()
	none := math.NaN()
	for text, want := range map[string]float64{
		"0": 0, "7": 7, "010": 10, "1e2": 100, "1E+2": 100, "1e-2": .01, ".5": .5, "5.": 5, "-1": -1, "+1": 1, " \t\n\v\f\r1 \t\n\v\f\r": 1,
		"0x10": 16, "0XfF": 255, "-0x10": -16, "+0x10": 16, "0x1p4": 16, "0x1P4": 16, "0x.8": .5, "0x1.8p1": 3,
		"1e999": math.Inf(1), "-1e999": math.Inf(-1), "0x1p9999": math.Inf(1), "1e-999": 0,
		"": none, " ": none, "-": none, "+": none, "--1": none, "+-1": none, "-+1": none, "++1": none, "-+0x10": none, "+-0x10": none, "--0x10": none, ".": none, "e": none, "1e": none, "1e+": none, "1 2": none,
		"1x": none, "0x": none, "-0x": none, "0xg": none, "x10": none, "1x0": none, "0y1": none, "0x1_0": none, "0x_1": none, "1_000": none, "0b1": none, "0o7": none, "/1": none, "1:": none,
		"inf": none, "Infinity": none, "nan": none, "1\x00": none, "\u00a01": none, "0x1p": none, "- 1": none, "1-": none, "1+1": none, "0x1 p1": none, "\x101": none,
	} {
		got, ok := parseNumber(text)
		if ok == math.IsNaN(want) || ok && got != glua.LNumber(want) {
			t.Errorf("%q: got %v, %v; want %v", text, got, ok, want)
		}
	}
}
