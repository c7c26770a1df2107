package vm_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// generator writes Lua programs: all that they do is bounded, and what they
// return depends on nothing but the language.
type generator struct {
	*rand.Rand
	out    strings.Builder
	indent int
	budget int      // statements that may still be written
	locals []string // visible variables that hold values
	loops  int      // around the place, in its function
	names  int      // made so far
	vararg bool
}

func (g *generator) pick(list ...string) string { return list[g.IntN(len(list))] }

// chance is true n times in 100.
func (g *generator) chance(n int) bool { return g.IntN(100) < n }

func (g *generator) line(format string, args ...any) {
	g.out.WriteString(strings.Repeat(" ", g.indent))
	fmt.Fprintf(&g.out, format, args...)
	g.out.WriteByte('\n')
}

// generated is the body of a vararg function that is called with 7, "s", nil, 9.
func generated(r *rand.Rand) string {
	g := &generator{Rand: r, budget: 3 + r.IntN(14), vararg: true}
	g.line("local a, b, c = %s, %s, %s", g.constant(), g.constant(), g.constant())
	g.line("local t = {x = %s, y = {z = %s}, %s, %s, %s}", g.constant(), g.constant(), g.constant(), g.constant(), g.constant())
	g.line("local u, i, n = %s, %d, 1", g.constant(), 1+g.IntN(3))
	g.line("g = %s", g.constant())
	g.line("local function id(...) return ... end")
	g.line("local function two() return %s, %s end", g.pick("1", "true", `"a"`, "0.1", `"10"`), g.pick("2", "false", `"b"`))
	g.line("local list = {1, 2, 3}") // with a length that is certain
	g.line("local function none() end")
	g.line("local function up(v) u = v return u end")
	g.line("local o = {v = %s}", g.constant())
	g.line("function o:get(k) return self.v, k end")
	g.line("function o.set(self, v) self.v = v return self end")
	g.line("local m = setmetatable({}, meta(log))")
	g.locals = []string{"a", "b", "c", "u", "i"}
	g.statements(0)
	g.line("return %s", strings.Join(append(g.locals, "t", "g", "o.v", "n"), ", "))
	return g.out.String()
}

func (g *generator) constant() string {
	return g.pick("nil", "true", "false", "0", "1", "2", "3.5", "-1", `""`, `"a"`, `"b"`, `"10"`, `"0x10"`, `" 5 "`, "1e15", "0.1", "100")
}

func (g *generator) number() string {
	return g.pick("0", "1", "2", "3", "i", "#list", "n", "2.5", `"2"`, "(1 + i)", "-1")
}

func (g *generator) name() string {
	if g.chance(12) {
		return "g"
	}
	return g.pick(g.locals...)
}

// expression writes an expression of one value or, at the end of a list, any
// number.
func (g *generator) expression(depth int) string {
	if depth <= 0 || g.chance(25) {
		return g.atom(depth)
	}
	sub := func() string { return g.expression(depth - 1) }
	switch g.IntN(12) {
	case 0, 1, 2:
		return sub() + " " + g.pick("and", "or") + " " + sub()
	case 3:
		return "(" + sub() + ") " + g.pick("and", "or") + " (" + sub() + ")"
	case 4:
		return sub() + " " + g.pick("==", "~=") + " " + sub()
	case 5:
		return "(" + g.number() + " " + g.pick("<", ">", "<=", ">=", "==", "~=") + " " + g.number() + ")" // or text would be compared
	case 6:
		return g.pick("not ", "- ", "not not ", "#") + g.atom(depth-1)
	case 7:
		if g.chance(30) { // by what isn't 0: not a number has a sign in C
			return sub() + " " + g.pick("/", "%") + " " + g.pick("3", "-2", "0.1", "100", "#list", `"7"`)
		}
		return sub() + " " + g.pick("+", "-", "*") + " " + sub()
	case 8:
		return g.number() + " " + g.pick("+ i", "- n", "* 3", "^ 2", "^ 3", "^ 0.5") // whose last digit C and Go agree on
	case 9:
		return sub() + ` .. ":" .. ` + sub() + ` .. "."` // or C would read "nan" and "inf" as numbers
	case 10:
		return "(" + sub() + ")"
	}
	return g.atom(depth)
}

