package compile

import (
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/syntax"
)

// loop is what break needs to know.
type loop struct {
	outer  *loop
	active int // how many variables are visible around it
	breaks jumps
}

func (f *function) openLoop() *loop {
	f.loop = &loop{outer: f.loop, active: len(f.active)}
	return f.loop
}

// closeLoop ends the innermost loop: break goes on here.
func (f *function) closeLoop() {
	f.patchHere(f.loop.breaks)
	f.loop = f.loop.outer
}

// while has its condition behind the body, so that a round has one jump.
func (f *function) while(s *syntax.While) {
	f.openLoop()
	enter := f.jump()
	body := f.here()
	f.block(s.Body)
	f.patchHere(enter)
	f.at(s)
	f.patch(f.jumpIf(s.Condition, true), body)
	f.closeLoop()
}

func (f *function) repeat(s *syntax.Repeat) {
	f.openLoop()
	body, active, free := f.here(), len(f.active), f.free
	f.statements(s.Body)
	f.at(s.Condition)
	again := f.jumpIf(s.Condition, false)
	if f.captured(active) {
		f.closeFrom(active)
		done := f.jump()
		f.patchHere(again)
		f.closeFrom(active)
		f.jumpTo(body)
		f.patchHere(done)
	} else {
		f.patch(again, body)
	}
	f.leave(active, free)
	f.closeLoop()
}

// captured reports whether an inner function shares a variable, from the one of
// that number on.
func (f *function) captured(first int) bool {
	for _, v := range f.active[first:] {
		if v.Captured {
			return true
		}
	}
	return false
}

// numericFor keeps counter, limit and step in three registers; the variable is
// the one after them, new in each round.
func (f *function) numericFor(s *syntax.NumericFor) {
	f.openLoop()
	free := f.free
	f.bounds(s, free)
	f.at(s)
	f.debugName("(for index)")
	f.debugName("(for limit)")
	f.debugName("(for step)")
	prepare := f.abx(glua.OP_FORPREP, free, 0)
	body := f.here()
	active, after := len(f.active), f.free
	f.declare(s.Variable, f.reserve(1))
	f.scope(s.Body, active, after)
	f.at(s)
	f.patchHere(jumps{prepare})
	f.patch(jumps{f.abx(glua.OP_FORLOOP, free, 0)}, body)
	f.leave(active, free)
	f.closeLoop()
}

// bounds evaluates where a loop begins and ends, and its step. The machine
// wants numbers, where Lua takes strings that are one.
func (f *function) bounds(s *syntax.NumericFor, base int) {
	step := s.Step
	if step == nil {
		step = &syntax.Number{Pos: s.Pos, Value: 1}
	}
	sure := isNumber(s.Start) && isNumber(s.Limit) && isNumber(step)
	if !sure {
		f.reserve(1)
	}
	f.next(s.Start)
	f.next(s.Limit)
	f.next(step)
	if !sure {
		f.at(s)
		f.call(base, ForBounds, 3, 3)
	}
}

// isNumber reports whether a value is certainly a number, or an error for
// another reason.
func isNumber(e syntax.Expression) bool {
	switch e := e.(type) {
	case *syntax.Number:
		return true
	case *syntax.Unary:
		return e.Operator == syntax.Length
	}
	return false
}

// genericFor keeps the iterator, its state and the control variable in three
// registers; the variables are those after them.
func (f *function) genericFor(s *syntax.GenericFor) {
	f.openLoop()
	free := f.free
	f.adjust(s.Values, 3)
	f.at(s)
	f.debugName("(for generator)")
	f.debugName("(for state)")
	f.debugName("(for control)")
	enter := f.jump()
	body := f.here()
	active, after := len(f.active), f.free
	f.need(3) // for the call of the iterator
	for _, v := range s.Variables {
		f.declare(v, f.reserve(1))
	}
	f.scope(s.Body, active, after)
	f.pos(s.From) // as lua5.1 has it
	f.patchHere(enter)
	f.abc(glua.OP_TFORLOOP, free, 0, len(s.Variables))
	f.jumpTo(body)
	f.leave(active, free)
	f.closeLoop()
}
