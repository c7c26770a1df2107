package compile

import (
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/syntax"
)

// access evaluates indices and calls to one value.
func (f *function) access(a *syntax.Access, to int) int {
	last := len(a.Steps) - 1
	if a.Steps[last].Kind == syntax.Index {
		base := f.free
		return f.index(f.prefix(a, last), base, &a.Steps[last], to)
	}
	return f.moveTo(f.accessCall(a, 1), to)
}

// prefix evaluates a base and the first steps of an access, for what follows
// them: a variable stays where it is, anything else is in the next register,
// which is taken.
func (f *function) prefix(a *syntax.Access, steps int) (register int) {
	if steps == 0 {
		return f.any(a.Base)
	}
	base := f.free
	register = anywhere
	for i := range steps {
		step := &a.Steps[i]
		if step.Kind != syntax.Index {
			f.stepCall(a, i, register, base, 1)
			register = base
			continue
		}
		if register == anywhere {
			register = f.any(a.Base)
		}
		register = f.index(register, base, step, anywhere)
	}
	return register
}

// accessCall evaluates an access that ends with a call, to a number of results
// or to all, in the registers from the next one on. It returns the first.
func (f *function) accessCall(a *syntax.Access, results int) int {
	base, last := f.free, len(a.Steps)-1
	register := anywhere
	if last > 0 {
		register = f.prefix(a, last)
	}
	f.stepCall(a, last, register, base, results)
	return base
}

// index evaluates object[key]; the registers from base on, which may have the
// object, are free after that, but for the result.
func (f *function) index(object, base int, step *syntax.Step, to int) int {
	named, key := f.key(step.Key)
	f.at(step)
	f.free = base
	r := f.slot(to)
	if named {
		f.abc(glua.OP_GETTABLEKS, r, object, key)
	} else {
		f.abc(glua.OP_GETTABLE, r, object, key)
	}
	return r
}

// key evaluates a key to an operand. Constant strings have instructions of
// their own.
func (f *function) key(e syntax.Expression) (named bool, operand int) {
	_, named = e.(*syntax.String)
	return named, f.operand(e)
}

// stepCall calls what the steps before step i are: the value of a register, or
// the access' base itself if that is anywhere. The call's base is a register
// that is free, or that has the value.
func (f *function) stepCall(a *syntax.Access, i, register, base, results int) {
	step := &a.Steps[i]
	arguments := 0
	if step.Kind == syntax.MethodCall {
		if register == anywhere {
			register = f.any(a.Base)
		}
		f.free = base
		f.self(register, step)
		arguments = 1
	} else if register == anywhere {
		f.next(a.Base)
	}
	n := f.list(step.Arguments)
	f.at(step)
	if n != open {
		n += arguments
	}
	f.invoke(base, n, results)
}

// self prepares the call of a method: the function and the object in the next
// two registers. The object may be in the first.
func (f *function) self(object int, step *syntax.Step) {
	f.at(step)
	base := f.reserve(2)
	name := step.Key.(*syntax.String) //nolint:forcetypeassert // a method's name
	key := f.string(name.Value)
	if small(key) {
		f.abc(glua.OP_SELF, base, object, key|constantBit)
		return
	}
	r := f.reserve(1)
	f.abx(glua.OP_LOADK, r, key)
	f.abc(glua.OP_SELF, base, object, r)
	f.free = r
}
