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
		object, path := f.prefix(a, last)
		return f.index(object, base, path, &a.Steps[last], to)
	}
	return f.moveTo(f.accessCall(a, 1), to)
}

// prefix evaluates a base and the first steps of an access, for what follows
// them: a variable stays where it is, anything else is in the next register,
// which is taken. path is how the source writes it, if it is a name with
// fields.
func (f *function) prefix(a *syntax.Access, steps int) (register int, path string) {
	path = baseName(a.Base)
	if steps == 0 {
		return f.any(a.Base), path
	}
	base := f.free
	register = anywhere
	for i := range steps {
		step := &a.Steps[i]
		if step.Kind != syntax.Index {
			f.stepCall(a, i, register, base, path, 1)
			register, path = base, ""
			continue
		}
		if register == anywhere {
			register = f.any(a.Base)
		}
		name := stepName(path, step)
		register = f.index(register, base, path, step, anywhere)
		path = name
	}
	return register, path
}

// accessCall evaluates an access that ends with a call, to a number of results
// or to all, in the registers from the next one on. It returns the first.
func (f *function) accessCall(a *syntax.Access, results int) int {
	base, last := f.free, len(a.Steps)-1
	register, path := anywhere, baseName(a.Base)
	if last > 0 {
		register, path = f.prefix(a, last)
	}
	f.stepCall(a, last, register, base, path, results)
	return base
}

// index evaluates object[key]; the registers from base on, which may have the
// object, are free after that, but for the result.
func (f *function) index(object, base int, path string, step *syntax.Step, to int) int {
	f.noteIndex(step, path)
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

func (f *function) noteIndex(step *syntax.Step, path string) {
	if name := stepName(path, step); name != "" {
		f.compiler.result.Indexed.note(step.Line, f.compiler.own(name))
	}
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
func (f *function) stepCall(a *syntax.Access, i, register, base int, path string, results int) {
	step := &a.Steps[i]
	arguments := 0
	if step.Kind == syntax.MethodCall {
		if register == anywhere {
			register = f.any(a.Base)
		}
		f.free = base
		f.self(register, step)
		path = stepName(path, step)
		f.compiler.result.Indexed.note(step.Line, f.compiler.own(path))
		arguments = 1
	} else if register == anywhere {
		f.next(a.Base)
	}
	f.compiler.result.Calls.note(step.Line, f.compiler.own(path))
	n := f.list(step.Arguments)
	f.at(step)
	if n != open {
		n += arguments
	}
	at := f.invoke(base, n, results)
	f.proto.DbgCalls = grown(f.proto.DbgCalls, glua.DbgCall{Name: f.compiler.own(shortName(a, i)), Pc: at})
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
