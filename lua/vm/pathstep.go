package vm

import (
	"strconv"

	glua "github.com/yuin/gopher-lua"
)

// step follows one instruction of a path; nil is its end. Here are those that give
// a register a value, in write those that have other effects, in control those
// after which another instruction than the next may come.
func (w *explorer) step(p *path) *path {
	code := w.fn.Proto.Code
	if p.visits[p.pc]++; p.visits[p.pc] > maxVisits || p.pc >= len(code) {
		return nil
	}
	i := instruction(code[p.pc])
	a, b, c := i.a(), i.b(), i.c()
	set := func(k known) { p.registers[a] = k }
	next := p.pc + 1
	switch i.op() {
	case glua.OP_MOVE, glua.OP_MOVEN:
		set(p.registers[b])
	case glua.OP_LOADK:
		set(w.constant(i.bx()))
	case glua.OP_LOADBOOL:
		set(known{kind: strconv.FormatBool(b != 0)})
		if c != 0 {
			next++
		}
	case glua.OP_LOADNIL:
		for ; a <= b; a++ {
			p.registers[a] = known{kind: "nil"}
		}
	case glua.OP_GETUPVAL:
		k := w.computed("upvalue", b, 0, p.version)
		if b < len(w.fn.Upvalues) {
			k.value = w.fn.Upvalues[b].Value()
		}
		set(k)
	case glua.OP_GETGLOBAL:
		k := w.computed("global", i.bx(), 0, p.version)
		k.value = rawField(w.L.G.Global, constantName(w.fn.Proto, i.bx()))
		set(k)
	case glua.OP_GETTABLE, glua.OP_GETTABLEKS:
		set(w.field(p, b, c))
	case glua.OP_SELF:
		object := p.registers[b]
		k := w.field(p, b, c)
		p.registers[a+1] = object
		set(k)
	case glua.OP_NEWTABLE:
		set(known{kind: "table"})
	case glua.OP_CLOSURE:
		next += w.capture(p, i)
		set(known{kind: "function"})
	case glua.OP_VARARG, glua.OP_CONCAT:
		set(w.fresh())
	case glua.OP_ADD, glua.OP_SUB, glua.OP_MUL, glua.OP_DIV, glua.OP_MOD, glua.OP_POW, glua.OP_UNM, glua.OP_LEN:
		k := w.computed("arithmetic"+strconv.Itoa(i.op()), w.operand(p, b).id, w.operand(p, c).id, p.version)
		set(k)
	default:
		return w.write(p, i)
	}
	p.pc = next
	return p
}

// write follows an instruction that writes to what isn't a register.
func (w *explorer) write(p *path, i instruction) *path {
	a, b, c := i.a(), i.b(), i.c()
	next := p.pc + 1
	switch i.op() {
	case glua.OP_SETGLOBAL, glua.OP_SETUPVAL:
		w.escape(p, p.registers[a])
		p.version++
	case glua.OP_SETTABLE, glua.OP_SETTABLEKS:
		w.assign(p, p.registers[a], w.operand(p, b), w.operand(p, c), keyName(w.fn.Proto, b))
	case glua.OP_SETLIST:
		for r := a + 1; r < len(p.registers) && r <= a+max(b, 1); r++ {
			w.escape(p, p.registers[r])
		}
		if c == 0 {
			next++
		}
	case glua.OP_CLOSE, glua.OP_NOP:
	default:
		return w.control(p, i)
	}
	p.pc = next
	return p
}

// control follows an instruction after which another one than the next may
// come.
func (w *explorer) control(p *path, i instruction) *path {
	a, b, c := i.a(), i.b(), i.c()
	switch i.op() {
	case glua.OP_JMP:
		p.pc += 1 + i.jump()
		return p
	case glua.OP_NOT:
		return w.negate(p, a, p.registers[b])
	case glua.OP_TEST:
		if c == 0 {
			return w.both(p, p.registers[a], p.pc+2, p.pc+1)
		}
		return w.both(p, p.registers[a], p.pc+1, p.pc+2)
	case glua.OP_TESTSET:
		return w.testSet(p, i)
	case glua.OP_EQ, glua.OP_LT, glua.OP_LE:
		k := w.compared(p, i.op(), w.operand(p, b), w.operand(p, c))
		if a != 0 {
			return w.both(p, k, p.pc+1, p.pc+2)
		}
		return w.both(p, k, p.pc+2, p.pc+1)
	case glua.OP_CALL:
		if !w.call(p, i) {
			return nil
		}
		p.pc++
		return p
	case glua.OP_TAILCALL:
		if !w.call(p, i) {
			return nil
		}
		return w.end(p)
	case glua.OP_RETURN:
		return w.leave(p, a, b)
	case glua.OP_FORPREP:
		for r := a; r <= a+3; r++ {
			p.registers[r] = w.fresh()
		}
		p.pc += 1 + i.jump()
		return p
	case glua.OP_FORLOOP:
		p.registers[a+3] = w.fresh()
		if p.visits[p.pc] == 1 {
			p.pc += 1 + i.jump()
			return p
		}
		return w.both(p, w.fresh(), p.pc+1+i.jump(), p.pc+1)
	case glua.OP_TFORLOOP:
		for r := a + 2; r <= a+2+max(c, 1); r++ {
			p.registers[r] = w.fresh()
		}
		return w.both(p, w.fresh(), p.pc+1, p.pc+2)
	}
	*w.steps = -1 // one that isn't known: nothing is
	return nil
}

