package vm_test

import (
	"fmt"
	"strings"
)

func (g *generator) target() string {
	if g.chance(60) {
		return g.name()
	}
	return g.pick("t.x", "t[1]", "t[i]", "t[2]", "t.y.z", "o.v", "m.field", "m[i]", "id(t).x", "id(t)[1]", "t[id(i)]", "g", `t["k" .. n]`)
}

// statements writes a block.
func (g *generator) statements(depth int) {
	visible := len(g.locals)
	_ = visible
	for n := 1 + g.IntN(5); n > 0 && g.budget > 0; n-- {
		g.budget--
		g.statement(depth)
	}
}

// block writes a block with a scope of its own.
func (g *generator) block(depth int, extra ...string) {
	locals := g.locals
	g.locals = append(append([]string{}, locals...), extra...)
	g.indent++
	g.statements(depth)
	g.indent--
	g.locals = locals
}

func (g *generator) statement(depth int) {
	if depth > 3 {
		g.line("%s = %s", g.target(), g.expression(2))
		return
	}
	switch g.IntN(22) {
	case 0, 1, 2, 3, 4:
		g.line("%s = %s", g.target(), g.expression(3))
	case 5, 6:
		g.line("%s, %s = %s", g.target(), g.target(), g.some(2))
	case 7:
		g.line("%s, %s, %s = %s, %s", g.target(), g.target(), g.target(), g.expression(2), g.some(1))
	case 8, 9:
		g.local()
	case 10, 11:
		g.conditional(depth)
	case 12:
		w := g.counter()
		g.line("while %s < %d and (%s) ~= nil do", w, 1+g.IntN(4), g.expression(2))
		g.line(" %s = %s + 1 n = n + 1", w, w)
		g.loop(depth)
		g.line("end")
	case 13:
		w := g.counter()
		g.line("repeat")
		g.line(" %s = %s + 1 local w = %s", w, w, g.expression(1))
		g.loop(depth, "w")
		g.line("until %s > %d or w == %s or (%s)", w, g.IntN(4), g.constant(), g.expression(2))
	case 14, 15:
		g.numericFor(depth)
	case 16, 17:
		g.genericFor(depth)
	case 18:
		g.line("do")
		g.block(depth + 1)
		g.line("end")
	case 19:
		g.line("%s(%s)", g.pick("id", "two", "none", "up", "o.set", "log"), g.list(2))
	case 20:
		g.functions(depth)
	case 21:
		g.jump(depth)
	}
}

// counter declares a variable that bounds a loop, and that nothing assigns to.
func (g *generator) counter() string {
	g.names++
	name := fmt.Sprintf("n%d", g.names)
	g.line("local %s = 0", name)
	return name
}

func (g *generator) local() {
	names := make([]string, 1+g.IntN(3))
	for i := range names {
		g.names++
		names[i] = fmt.Sprintf("v%d", g.names)
		if g.chance(20) {
			names[i] = g.pick("a", "b", "u", "i")
		}
	}
	text := strings.Join(names, ", ")
	if g.chance(85) {
		g.line("local %s = %s", text, g.some(3))
	} else {
		g.line("local %s", text)
	}
	g.locals = append(g.locals, names...)
}

func (g *generator) conditional(depth int) {
	g.line("if %s then", g.expression(3))
	g.block(depth + 1)
	for g.chance(30) {
		g.line("elseif %s then", g.expression(2))
		g.block(depth + 1)
	}
	if g.chance(50) {
		g.line("else")
		g.block(depth + 1)
	}
	g.line("end")
}

// loop writes the body of a loop.
func (g *generator) loop(depth int, locals ...string) {
	outer := g.locals
	g.locals = append(append([]string{}, outer...), locals...)
	g.indent++
	g.loops++
	if g.chance(35) {
		g.line("fs[#fs + 1] = function() %s return %s end", g.pick("", "a = n", "b = i"), g.name())
	}
	g.statements(depth + 1)
	if g.chance(20) {
		g.line("if %s then break end", g.expression(2))
	}
	g.loops--
	g.indent--
	g.locals = outer
}

func (g *generator) numericFor(depth int) {
	g.names++
	name := fmt.Sprintf("k%d", g.names)
	bounds := g.pick("1, 3", "3, 1, -1", "1, #list", "1, (tonumber(i) or 2) % 4", `"1", 2`, "0.5, 2", "1, 0", "2, 1, -0.5", `1, "3"`)
	g.line("for %s = %s do", name, bounds)
	g.loop(depth, name)
	g.line("end")
}

func (g *generator) genericFor(depth int) {
	g.names++
	k, v := fmt.Sprintf("k%d", g.names), fmt.Sprintf("e%d", g.names)
	g.line("for %s, %s in %s do", k, v, g.pick("ipairs(t)", "ipairs({1, 2, 3})", "ipairs{two()}", "count(3)", "pairs({5})", "next, {x = 1}"))
	g.loop(depth, k, v)
	g.line("end")
}

func (g *generator) functions(depth int) {
	g.names++
	name := fmt.Sprintf("f%d", g.names)
	params := g.pick("", "p", "p, q", "...", "p, ...")
	inner := &generator{Rand: g.Rand, budget: 1 + g.IntN(4), locals: append([]string{}, g.locals...), names: g.names + 200, indent: g.indent + 1, vararg: strings.HasSuffix(params, "...")}
	for _, p := range strings.FieldsFunc(params, func(r rune) bool { return r == ',' || r == ' ' }) {
		if p != "..." {
			inner.locals = append(inner.locals, p)
		}
	}
	g.line("%s(%s)", g.pick("local function "+name, "local "+name+" = function"), params)
	inner.statements(depth + 1)
	if inner.chance(80) {
		inner.line("return %s", inner.list(2))
	}
	g.out.WriteString(inner.out.String())
	g.line("end")
	g.line("%s = %s(%s)", g.target(), name, g.list(1))
	if g.chance(40) {
		g.line("%s, %s = %s(%s)", g.target(), g.target(), name, g.list(2))
	}
}

// jump writes what leaves early: break, or a return in a block of its own.
func (g *generator) jump(int) {
	if g.loops > 0 && g.chance(70) {
		g.line("if %s then break end", g.expression(2))
		return
	}
	g.line("if %s then return %s end", g.expression(2), g.list(2))
}
