package stdlib

import (
	"math"
	"math/rand/v2"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

func openMath(L *glua.LState) {
	content := library(L, map[string]glua.LGFunction{
		"atan2":      binary(math.Atan2),
		"fmod":       binary(math.Mod),
		"pow":        binary(math.Pow),
		"frexp":      frexp,
		"ldexp":      ldexp,
		"max":        extreme(func(a, b float64) bool { return a > b }),
		"min":        extreme(func(a, b float64) bool { return a < b }),
		"modf":       modf,
		"random":     random,
		"randomseed": func(L *glua.LState) int { checkInt(L, 1); return 0 },
	})
	for name, f := range map[string]func(float64) float64{
		"abs": math.Abs, "acos": math.Acos, "asin": math.Asin, "atan": math.Atan, "ceil": math.Ceil,
		"cos": math.Cos, "cosh": math.Cosh, "exp": math.Exp, "floor": math.Floor, "log": math.Log,
		"log10": math.Log10, "sin": math.Sin, "sinh": math.Sinh, "sqrt": math.Sqrt, "tan": math.Tan,
		"tanh": math.Tanh,
		"deg":  func(x float64) float64 { return x / (math.Pi / 180) },
		"rad":  func(x float64) float64 { return x * (math.Pi / 180) },
	} {
		content.RawSetString(name, L.NewFunction(func(L *glua.LState) int {
			L.Push(glua.LNumber(f(checkNumber(L, 1))))
			return 1
		}))
	}
	content.RawSetString("mod", content.RawGetString("fmod")) // its name in Lua 5.0
	content.RawSetString("pi", glua.LNumber(math.Pi))
	content.RawSetString("huge", glua.LNumber(math.Inf(1)))
	install(L, glua.MathLibName, content)
}

func binary(f func(a, b float64) float64) glua.LGFunction {
	return func(L *glua.LState) int {
		b := checkNumber(L, 2) // which C looks at first
		L.Push(glua.LNumber(f(checkNumber(L, 1), b)))
		return 1
	}
}

func extreme(better func(a, b float64) bool) glua.LGFunction {
	return func(L *glua.LState) int {
		best := checkNumber(L, 1)
		for i := 2; i <= L.GetTop(); i++ {
			if n := checkNumber(L, i); better(n, best) {
				best = n
			}
		}
		L.Push(glua.LNumber(best))
		return 1
	}
}

func frexp(L *glua.LState) int {
	fraction, exponent := math.Frexp(checkNumber(L, 1))
	L.Push(glua.LNumber(fraction))
	L.Push(glua.LNumber(exponent))
	return 2
}

func ldexp(L *glua.LState) int {
	exponent := max(-5000, min(checkInt(L, 2), 5000)) // which C looks at first
	n := checkNumber(L, 1)
	L.Push(glua.LNumber(math.Ldexp(n, exponent)))
	return 1
}

func modf(L *glua.LState) int {
	n := checkNumber(L, 1)
	integer, fraction := math.Modf(n)
	if math.IsInf(n, 0) {
		fraction = 0
	}
	L.Push(glua.LNumber(integer))
	L.Push(glua.LNumber(fraction))
	return 2
}

// random draws from the process's generator, which nobody can seed: what one
// tenant draws tells it nothing of what another will.
func random(L *glua.LState) int {
	r := rand.Float64() //nolint:gosec // keystone.crypto has random bytes for secrets
	switch L.GetTop() {
	case 0:
		L.Push(glua.LNumber(r))
	case 1, 2:
		low, high := 1, checkInt(L, 1)
		at := 1
		if L.GetTop() == 2 {
			low, high, at = high, checkInt(L, 2), 2
		}
		if low > high {
			vm.ArgError(L, at, "interval is empty")
		}
		L.Push(glua.LNumber(math.Floor(r*float64(high-low+1)) + float64(low)))
	default:
		L.RaiseError("wrong number of arguments")
	}
	return 1
}