func (w *explorer) constant(index int) known {
	k := known{value: w.fn.Proto.Constants[index], id: w.computed("constant", index, 0, 0).id}
	k.kind = k.value.Type().String()
	return k
}

func (w *explorer) operand(p *path, operand int) known {
	if operand&constant != 0 {
		return w.constant(operand &^ constant)
	}
	return p.registers[operand]
}

// field is the value of a field.
func (w *explorer) field(p *path, object, key int) known {
	of := p.registers[object]
	name := keyName(w.fn.Proto, key)
	if of.kind == isObject {
		w.act(p, of.object, Read, name)
		k := w.computed("member", of.object, w.operand(p, key).id, p.version)
		return known{id: k.id, object: of.object, member: name}
	}
	k := w.computed("field", of.id, w.operand(p, key).id, p.version)
	if t, ok := of.value.(*glua.LTable); ok && key&constant != 0 {
		k.value = rawField(t, name)
	}
	return k
}

func (w *explorer) assign(p *path, to, key, value known, name string) {
	p.version++
	w.escape(p, value)
	w.escape(p, key)
	switch {
	case to.kind == isObject:
		w.act(p, to.object, Assigned, name)
	case to.object != 0: // response.headers[…]
		w.act(p, to.object, Changed, to.member)
	}
}

// negate is "not v" as a value.
func (w *explorer) negate(p *path, to int, v known) *path {
	other := w.fork(p, p.pc+1)
	if other.assume(v, false) {
		other.registers[to] = known{kind: "true"}
		w.todo = append(w.todo, other)
	}
	if !p.assume(v, true) {
		return nil
	}
	p.registers[to] = known{kind: "false"}
	p.pc++
	return p
}

// testSet follows "a and b" and "a or b".
func (w *explorer) testSet(p *path, i instruction) *path {
	v, wanted := p.registers[i.b()], i.c() != 0
	other := w.fork(p, p.pc+2)
	if other.assume(v, !wanted) {
		w.todo = append(w.todo, other)
	}
	if !p.assume(v, wanted) {
		return nil
	}
	p.registers[i.a()] = v
	p.pc++
	return p
}

func (w *explorer) compared(p *path, op int, a, b known) known {
	if op == glua.OP_EQ {
		if a.kind == "nil" && a.id == 0 || b.kind == "nil" && b.id == 0 {
			if b.kind == "nil" {
				a, b = b, a
			}
			if b.kind != "" { // what it is compared with is known
				return known{kind: strconv.FormatBool(b.kind == "nil")}
			}
		}
		if a.id > b.id {
			a, b = b, a
		}
	}
	if a.id == 0 || b.id == 0 {
		return w.computed("compare"+strconv.Itoa(op)+a.kind+b.kind, a.id, b.id, p.version)
	}
	return w.computed("compare"+strconv.Itoa(op), a.id, b.id, 0)
}

// capture notes the variables that an inner function shares, and returns how
// many instructions say which.
func (w *explorer) capture(p *path, i instruction) int {
	upvalues := int(w.fn.Proto.FunctionPrototypes[i.bx()].NumUpvalues)
	for n := range upvalues {
		if up := instruction(w.fn.Proto.Code[p.pc+1+n]); up.op() == glua.OP_MOVE {
			w.escape(p, p.registers[up.b()])
			p.shared.set(up.b())
		}
	}
	return upvalues
}

// leave follows return.
func (w *explorer) leave(p *path, a, b int) *path {
	for r := a; r < a+b-1; r++ {
		w.escape(p, p.registers[r])
	}
	if b == 2 {
		switch k := p.registers[a]; k.kind {
		case "table", "function", "string", "number":
			if w.found.Returned == nil {
				w.found.Returned = map[int]string{}
			}
			w.found.Returned[w.line(p.pc)] = k.kind
		}
	}
	return w.end(p)
}
