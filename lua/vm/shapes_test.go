package vm_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// atoms are the operands of the shapes.
var atoms = []string{
	"nil", "true", "false", "0", "2", "1.5", `"a"`, `"10"`, "a", "b", "u", "g", "t.x", "t[1]", "t[i]", "t.no",
	"f()", "(f())", "two()", "(two())", "none()", "(none())", "...", "(...)", "o:m()", "o:m(two())", "id(a)",
	"{}", "function() end", "set()", `("x"):rep(2)`,
}

// binary and unary are the operators.
var (
	binary = []string{"and", "or", "and", "or", "==", "~=", "<", ">=", "+", "-", "*", "/", "%", "^", ".."}
	unary  = []string{"not ", "- ", "#"}
)

// contexts are where a shape can stand: %[1]s is it, %[2]s another. What they
// leave behind is in a, b, u, g, t and the results.
var contexts = []string{
	"local x = %[1]s return x",
	"local x, y = %[1]s return x, y",
	"local x, y = %[1]s, %[2]s return x, y",
	"a = %[1]s",
	"b = %[1]s",
	"u = %[1]s",
	"g = %[1]s",
	"t.x = %[1]s",
	"t[i] = %[1]s",
	"t[i], t.x = %[1]s",
	"a, b = %[1]s, %[2]s",
	"b, a = %[1]s",
	"a, g, u = %[1]s, %[2]s",
	"t.x, a, t[2] = %[1]s, %[2]s",
	"return %[1]s",
	"return (%[1]s)",
	"return %[1]s, %[2]s",
	"id(%[1]s)",
	"return id(%[1]s, %[2]s)",
	"return (id(1, %[1]s))",
	"if %[1]s then a = 'yes' else a = 'no' end",
	"if not (%[1]s) then a = 'yes' elseif %[2]s then a = 'no' end",
	"while %[1]s do a = 'yes' break end",
	"local n = 0 repeat n = n + 1 local w = %[2]s until n > 2 or w or %[1]s return n",
	"local x = {%[1]s} return #x, x[1]",
	"local x = {%[2]s, k = %[1]s, %[1]s} return x.k, x[1], x[2]",
	"local x = {[1] = %[1]s, [i] = %[2]s} return x[1], x[i]",
	"return 'p' .. (%[1]s) .. 'q'",
	"return (%[1]s) .. (%[2]s)",
	"for k = 1, (%[1]s) do if k > 2 then break end a = k end",
	"for k in id(it, %[1]s) do a = k end",
	"return #(%[1]s), -(%[2]s)",
	"local function inner(...) a = %[1]s return ... end return inner(%[2]s)",
	"local function last(p, q, ...) q = %[1]s return p, q end return last(1, %[2]s)",
	"local c = function(...) return %[1]s end a, b = c(3, 4)",
	"return t[%[1]s]",
	"t[(%[1]s) or 1] = %[2]s return t[1]",
	"do local a = %[1]s b = a end",
	"return not (%[1]s), (%[1]s) == (%[2]s)",
	"return o.v, (%[1]s), o:m(%[2]s), a",
}

// shape writes an expression of up to so many operands.
func shape(r *rand.Rand, operands int) string {
	if operands <= 1 {
		e := atoms[r.IntN(len(atoms))]
		if r.IntN(8) == 0 {
			e = unary[r.IntN(len(unary))] + e
		}
		return e
	}
	left := 1 + r.IntN(operands-1)
	parts := []string{shape(r, left), shape(r, operands-left)}
	for i := range parts {
		if r.IntN(3) == 0 {
			parts[i] = "(" + parts[i] + ")"
		}
	}
	return parts[0] + " " + binary[r.IntN(len(binary))] + " " + parts[1]
}

// shaped is a program with a shape in a context.
func shaped(context, first, second string) string {
	if !strings.Contains(context, "%[2]s") {
		context += "%[2]s"
		second = ""
	}
	return `local a, b, i = "A", false, 1
local t, u = {x = "X", 5}, "U"
g = "G"
local o = {v = "V"}
function o:m(...) return self.v, ... end
local function f() return a end
local function id(...) return ... end
local function two() return 1, 2 end
local function none() end
local function set() a, b, u = b, u, a return a end
local function it(s, k) if not k then return 1 end end
local function touch() u = u return u end
local results = {n = 0, pcall(function(...)
` + fmt.Sprintf(context, first, second) + `
end, ...)}
if not results[1] then results[2] = "an error" end
return a, b, u, g, t, results
`
}

// TestShapes compares expressions in every context with lua5.1.
func TestShapes(t *testing.T) {
	k := kept(t, "testdata/lua51-shapes.txt")
	const size = 800
	var list []string
	number := 0
	flush := func() {
		if len(list) > 0 && !t.Failed() {
			compare(t, k, number, list)
			number++
		}
		list = list[:0]
	}
	r := rand.New(rand.NewPCG(*seed, 1))
	for _, context := range contexts {
		for range max(1, *programs/len(contexts)) {
			list = append(list, shaped(context, shape(r, 1+r.IntN(4)), shape(r, 1+r.IntN(2))))
			if len(list) == size {
				flush()
			}
		}
	}
	flush()
}
