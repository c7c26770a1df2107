package compile

import (
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/syntax"
)

// place is what is assigned to: a variable, a global, or a field of an object.
type place struct {
	kind   placeKind
	pos    syntax.Pos
	index  int  // of a variable's register, an upvalue, a global's name
	object int  // register
	key    int  // operand
	named  bool // the key is a constant string
}

type placeKind uint8

const (
	inRegister placeKind = iota
	inUpvalue
	inGlobal
	inField // with a constant key
	inItem  // with any key, which is counted
)

// assign compiles an assignment. As in Lua 5.1, objects and keys on the left
// are evaluated first, then all values, and then it is assigned, from the last
// target to the first.
func (f *function) assign(s *syntax.Assign) {
	base := f.free
	if len(s.Targets) == 1 && len(s.Values) == 1 {
		f.assignOne(s.Targets[0], s.Values[0])
		f.free = base
		return
	}
	places := make([]place, len(s.Targets))
	for i, target := range s.Targets {
		places[i] = f.locate(target)
		if places[i].kind == inRegister {
			f.protect(places[:i], places[i].index)
		}
	}
	last := len(places) - 1
	if len(s.Values) == len(places) {
		first := f.free
		for _, v := range s.Values[:last] {
			f.next(v)
		}
		f.store(&places[last], s.Values[last])
		for i := last - 1; i >= 0; i-- {
			f.storeFrom(&places[i], first+i)
		}
	} else {
		first := f.free
		f.adjust(s.Values, len(places))
		for i := last; i >= 0; i-- {
			f.storeFrom(&places[i], first+i)
		}
	}
	f.free = base
}

// locate evaluates what stands before the last index of a target, and the key.
func (f *function) locate(target syntax.Expression) place {
	p := place{pos: target.Position()}
	name, ok := target.(*syntax.Name)
	switch {
	case !ok:
		return f.locateField(target.(*syntax.Access)) //nolint:forcetypeassert // there is no other kind of target
	case name.Variable == nil:
		result := f.compiler.result
		result.Writes = append(result.Writes, Global{f.compiler.own(name.Name), int(name.Line)})
		p.kind, p.index = inGlobal, f.string(name.Name)
	case f.local(name):
		p.kind, p.index = inRegister, name.Variable.Register
	default:
		p.kind, p.index = inUpvalue, f.upvalue(name.Variable)
	}
	return p
}

func (f *function) locateField(a *syntax.Access) place {
	last := len(a.Steps) - 1
	step := &a.Steps[last]
	object := f.prefix(a, last)
	named, key := f.key(step.Key)
	p := place{kind: inField, pos: step.Pos, object: object, key: key, named: named}
	if f.compiler.assignedByCall(step.Key) {
		p.kind = inItem
	}
	return p
}

// protect copies a variable that earlier places use, and which is about to be
// assigned to before them.
func (f *function) protect(places []place, register int) {
	copied := anywhere
	spare := func(used *int) {
		if *used != register {
			return
		}
		if copied == anywhere {
			copied = f.reserve(1)
			f.move(copied, register)
		}
		*used = copied
	}
	for i := range places {
		if p := &places[i]; p.kind == inField || p.kind == inItem {
			spare(&p.object)
			spare(&p.key)
		}
	}
}

// assignOne assigns one value to one target.
func (f *function) assignOne(target, value syntax.Expression) {
	if a, ok := target.(*syntax.Access); ok && f.compiler.assignedByCall(a.Steps[len(a.Steps)-1].Key) {
		f.assignItem(a, value)
		return
	}
	p := f.locate(target)
	f.store(&p, value)
}

// assignItem is a call of SetIndex whose arguments are evaluated where they
// are wanted, but for variables, which are read last, as in Lua 5.1.
func (f *function) assignItem(a *syntax.Access, value syntax.Expression) {
	last := len(a.Steps) - 1
	step := &a.Steps[last]
	base := f.reserve(1)
	object := f.prefix(a, last)
	f.free = base + 1
	f.reserve(1)
	key := f.operand(step.Key)
	f.free = base + 2
	f.reserve(1)
	f.next(value)
	f.pos(step.Pos)
	f.move(base+1, object)
	f.load(base+2, key)
	f.call(base, SetIndex, 3, 0)
}

// load copies an operand into a register.
func (f *function) load(to, operand int) {
	if operand&constantBit != 0 {
		f.abx(glua.OP_LOADK, to, operand&^constantBit)
		return
	}
	f.move(to, operand)
}

// store evaluates a value and assigns it.
func (f *function) store(p *place, value syntax.Expression) {
	base := f.free
	switch p.kind {
	case inRegister:
		f.value(value, p.index)
	case inField:
		v := f.operand(value)
		f.pos(p.pos)
		f.set(p.object, p.named, p.key, v)
	default:
		f.storeFrom(p, f.any(value))
	}
	f.free = base
}

// storeFrom assigns the value of a register.
func (f *function) storeFrom(p *place, register int) {
	f.pos(p.pos)
	switch p.kind {
	case inRegister:
		f.move(p.index, register)
	case inUpvalue:
		f.abc(glua.OP_SETUPVAL, register, p.index, 0)
	case inGlobal:
		f.abx(glua.OP_SETGLOBAL, register, p.index)
	case inField:
		f.set(p.object, p.named, p.key, register)
	case inItem:
		base := f.reserve(4)
		f.move(base+1, p.object)
		f.load(base+2, p.key)
		f.move(base+3, register)
		f.call(base, SetIndex, 3, 0)
	}
}
