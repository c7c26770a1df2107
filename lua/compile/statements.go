package compile

import (
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/syntax"
)

// block compiles a list of statements with a scope of its own. The registers
// of its variables are free after it.
func (f *function) block(b *syntax.Block) { f.scope(b, len(f.active), f.free) }

// scope is block for a scope that begins with variables before the list.
func (f *function) scope(b *syntax.Block, active, free int) {
	f.statements(b)
	if !jumpsAway(b) {
		f.where.Line = b.EndLine
		f.closeFrom(active)
	}
	f.leave(active, free)
}

// jumpsAway reports whether what follows a block isn't reached from it.
func jumpsAway(b *syntax.Block) bool {
	if len(b.Statements) == 0 {
		return false
	}
	switch b.Statements[len(b.Statements)-1].(type) {
	case *syntax.Return, *syntax.Break, *syntax.Goto:
		return true
	}
	return false
}

func (f *function) statements(b *syntax.Block) {
	for _, s := range b.Statements {
		f.at(s)
		f.cover(s)
		f.statement(s)
	}
}

// cover tells that a statement is about to run. Labels and blocks do nothing
// themselves.
func (f *function) cover(s syntax.Statement) {
	if !f.compiler.options.Cover {
		return
	}
	switch s.(type) {
	case *syntax.Label, *syntax.Do:
		return
	}
	line := int(s.Position().Line)
	f.compiler.result.Lines = append(f.compiler.result.Lines, line)
	base := f.reserve(3)
	f.abx(glua.OP_LOADK, base+1, f.string(f.compiler.name))
	f.abx(glua.OP_LOADK, base+2, f.number(float64(line)))
	f.call(base, CoverLine, 2, 0)
}

func (f *function) statement(s syntax.Statement) {
	switch s := s.(type) {
	case *syntax.Local:
		f.localStatement(s)
	case *syntax.LocalFunction:
		f.declare(s.Variable, f.reserve(1))
		f.closure(s.Function, s.Variable.Register)
	case *syntax.Assign:
		f.assign(s)
	case *syntax.DefineFunction:
		base := f.free
		f.assignOne(s.Target, &syntax.Closure{Pos: s.Pos, Function: s.Function})
		f.free = base
	case *syntax.CallStatement:
		base := f.free
		f.accessCall(s.Call, 0)
		f.free = base
	case *syntax.Do:
		f.block(s.Body)
	case *syntax.While:
		f.while(s)
	case *syntax.Repeat:
		f.repeat(s)
	case *syntax.If:
		f.conditional(s)
	case *syntax.NumericFor:
		f.numericFor(s)
	case *syntax.GenericFor:
		f.genericFor(s)
	case *syntax.Return:
		f.returns(s)
	case *syntax.Break:
		f.closeFrom(f.loop.active)
		f.loop.breaks = append(f.loop.breaks, f.jump()...)
	case *syntax.Goto:
		f.closeFrom(s.Label.Active)
		if s.Label.Place >= 0 {
			f.jumpTo(s.Label.Place)
		} else {
			s.Label.Jumps = append(s.Label.Jumps, f.jump()...)
		}
	case *syntax.Label:
		s.Place = f.here()
		f.patchHere(s.Jumps)
		s.Jumps = nil
	default:
		panic("BUG: a statement of an unknown type")
	}
}

func (f *function) localStatement(s *syntax.Local) {
	first := f.free
	f.adjust(s.Values, len(s.Variables))
	for i, v := range s.Variables {
		f.declare(v, first+i)
	}
}

func (f *function) conditional(s *syntax.If) {
	var ends jumps
	for i := range s.Clauses {
		c := &s.Clauses[i]
		f.at(c)
		skip := f.jumpIf(c.Condition, false)
		f.block(c.Body)
		if last := i == len(s.Clauses)-1 && s.Else == nil; !last && !jumpsAway(c.Body) {
			ends = append(ends, f.jump()...)
		}
		f.patchHere(skip)
	}
	if s.Else != nil {
		f.block(s.Else)
	}
	f.patchHere(ends)
}

// returns compiles return. A call in it gets the place of the function that
// returns.
func (f *function) returns(s *syntax.Return) {
	base := f.free
	defer func() { f.free = base }()
	if len(s.Values) == 1 {
		if a, ok := s.Values[0].(*syntax.Access); ok && multiple(a) {
			f.accessCall(a, open)
			call := &f.proto.Code[f.here()-1]
			*call = encode(glua.OP_TAILCALL, base, int(*call)&maxArgument, 0)
			f.abc(glua.OP_RETURN, base, 0, 0)
			return
		}
		if !multiple(s.Values[0]) {
			f.abc(glua.OP_RETURN, f.any(s.Values[0]), 2, 0)
			return
		}
	}
	f.abc(glua.OP_RETURN, base, f.list(s.Values)+1, 0)
}
