package vm

import glua "github.com/yuin/gopher-lua"

// What a script calls the value in a register, which Lua 5.1's messages say.
// It is found in the code only when a message is made: nothing is kept for it
// while the code runs.

// named is how a script has got at a value.
type named struct {
	kind string // "local", "upvalue", "global", "field" or "method"; "" isn't known
	name string

	register int // of the object whose field or method it is
	pc       int // of the instruction that has read it
}

// nameOf returns the name of what a register holds at an instruction. It takes
// time in proportion to what stands before that.
func nameOf(p *glua.FunctionProto, pc, register int) named {
	return nameWithin(p, pc, register, maxMoves)
}

// Bounds of the look for a name: how many copies a value is followed through, and
// how far into a function.
const (
	maxMoves   = 3
	maxLooked  = 1 << 15
	lookedWork = 8 // instructions for one that is counted
)

func nameWithin(p *glua.FunctionProto, pc, register, moves int) named {
	if pc > maxLooked || moves == 0 {
		return named{}
	}
	if name := localName(p, pc, register); name != "" {
		return named{kind: "local", name: name}
	}
	at := setter(p, pc, register)
	if at < 0 {
		return named{}
	}
	switch i := instruction(p.Code[at]); i.op() {
	case glua.OP_MOVE, glua.OP_MOVEN:
		if i.b() < i.a() { // from a variable, or from what is evaluated before
			return nameWithin(p, at, i.b(), moves-1)
		}
	case glua.OP_GETGLOBAL:
		return named{kind: "global", name: constantName(p, i.bx()), pc: at}
	case glua.OP_GETTABLE, glua.OP_GETTABLEKS:
		return named{kind: "field", name: keyName(p, i.c()), register: i.b(), pc: at}
	case glua.OP_SELF:
		return named{kind: "method", name: keyName(p, i.c()), register: i.b(), pc: at}
	case glua.OP_GETUPVAL:
		if i.b() < len(p.DbgUpvalues) {
			return named{kind: "upvalue", name: p.DbgUpvalues[i.b()]}
		}
	}
	return named{}
}

// localName returns the name of the variable that has a register, or "".
func localName(p *glua.FunctionProto, pc, register int) string {
	for _, v := range p.DbgLocals {
		if v.StartPc > pc {
			break
		}
		if pc >= v.EndPc {
			continue
		}
		if register == 0 {
			return v.Name
		}
		register--
	}
	return ""
}

// keyName is the text of an operand that is a constant string; "?" is any other.
func keyName(p *glua.FunctionProto, operand int) string {
	if operand&constant == 0 {
		return "?"
	}
	return constantName(p, operand&^constant)
}

func constantName(p *glua.FunctionProto, index int) string {
	if s, ok := p.Constants[index].(glua.LString); ok {
		return string(s)
	}
	return "?"
}

// setter returns the last instruction before another one that has written a
// register, as Lua 5.1's own look for it finds it: by going through the code
// from its beginning, past what is jumped over. -1 is none, or that it depends
// on the branch that was taken.
func setter(p *glua.FunctionProto, last, register int) int {
	found, joined := -1, 0
	for pc := 0; pc < last; pc++ {
		i := instruction(p.Code[pc])
		if writes(i, register) {
			found = pc
		}
		switch i.op() {
		case glua.OP_FORLOOP, glua.OP_FORPREP:
			pc = past(pc, i, last)
		case glua.OP_JMP:
			to := past(pc, i, last)
			joined = max(joined, branch(p, pc+1, to, last, register))
			pc = to
		case glua.OP_SETLIST:
			if i.c() == 0 {
				pc++
			}
		case glua.OP_CLOSURE:
			pc += int(p.FunctionPrototypes[i.bx()].NumUpvalues)
		}
	}
	if found < joined {
		return -1
	}
	return found
}

