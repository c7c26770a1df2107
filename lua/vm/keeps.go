package vm

import (
	"slices"

	glua "github.com/yuin/gopher-lua"
)

// Keeps reports whether a function can keep one of its first arguments beyond
// its call, or hand it on to somebody who can. They are userdata of Go code's,
// or Go functions, of which nothing but a field named inner gives another such
// value, and whose methods keep none. false is certain: all that the function
// does with them is to call their methods, to call them, to read and to write
// their fields. That is what most functions do, and so the arguments can be the
// same ones the next time. true is also said where it isn't known.
func Keeps(fn *glua.LFunction, arguments int, inner string) bool {
	p := fn.Proto
	if fn.IsG || p == nil || p.IsVarArg != 0 || len(p.Code) > maxFollowed {
		return true
	}
	f := follower{proto: p, inner: inner, states: make([]registers, len(p.Code)), seen: make([]bool, len(p.Code))}
	var first registers
	for i := range arguments { // also of a function that names fewer parameters
		first.values.set(i)
	}
	f.goTo(0, &first)
	for len(f.todo) > 0 && !f.keeps {
		pc := f.todo[len(f.todo)-1]
		f.todo = f.todo[:len(f.todo)-1]
		f.step(pc)
	}
	return f.keeps || f.captures()
}

// maxFollowed is how many instructions a function may have to be followed.
const maxFollowed = 4096

// set is a set of registers.
type set [4]uint64

func (s *set) set(r int)      { s[r>>6&3] |= 1 << (r & 63) }
func (s *set) clear(r int)    { s[r>>6&3] &^= 1 << (r & 63) }
func (s *set) has(r int) bool { return s[r>>6&3]&(1<<(r&63)) != 0 }

// anyFrom reports whether a register is in the set, or one above it.
func (s *set) anyFrom(r int) bool {
	for ; r < 256; r++ {
		if s.has(r) {
			return true
		}
	}
	return false
}

// registers is what is known of the registers before an instruction.
type registers struct {
	values  set // may hold one of the values that are followed
	methods set // hold a method of the value in the register after them
}

// write notes that a register gets a value.
func (r *registers) write(register int, followed bool) {
	r.methods.clear(register)
	if register > 0 {
		r.methods.clear(register - 1)
	}
	if followed {
		r.values.set(register)
	} else {
		r.values.clear(register)
	}
}

func (r *registers) writeFrom(register, end int, followed bool) {
	for ; register < end; register++ {
		r.write(register, followed)
	}
}

// follower follows values through the instructions of a function, by all ways
// that there are, until nothing new is found.
type follower struct {
	proto    *glua.FunctionProto
	inner    string
	states   []registers
	seen     []bool
	todo     []int
	captured set // registers that are upvalues of functions made here
	keeps    bool
}

// goTo notes what is known when an instruction is come to.
func (f *follower) goTo(pc int, r *registers) {
	if pc < 0 || pc >= len(f.states) {
		return
	}
	have := &f.states[pc]
	if !f.seen[pc] {
		f.seen[pc], *have = true, *r
		f.todo = append(f.todo, pc)
		return
	}
	was := *have
	for i := range have.values {
		have.values[i] |= r.values[i]
		have.methods[i] &= r.methods[i]
	}
	if *have != was {
		f.todo = append(f.todo, pc)
	}
}

// captures reports whether an upvalue ever holds a followed value.
func (f *follower) captures() bool {
	return slices.ContainsFunc(f.states, func(r registers) bool {
		for i := range f.captured {
			if r.values[i]&f.captured[i] != 0 {
				return true
			}
		}
		return false
	})
}

// instruction is one of gopher-lua's.
type instruction uint32

func (i instruction) op() int { return int(i >> 26) }
func (i instruction) a() int  { return int(i>>18) & 0xff }
func (i instruction) b() int  { return int(i & 0x1ff) }
func (i instruction) c() int  { return int(i>>9) & 0x1ff }
func (i instruction) bx() int { return int(i & 0x3ffff) }

// jump is how far an instruction jumps.
func (i instruction) jump() int { return i.bx() - 0x3ffff>>1 }

// constant is the flag of operands that are constants, not registers.
const constant = 0x100

// step follows one instruction.
func (f *follower) step(pc int) {
	r := f.states[pc]
	next, other := f.execute(pc, &r)
	f.goTo(next, &r)
	f.goTo(other, &r)
}

