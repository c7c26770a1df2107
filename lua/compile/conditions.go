package compile

import (
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/syntax"
)

// jumpIf emits jumps that are taken if an expression is as wanted; else the
// code goes on.
func (f *function) jumpIf(e syntax.Expression, wanted bool) jumps {
	base := f.free
	switch e := e.(type) {
	case *syntax.Nil:
		return f.jumpConstant(!wanted)
	case *syntax.Bool:
		return f.jumpConstant(e.Value == wanted)
	case *syntax.Number, *syntax.String:
		return f.jumpConstant(wanted)
	case *syntax.Single:
		return f.jumpIf(e.Value, wanted)
	case *syntax.Unary:
		if e.Operator == syntax.Not {
			return f.jumpIf(e.Value, !wanted)
		}
	case *syntax.Logical:
		return f.jumpLogical(e, wanted)
	case *syntax.Binary:
		last := len(e.Rest) - 1
		if _, ok := arithmetic[e.Rest[last].Operator]; !ok {
			left := e.First
			if last > 0 {
				left = &syntax.Binary{Pos: e.Pos, First: e.First, Rest: e.Rest[:last]}
			}
			if _, ok := e.Rest[last].Value.(*syntax.Nil); ok {
				f.noteTest(left)
			}
			return f.compare(f.operand(left), base, &e.Rest[last], wanted)
		}
	}
	f.noteTest(e)
	r := f.any(e)
	f.free = base
	f.abc(glua.OP_TEST, r, 0, boolean(wanted))
	return f.jump()
}

// noteTest notes that a condition asks for a global.
func (f *function) noteTest(e syntax.Expression) {
	if name, ok := e.(*syntax.Name); ok && name.Variable == nil {
		f.compiler.result.Tests = append(f.compiler.result.Tests, f.compiler.own(name.Name))
	}
}

func (f *function) jumpConstant(taken bool) jumps {
	if taken {
		return f.jump()
	}
	return nil
}

// jumpLogical is jumpIf of "a and b and …" or "a or b or …".
func (f *function) jumpLogical(e *syntax.Logical, wanted bool) (taken jumps) {
	decides := e.Operator == syntax.Or // what one value must be to decide
	last := len(e.Values) - 1
	if wanted == decides {
		for _, v := range e.Values {
			taken = append(taken, f.jumpIf(v, wanted)...)
		}
		return taken
	}
	var decided jumps
	for _, v := range e.Values[:last] {
		decided = append(decided, f.jumpIf(v, decides)...)
	}
	taken = f.jumpIf(e.Values[last], wanted)
	f.patchHere(decided)
	return taken
}

// target is a register that a value is for. A fresh one is the newest, which
// nothing reads before it has its value; any other is written only with that.
type target struct {
	register int
	fresh    bool
}

// logical evaluates "a and b and …" or "a or b or …": the value that decides.
func (f *function) logical(e *syntax.Logical, to int) int {
	base, last := f.free, len(e.Values)-1
	t := target{f.slot(to), to == anywhere}
	var done jumps
	for _, v := range e.Values[:last] {
		done = append(done, f.valueIf(v, t, e.Operator == syntax.Or)...)
	}
	if f.free = base; t.fresh {
		f.next(e.Values[last])
	} else {
		f.value(e.Values[last], t.register)
	}
	f.patchHere(done)
	return t.register
}

// valueIf emits jumps that are taken if an expression is as wanted, with its
// value in the target; else the code goes on, and the target, unless it is
// fresh, is as it was.
func (f *function) valueIf(e syntax.Expression, to target, wanted bool) jumps {
	switch e := e.(type) {
	case *syntax.Single:
		return f.valueIf(e.Value, to, wanted)
	case *syntax.Logical:
		return f.valueIfLogical(e, to, wanted)
	case *syntax.Nil:
		if wanted {
			return nil
		}
	case *syntax.Bool:
		if e.Value != wanted {
			return nil
		}
	case *syntax.Number, *syntax.String:
		if !wanted {
			return nil
		}
	}
	if comparison(e) {
		not := f.jumpIf(e, !wanted)
		f.abc(glua.OP_LOADBOOL, to.register, boolean(wanted), 0)
		taken := f.jump()
		f.patchHere(not)
		return taken
	}
	f.noteTest(e)
	if name, ok := e.(*syntax.Name); to.fresh && (!ok || !f.local(name)) {
		f.free = to.register
		f.next(e)
		f.abc(glua.OP_TEST, to.register, 0, boolean(wanted))
		return f.jump()
	}
	base := f.free
	r := f.any(e)
	f.free = base
	f.abc(glua.OP_TESTSET, to.register, r, boolean(wanted))
	return f.jump()
}

// valueIfLogical is valueIf of "a and b and …" or "a or b or …".
func (f *function) valueIfLogical(e *syntax.Logical, to target, wanted bool) (taken jumps) {
	decides := e.Operator == syntax.Or
	last := len(e.Values) - 1
	if wanted == decides {
		for _, v := range e.Values {
			taken = append(taken, f.valueIf(v, to, wanted)...)
		}
		return taken
	}
	var decided jumps
	for _, v := range e.Values[:last] {
		decided = append(decided, f.jumpIf(v, decides)...)
	}
	taken = f.valueIf(e.Values[last], to, wanted)
	f.patchHere(decided)
	return taken
}
