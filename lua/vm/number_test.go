package vm_test

import (
	"math"
	"testing"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// The texts are what C's printf("%.14g") gives.
func TestNumberText(t *testing.T) {
	for n, want := range map[float64]string{
		0: "0", math.Copysign(0, -1): "-0", 1: "1", -1: "-1", 0.1: "0.1", 0.1 + 0.2: "0.3", 1.0 / 3: "0.33333333333333",
		100: "100", 123456789012: "123456789012", 99999999999999: "99999999999999", 1e14: "1e+14", 123456789012345: "1.2345678901234e+14",
		1e15: "1e+15", 1 << 53: "9.007199254741e+15", 1e100: "1e+100", -1e15: "-1e+15", 0.0001: "0.0001", 0.00001: "1e-05",
		123456.789: "123456.789", 5e-324: "4.9406564584125e-324", math.MaxFloat64: "1.7976931348623e+308",
		99999999999999.5: "1e+14", 0.999999999999999: "1", math.Inf(1): "inf", math.Inf(-1): "-inf",
	} {
		if got := vm.NumberText(glua.LNumber(n)); got != want {
			t.Errorf("%v is %q, expected %q", n, got, want)
		}
	}
	if got := vm.NumberText(glua.LNumber(math.NaN())); got != "nan" {
		t.Errorf("NaN is %q", got)
	}
}

// TestInt: what isn't a number, or is too large for an integer, is the same
// everywhere.
func TestInt(t *testing.T) {
	for n, want := range map[glua.LNumber]int{1.9: 1, -1.9: -1, glua.LNumber(math.Inf(1)): 1 << 53, -1e300: -1 << 53, glua.LNumber(math.NaN()): 0} {
		if got := vm.Int(n); got != want {
			t.Errorf("%v is %d, expected %d", n, got, want)
		}
	}
}