// branch returns where the code from one instruction to another, which is jumped
// over, goes on if it writes a register and jumps over something too: what is
// written up to there is what the register has in one of two cases.
func branch(p *glua.FunctionProto, from, to, last, register int) (joined int) {
	if to < from {
		return 0
	}
	end := instruction(p.Code[to])
	joined = to + 1 + end.jump()
	if end.op() != glua.OP_JMP || joined <= to || joined > last {
		return 0
	}
	for pc := from; pc < to; pc++ {
		if writes(instruction(p.Code[pc]), register) {
			return joined
		}
	}
	return 0
}

// writes reports whether an instruction writes a register.
func writes(i instruction, register int) bool {
	a := i.a()
	switch i.op() {
	case glua.OP_SETGLOBAL, glua.OP_SETUPVAL, glua.OP_SETTABLE, glua.OP_SETTABLEKS, glua.OP_EQ, glua.OP_LT, glua.OP_LE,
		glua.OP_RETURN, glua.OP_CLOSE, glua.OP_NOP, glua.OP_JMP, glua.OP_SETLIST:
		return false
	case glua.OP_LOADNIL:
		return a <= register && register <= i.b()
	case glua.OP_SELF:
		return register == a || register == a+1
	case glua.OP_CALL, glua.OP_TAILCALL:
		return register >= a
	case glua.OP_VARARG:
		return register >= a && (i.b() == 0 || register < a+i.b()-1)
	case glua.OP_TFORLOOP:
		return register >= a+2
	case glua.OP_FORLOOP, glua.OP_FORPREP:
		return register >= a && register <= a+3
	}
	return a == register
}

// past is where the look goes on after a jump.
func past(pc int, i instruction, last int) int {
	if to := pc + 1 + i.jump(); pc < to && to <= last {
		return to - 1
	}
	return pc
}

// spendOnName counts what calledAs takes.
func (f *frame) spendOnName(L *glua.LState) {
	if f.Parent.scripted() {
		RunOf(L).Spend(L, min(f.Parent.at(), maxLooked)/lookedWork)
	}
}

// calledAs is how the caller of a frame's function names that.
func (f *frame) calledAs() named {
	caller := f.Parent
	if !caller.scripted() || !f.Fn.IsG && f.TailCall > 0 {
		return named{}
	}
	switch i := caller.instruction(); i.op() {
	case glua.OP_CALL, glua.OP_TAILCALL, glua.OP_TFORLOOP:
		return nameOf(caller.Fn.Proto, caller.at(), i.a())
	}
	return named{}
}

// origin returns what an expression of a script's had before an instruction,
// as far as that can be told without running anything: the table of a field,
// say. nil isn't known.
func (f *frame) origin(L *glua.LState, pc, register, depth int) glua.LValue {
	p := f.Fn.Proto
	if localName(p, pc, register) != "" {
		return f.value(L, register)
	}
	if depth > maxOrigin { // how far into the function, nameOf has looked
		return nil
	}
	at := setter(p, pc, register)
	if at < 0 {
		return nil
	}
	switch i := instruction(p.Code[at]); i.op() {
	case glua.OP_MOVE, glua.OP_MOVEN:
		if i.b() < i.a() {
			return f.origin(L, at, i.b(), depth+1)
		}
	case glua.OP_LOADK:
		return p.Constants[i.bx()]
	case glua.OP_GETGLOBAL:
		return rawField(L.G.Global, constantName(p, i.bx()))
	case glua.OP_GETUPVAL:
		if i.b() < len(f.Fn.Upvalues) {
			return f.Fn.Upvalues[i.b()].Value()
		}
	case glua.OP_GETTABLE, glua.OP_GETTABLEKS:
		if i.c()&constant == 0 {
			return nil
		}
		t, ok := f.origin(L, at, i.b(), depth+1).(*glua.LTable)
		if !ok {
			return nil
		}
		return rawField(t, keyName(p, i.c()))
	}
	return nil
}

// maxOrigin bounds how many fields an expression is followed through.
const maxOrigin = 4

// rawField is a field of a table, or of what a frozen one reads as.
func rawField(t *glua.LTable, name string) glua.LValue {
	if content := Frozen(t); content != nil {
		t = content
	}
	return t.RawGetString(name)
}
