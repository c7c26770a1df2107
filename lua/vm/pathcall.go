package vm

import (
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/compile"
)

// call follows a call. It reports whether the call can return.
func (w *explorer) call(p *path, i instruction) bool {
	a := i.a()
	callee := p.registers[a]
	first, last := a+1, a+i.b()-1
	if i.b() == 0 {
		last = int(w.fn.Proto.NumUsedRegisters)
	}
	own := callee.kind == "" && callee.object != 0 && callee.member != "" // a method of an object
	switch {
	case callee.kind == isObject:
		w.act(p, callee.object, Called, "")
	case own:
		w.act(p, callee.object, Method, callee.member)
		if first <= last && p.registers[first].object == callee.object && p.registers[first].kind == isObject {
			first++
		}
	}
	result := w.computed("call", callee.id, 0, p.version)
	for r := first; r <= last && r < len(p.registers); r++ {
		w.escape(p, p.registers[r])
		result = w.computed("argument", result.id, p.registers[r].id, len(p.registers[r].kind))
	}
	if w.operation(p, callee, a, &result) {
		return w.results(p, i, result)
	}
	if !own && !w.mayReturn(p, callee, first, last) {
		return false
	}
	for r := range p.registers { // what it shares may have changed
		if p.shared.has(r) && p.registers[r].object == 0 {
			p.registers[r] = w.fresh()
		}
	}
	return w.results(p, i, result)
}

// results gives a call's results to their registers.
func (w *explorer) results(p *path, i instruction, first known) bool {
	a, n := i.a(), i.c()-1
	if n < 0 {
		n = 1
	}
	for r := a; r < a+n && r < len(p.registers); r++ {
		p.registers[r] = w.computed("result", first.id, r-a, 0)
	}
	if n > 0 {
		p.registers[a] = first
	}
	return true
}

// operation follows a call of one of the compiler's own functions.
func (w *explorer) operation(p *path, callee known, base int, result *known) bool {
	f, ok := callee.value.(*glua.LFunction)
	if !ok {
		return false
	}
	for o, operation := range operations {
		if f != operation {
			continue
		}
		switch o {
		case int(compile.SetIndex):
			w.assign(p, p.registers[base+1], p.registers[base+2], p.registers[base+3], "?")
		case int(compile.NewTable):
			result.kind = "table"
		case int(compile.Concat):
			result.kind = "string"
		}
		return true
	}
	return false
}

// mayReturn reports whether a function can return: error can't, nor a script's
// function that always calls it.
func (w *explorer) mayReturn(p *path, callee known, first, last int) bool {
	f, ok := callee.value.(*glua.LFunction)
	if !ok {
		return true
	}
	switch {
	case f == w.L.G.Global.RawGetString("error"):
		return false
	case f == w.L.G.Global.RawGetString("assert"):
		return first > last || p.assume(p.registers[first], true)
	case f.IsG || w.depth >= maxCalls:
		return true
	}
	inner := &explorer{L: w.L, fn: f, steps: w.steps, ids: map[expression]int{}, depth: w.depth + 1}
	inner.walk()
	return inner.returns || *w.steps < 0
}

// maxCalls is how deep functions that are called are followed.
const maxCalls = 3