// execute does to what is known of the registers what an instruction does to them,
// and returns where it may lead; -1 is nowhere. None comes after one that keeps.
func (f *follower) execute(pc int, r *registers) (next, other int) {
	i := instruction(f.proto.Code[pc])
	a, b, c := i.a(), i.b(), i.c()
	next, other = pc+1, -1
	switch i.op() {
	case glua.OP_MOVE, glua.OP_MOVEN:
		r.write(a, r.values.has(b))
	case glua.OP_LOADBOOL:
		if r.write(a, false); c != 0 {
			next = pc + 2
		}
	case glua.OP_LOADNIL:
		for ; a <= b; a++ {
			r.write(a, false)
		}
	case glua.OP_LOADK, glua.OP_GETUPVAL, glua.OP_GETGLOBAL, glua.OP_NEWTABLE, glua.OP_NOT, glua.OP_LEN:
		r.write(a, false)
	case glua.OP_GETTABLE, glua.OP_GETTABLEKS, glua.OP_SELF:
		f.index(i, r)
	case glua.OP_SETGLOBAL, glua.OP_SETUPVAL:
		f.keeps = r.values.has(a)
	case glua.OP_SETTABLE, glua.OP_SETTABLEKS:
		f.keeps = f.followed(r, b) || f.followed(r, c)
	case glua.OP_JMP:
		next += i.jump()
	case glua.OP_EQ, glua.OP_TEST, glua.OP_LT, glua.OP_LE:
		ordered := i.op() == glua.OP_LT || i.op() == glua.OP_LE // else no metamethod of a script's is called
		f.keeps = ordered && (f.followed(r, b) || f.followed(r, c))
		other = pc + 2
	case glua.OP_TESTSET:
		f.goTo(pc+2, r)
		r.write(a, r.values.has(b))
	case glua.OP_CALL, glua.OP_TAILCALL:
		f.call(i, r)
	case glua.OP_FORLOOP, glua.OP_FORPREP:
		r.write(a, false)
		r.write(a+3, false)
		other = next + i.jump()
	case glua.OP_TFORLOOP:
		f.keeps = r.values.has(a) || r.values.has(a+1) || r.values.has(a+2)
		r.writeFrom(a+2, 256, false)
		other = pc + 2
	case glua.OP_SETLIST:
		f.keeps = r.values.anyFrom(a)
		if c == 0 {
			next = pc + 2
		}
	case glua.OP_CLOSURE:
		next += f.capture(pc, i)
		r.write(a, false)
	case glua.OP_RETURN: // to whoever gave the arguments
		return -1, -1
	case glua.OP_CLOSE, glua.OP_NOP:
	default: // arithmetic and the like, where a metamethod gets the operands
		f.keeps = f.operands(i, r)
		r.write(a, false)
		other = pc + 2
	}
	return next, other
}

// followed reports whether an operand, perhaps a constant, is followed.
func (f *follower) followed(r *registers, operand int) bool {
	return operand&constant == 0 && r.values.has(operand)
}

// operands reports whether an instruction that isn't known better could use a
// followed value.
func (f *follower) operands(i instruction, r *registers) bool {
	switch i.op() {
	case glua.OP_ADD, glua.OP_SUB, glua.OP_MUL, glua.OP_DIV, glua.OP_MOD, glua.OP_POW:
		return f.followed(r, i.b()) || f.followed(r, i.c())
	case glua.OP_UNM:
		return f.followed(r, i.b())
	case glua.OP_CONCAT:
		for operand := i.b(); operand <= i.c(); operand++ {
			if r.values.has(operand) {
				return true
			}
		}
		return false
	}
	return r.values.anyFrom(0)
}

// index follows the reading of a field.
func (f *follower) index(i instruction, r *registers) {
	from := r.values.has(i.b())
	name, known := "", false
	if i.c()&constant != 0 {
		var text glua.LString
		text, known = f.proto.Constants[i.c()&^constant].(glua.LString)
		name = string(text)
	} else {
		f.keeps = f.keeps || r.values.has(i.c())
	}
	inner := from && (!known || name == f.inner)
	if i.op() == glua.OP_SELF {
		r.write(i.a()+1, from)
		if r.write(i.a(), inner); from && !inner {
			r.methods.set(i.a())
		}
		return
	}
	r.write(i.a(), inner)
}

// call follows a call: a method may have its own object, and no function may
// have another argument that is followed.
func (f *follower) call(i instruction, r *registers) {
	first, last := i.a()+1, i.a()+i.b()-1
	if i.b() == 0 {
		last = 255
	}
	if r.methods.has(i.a()) {
		first++
	}
	for ; first <= last; first++ {
		f.keeps = f.keeps || r.values.has(first)
	}
	results := i.a() + i.c() - 1
	if i.c() == 0 {
		results = 256
	}
	inner := r.values.has(i.a()) // the object itself is called, which may return what it has
	r.writeFrom(i.a(), results, inner)
	r.writeFrom(results, 256, false) // nothing is above them
}

// capture notes the upvalues of a function that is made, and returns how many
// instructions say what they are.
func (f *follower) capture(pc int, i instruction) int {
	upvalues := int(f.proto.FunctionPrototypes[i.bx()].NumUpvalues)
	for k := range upvalues {
		if upvalue := instruction(f.proto.Code[pc+1+k]); upvalue.op() == glua.OP_MOVE {
			f.captured.set(upvalue.b())
		}
	}
	return upvalues
}