func (g *generator) atom(depth int) string {
	sub := func() string { return g.expression(depth - 1) }
	if depth <= 0 {
		return g.pick(g.constant(), g.name(), g.name(), "t.x", "t[1]", "t[i]", "n", "g")
	}
	switch g.IntN(20) {
	case 0, 1, 2:
		return g.name()
	case 3:
		return g.constant()
	case 4:
		return g.pick("t.x", "t.y.z", "t[1]", "t[i]", "t[#list]", "t.nothing", "o.v", "m.field", "m[1]", `("x"):rep(2)`)
	case 5:
		return "id(" + g.list(depth-1) + ")"
	case 6:
		return "(id(" + g.list(depth-1) + "))"
	case 7:
		return g.pick("two()", "(two())", "none()", "(none())", "o:get(1)", "o:get(i, two())", "up(i)", "n")
	case 8:
		if g.vararg {
			return g.pick("...", "(...)", `select("#", ...)`, "select(2, ...)")
		}
		return "a"
	case 9:
		return "str(" + g.expression(depth-1) + ")"
	case 10:
		return "#{" + g.pick("", "1", "two()", "1, two()", "two(), 1", "1, 2, id(3, 4)") + "}"
	case 11:
		return "({" + g.fields(depth-1) + "})" + g.pick(".x", "[1]", "[2]", "[i]")
	case 12:
		return g.closure(depth)
	case 13:
		return g.pick("m + 1", "1 .. m", "m .. m", "m < m", "m == m", "-m", "m(1)", "m % 2", "#m")
	case 14:
		return "up(" + sub() + ")"
	case 15:
		return "tonumber((" + sub() + "))"
	case 16:
		return "type(" + sub() + ")"
	case 17:
		return "o:set(" + sub() + "):get()"
	case 18:
		return "pcall(id, " + sub() + ")"
	}
	return g.name()
}

// closure writes a function that is called at once.
func (g *generator) closure(depth int) string {
	inner := &generator{Rand: g.Rand, budget: g.IntN(4), locals: append([]string{}, g.locals...), names: g.names + 100, vararg: g.chance(50)}
	inner.indent = g.indent + 1
	params := g.pick("", "p", "p, q")
	inner.locals = append(inner.locals, strings.FieldsFunc(params, func(r rune) bool { return r == ',' || r == ' ' })...)
	if inner.vararg {
		params = strings.TrimPrefix(params+", ...", ", ")
	}
	fmt.Fprintf(&inner.out, "(function(%s)\n", params)
	inner.statements(depth)
	if inner.chance(85) {
		inner.line("return %s", inner.list(depth-1))
	}
	// On one line: where an expression has many, Lua 5.1 gives errors the last.
	return strings.ReplaceAll(inner.out.String(), "\n", " ") + "end)(" + g.list(depth-1) + ")"
}

func (g *generator) list(depth int) string {
	var list []string
	for range g.IntN(4) {
		list = append(list, g.expression(depth))
	}
	return strings.Join(list, ", ")
}

// some is a list that isn't empty.
func (g *generator) some(depth int) string {
	if list := g.list(depth); list != "" {
		return list
	}
	return g.expression(depth)
}

func (g *generator) fields(depth int) string {
	var list []string
	for range g.IntN(5) {
		v := g.expression(depth)
		switch g.IntN(4) {
		case 0:
			v = g.pick("x", "y") + " = " + v
		case 1:
			v = "[" + g.pick("1", "2", `"x"`, "i", `"k" .. i`, "100") + "] = " + v
		}
		list = append(list, v)
	}
	return strings.Join(list, g.pick(", ", "; "))
}
