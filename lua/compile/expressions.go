package compile

import (
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/syntax"
)

// anywhere, as the target of a value, is the next free register.
const anywhere = -1

// slot returns the register of a target.
func (f *function) slot(to int) int {
	if to == anywhere {
		return f.reserve(1)
	}
	return to
}

// next evaluates an expression into the next register.
func (f *function) next(e syntax.Expression) int { return f.value(e, anywhere) }

// any evaluates an expression into the next register, unless it is a variable
// that has one.
func (f *function) any(e syntax.Expression) int {
	if name, ok := e.(*syntax.Name); ok && f.local(name) {
		return name.Variable.Register
	}
	return f.next(e)
}

// operand is any, or a constant's index.
func (f *function) operand(e syntax.Expression) int {
	constant := constantBit
	switch e := e.(type) {
	case *syntax.Number:
		constant = f.number(e.Value)
	case *syntax.String:
		constant = f.string(e.Value)
	}
	if small(constant) {
		return constant | constantBit
	}
	return f.any(e)
}

// local reports whether a name is a variable of this function.
func (f *function) local(name *syntax.Name) bool {
	return name.Variable != nil && name.Variable.Of(f.source)
}

// value evaluates an expression to one value. Where the target is a register,
// which may be a variable's, it is written once, at the end; where it is
// anywhere, the next register is taken.
func (f *function) value(e syntax.Expression, to int) int {
	switch e := e.(type) {
	case *syntax.Name:
		return f.name(e, to)
	case *syntax.Single:
		return f.value(e.Value, to)
	case *syntax.Closure:
		return f.closure(e.Function, to)
	case *syntax.Table:
		return f.table(e, to)
	case *syntax.Access:
		return f.access(e, to)
	case *syntax.Unary:
		return f.unary(e, to)
	case *syntax.Binary:
		return f.binary(e, to)
	case *syntax.Logical:
		return f.logical(e, to)
	case *syntax.Concat:
		return f.concat(e, to)
	case *syntax.Dots:
		f.at(e)
		r := f.reserve(1) // VARARG moves the top: never a variable's
		f.abc(glua.OP_VARARG, r, 2, 0)
		return f.moveTo(r, to)
	}
	return f.constantValue(e, to)
}

func (f *function) constantValue(e syntax.Expression, to int) int {
	f.at(e)
	r := f.slot(to)
	switch e := e.(type) {
	case *syntax.Nil:
		f.abc(glua.OP_LOADNIL, r, r, 0)
	case *syntax.Bool:
		f.abc(glua.OP_LOADBOOL, r, boolean(e.Value), 0)
	case *syntax.Number:
		f.abx(glua.OP_LOADK, r, f.number(e.Value))
	case *syntax.String:
		f.abx(glua.OP_LOADK, r, f.string(e.Value))
	default:
		panic("BUG: an expression of an unknown type")
	}
	return r
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// moveTo moves the value of the register that was taken last to a target, and
// gives that register back; or leaves it where it is.
func (f *function) moveTo(r, to int) int {
	if to == anywhere {
		return r
	}
	f.move(to, r)
	f.free = r
	return to
}

func (f *function) name(e *syntax.Name, to int) int {
	f.at(e)
	r := f.slot(to)
	switch {
	case e.Variable == nil:
		f.read(e)
		f.abx(glua.OP_GETGLOBAL, r, f.string(e.Name))
	case f.local(e):
		f.move(r, e.Variable.Register)
	default:
		f.abc(glua.OP_GETUPVAL, r, f.upvalue(e.Variable), 0)
	}
	return r
}

func (f *function) read(e *syntax.Name) {
	result := f.compiler.result
	result.Reads = append(result.Reads, Global{f.compiler.own(e.Name), int(e.Line)})
}

// closure makes a function.
func (f *function) closure(source *syntax.Function, to int) int {
	f.at(source)
	proto, upvalues := f.compiler.function(f, source)
	base := f.reserve(1)
	f.abx(glua.OP_LOADK, f.reserve(1), f.number(float64(len(upvalues))))
	f.call(base, NewClosure, 1, 0)
	if len(f.proto.FunctionPrototypes) >= maxFunctions {
		f.tooMany(maxFunctions, "functions")
	}
	f.proto.FunctionPrototypes = append(f.proto.FunctionPrototypes, proto)
	f.at(source)
	r := f.slot(to)
	f.abx(glua.OP_CLOSURE, r, len(f.proto.FunctionPrototypes)-1)
	for _, up := range upvalues { // not instructions, but what follows CLOSURE
		op := glua.OP_GETUPVAL
		if up.local {
			op = glua.OP_MOVE
		}
		f.abc(op, 0, up.index, 0)
	}
	return r
}

// call calls an operation whose arguments are in the registers after the base.
// Of the base on, those of the results stay taken.
func (f *function) call(base int, o Operation, arguments, results int) {
	f.operation(base, o)
	f.invoke(base, arguments, results)
}

// invoke calls what is in the base. Open arguments or results are -1.
func (f *function) invoke(base, arguments, results int) {
	f.abc(glua.OP_CALL, base, arguments+1, results+1)
	f.free = base
	f.reserve(max(results, 0))
}

// open is a number of results or arguments that is known when it runs only.
const open = -1

// multiple reports whether an expression may have any number of values.
func multiple(e syntax.Expression) bool {
	switch e := e.(type) {
	case *syntax.Dots:
		return true
	case *syntax.Access:
		return e.Steps[len(e.Steps)-1].Kind != syntax.Index
	}
	return false
}

// expand evaluates an expression that may have any number of values to as many
// as are wanted, or to all, in the registers from the next one on.
func (f *function) expand(e syntax.Expression, wanted int) {
	switch e := e.(type) {
	case *syntax.Dots:
		f.at(e)
		base := f.free
		f.reserve(max(wanted, 0))
		f.need(1)
		f.abc(glua.OP_VARARG, base, wanted+1, 0)
	case *syntax.Access:
		f.accessCall(e, wanted)
	}
}

// list evaluates expressions into the registers from the next one on. It
// returns how many there are, or open where the last has any number of values.
func (f *function) list(values []syntax.Expression) int {
	for i, e := range values {
		if i == len(values)-1 && multiple(e) {
			f.expand(e, open)
			return open
		}
		f.next(e)
	}
	return len(values)
}

// adjust evaluates expressions to a number of values, in the registers from
// the next one on.
func (f *function) adjust(values []syntax.Expression, wanted int) {
	base := f.free
	for i, e := range values {
		if i == len(values)-1 && multiple(e) {
			f.expand(e, max(0, wanted-i))
			break
		}
		f.next(e)
	}
	if missing := wanted - (f.free - base); missing > 0 {
		r := f.reserve(missing)
		f.abc(glua.OP_LOADNIL, r, r+missing-1, 0)
	}
	f.free = base
	f.reserve(wanted)
}
