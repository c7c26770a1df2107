package compile

import (
	"math"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/syntax"
)

var arithmetic = map[syntax.Operator]int{
	syntax.Add: glua.OP_ADD, syntax.Subtract: glua.OP_SUB, syntax.Multiply: glua.OP_MUL,
	syntax.Divide: glua.OP_DIV, syntax.Modulo: glua.OP_MOD, syntax.Power: glua.OP_POW,
}

// binary evaluates a chain of arithmetic operations or comparisons. A variable
// is read where it is, by the instruction, as in Lua 5.1: a later operand that
// changes it is seen.
func (f *function) binary(e *syntax.Binary, to int) int {
	base := f.free
	last := len(e.Rest) - 1
	left := f.operand(e.First)
	for i := range e.Rest {
		operand := &e.Rest[i]
		target := anywhere
		if i == last {
			target = to
		}
		if _, ok := arithmetic[operand.Operator]; !ok {
			left = f.truth(f.compare(left, base, operand, true), target)
			continue
		}
		right := f.operand(operand.Value)
		f.at(operand)
		if operand.Operator == syntax.Modulo && !exactRemainder(operand.Value) {
			left = f.remainder(left, right, base, target)
			continue
		}
		f.free = base
		r := f.slot(target)
		f.abc(arithmetic[operand.Operator], r, left, right)
		left = r
	}
	return left
}

// exactRemainder reports whether the machine's % by a value gives what Lua's
// a - floor(a/b)*b does, which isn't exact.
func exactRemainder(e syntax.Expression) bool {
	n, ok := e.(*syntax.Number)
	return ok && n.Value >= 1 && n.Value <= 1<<32 && n.Value == math.Trunc(n.Value)
}

// remainder calls Remainder. The registers from base on are free after it, but
// for the result.
func (f *function) remainder(left, right, base, to int) int {
	call := f.reserve(3)
	f.load(call+1, left)
	f.load(call+2, right)
	f.call(call, Remainder, 2, 1)
	f.free = base
	r := f.slot(to)
	f.move(r, call)
	return r
}

// compare emits a comparison of an operand with a further one, and a jump for
// where it turns out as wanted. The registers from base on are free after it.
func (f *function) compare(left, base int, operand *syntax.Operand, wanted bool) jumps {
	right := f.operand(operand.Value)
	f.free = base
	f.at(operand)
	op := glua.OP_EQ
	switch operand.Operator {
	case syntax.NotEqual:
		wanted = !wanted
	case syntax.Less:
		op = glua.OP_LT
	case syntax.LessEqual:
		op = glua.OP_LE
	case syntax.Greater:
		op, left, right = glua.OP_LT, right, left
	case syntax.GreaterEqual:
		op, left, right = glua.OP_LE, right, left
	}
	f.abc(op, boolean(wanted), left, right)
	return f.jump()
}

// truth makes a value of whether jumps are taken.
func (f *function) truth(taken jumps, to int) int {
	r := f.slot(to)
	f.abc(glua.OP_LOADBOOL, r, 0, 1) // and steps over the next
	f.patchHere(taken)
	f.abc(glua.OP_LOADBOOL, r, 1, 0)
	return r
}

func (f *function) unary(e *syntax.Unary, to int) int {
	base := f.free
	switch e.Operator {
	case syntax.Length:
		f.reserve(1)
		f.next(e.Value)
		f.at(e)
		f.call(base, LengthOf, 1, 1)
		return f.moveTo(base, to)
	case syntax.Not:
		if comparison(e.Value) {
			return f.truth(f.jumpIf(e.Value, false), to)
		}
	}
	op := glua.OP_NOT
	if e.Operator == syntax.Negate {
		op = glua.OP_UNM
	}
	operand := f.any(e.Value)
	f.free = base
	f.at(e)
	r := f.slot(to)
	f.abc(op, r, operand, 0)
	return r
}

// comparison reports whether an expression is better tested than evaluated.
func comparison(e syntax.Expression) bool {
	switch e := e.(type) {
	case *syntax.Logical:
		return true
	case *syntax.Binary:
		_, ok := arithmetic[e.Rest[len(e.Rest)-1].Operator]
		return !ok
	case *syntax.Unary:
		return e.Operator == syntax.Not
	}
	return false
}

// concat joins values from right to left, which the operation does.
func (f *function) concat(e *syntax.Concat, to int) int {
	base := f.reserve(1)
	for _, v := range e.Values {
		f.next(v)
	}
	f.at(e)
	f.call(base, Concat, len(e.Values), 1)
	return f.moveTo(base, to)
}
