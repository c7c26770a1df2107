package vm

import glua "github.com/yuin/gopher-lua"

// Effect is what a use of an object does for whoever gave it.
type Effect int

// The effects, the later the more.
const (
	NoEffect Effect = iota
	Prepares        // what the function was called for isn't done by it, but begun
	Answers         // it is done, or may be
)

// Use is a way in which a function uses one of the objects that it is given.
type Use int

// The uses.
const (
	Called   Use = iota // the object itself
	Read                // a field or a method
	Method              // a method is called
	Assigned            // to a field
	Changed             // a field is, as a table: object.field[k] = v
	Escapes             // to a call, a variable of others or a table
)

// Paths are the ways through a function of a script, as far as they can be told
// without running it. What it finds is certain but for what other functions do
// meanwhile; where it doesn't know, it finds nothing.
type Paths struct {
	// Silent are the lines on which the function can end without any effect.
	Silent []int
	// Answered says that the function can end with the effect Answers. Known says
	// that all paths have been followed.
	Answered, Known bool
	// Returned are the kinds of values that the function returns, by line: "table",
	// "function", "string" or "number".
	Returned map[int]string
}

// Follow follows the paths through a function whose first arguments are
// objects. use is told of each use of one and says what it does; name is that
// of a field, and line where it is. steps bounds the work, and is what is left
// of it.
func Follow(L *glua.LState, fn *glua.LFunction, objects int, steps *int, use func(object int, u Use, name string, line int) Effect) Paths {
	w := &explorer{L: L, fn: fn, objects: objects, steps: steps, use: use, ids: map[expression]int{}}
	if fn.IsG || fn.Proto.IsVarArg != 0 {
		return Paths{}
	}
	w.walk()
	return w.found
}

// known is what is known of a value.
type known struct {
	id     int // equal ones are equal, as far as is known; 0 is none of those
	kind   string
	object int    // 1 + which object it is; or whose field it is, where member is set
	member string // the name of the field
	value  glua.LValue
}

// isObject is a kind of known values, besides those of glua.
const isObject = "object"

// truth is whether a value counts as true: 1, -1, or 0 if that isn't known.
func (k known) truth() int {
	switch k.kind {
	case "nil", "false":
		return -1
	case "":
		return 0
	}
	return 1
}

// expression is how a value was computed, for those that would be equal again.
type expression struct {
	op      string
	a, b, v int
}

// assumption is that a value counts as true, or not, on this path.
type assumption struct {
	id    int
	truth bool
	outer *assumption
}

// path is one way through the function, up to a place.
type path struct {
	pc        int
	registers []known
	shared    set // with inner functions
	assumed   *assumption
	effect    Effect
	version   int // of what isn't in registers
	visits    map[int]int
}

// maxVisits is how often a path may come to a place: the body of a loop is
// followed once.
const maxVisits = 2

func (w *explorer) fork(p *path, pc int) *path {
	*w.steps -= (len(p.registers) + len(p.visits)) / forkWork
	q := *p
	q.pc = pc
	q.registers = append([]known(nil), p.registers...)
	q.visits = make(map[int]int, len(p.visits))
	for at, n := range p.visits {
		q.visits[at] = n
	}
	return &q
}

// forkWork is how much of a path is copied in a step.
const forkWork = 16

// assume reports whether a value can be as wanted on the path, which it is from
// here on.
func (p *path) assume(k known, wanted bool) bool {
	if t := k.truth(); t != 0 {
		return (t > 0) == wanted
	}
	for a := p.assumed; a != nil; a = a.outer {
		if a.id == k.id {
			return a.truth == wanted
		}
	}
	p.assumed = &assumption{k.id, wanted, p.assumed}
	return true
}

// explorer follows paths.
type explorer struct {
	L       *glua.LState
	fn      *glua.LFunction
	objects int
	steps   *int
	use     func(object int, u Use, name string, line int) Effect
	ids     map[expression]int
	last    int // id
	depth   int // of functions that call each other
	todo    []*path
	found   Paths
	returns bool
}

func (w *explorer) fresh() known { w.last++; return known{id: w.last} }

// computed is a value that is equal wherever it is computed from the same.
func (w *explorer) computed(op string, a, b, v int) known {
	e := expression{op, a, b, v}
	id, ok := w.ids[e]
	if !ok {
		w.last++
		id = w.last
		w.ids[e] = id
	}
	return known{id: id}
}

func (w *explorer) walk() {
	p := &path{registers: make([]known, int(w.fn.Proto.NumUsedRegisters)+4), visits: map[int]int{}}
	for i := range p.registers {
		p.registers[i] = known{kind: "nil"}
	}
	for i := range int(w.fn.Proto.NumParameters) {
		p.registers[i] = w.fresh()
		if i < w.objects {
			p.registers[i].kind, p.registers[i].object = isObject, i+1
		}
	}
	w.todo = append(w.todo, p)
	for len(w.todo) > 0 {
		p := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		for p != nil {
			if *w.steps--; *w.steps < 0 {
				w.found = Paths{}
				return
			}
			p = w.step(p)
		}
	}
	w.found.Known = true
}

func (w *explorer) line(pc int) int { return w.fn.Proto.DbgSourcePositions[pc] }

// act notes a use of an object.
func (w *explorer) act(p *path, object int, u Use, name string) {
	if w.use == nil {
		return
	}
	p.effect = max(p.effect, w.use(object-1, u, name, w.line(p.pc)))
}

// escape notes that a value gets where it can't be followed.
func (w *explorer) escape(p *path, k known) {
	if k.object != 0 {
		w.act(p, k.object, Escapes, k.member)
	}
}

// end ends a path.
func (w *explorer) end(p *path) *path {
	w.returns = true
	w.found.Answered = w.found.Answered || p.effect == Answers
	if p.effect == NoEffect {
		w.found.Silent = append(w.found.Silent, w.line(p.pc))
	}
	return nil
}

// both goes on by two ways, of which either may be impossible. The body of a
// loop is taken to run once at least: what a list is written with is an answer.
func (w *explorer) both(p *path, k known, ifTrue, ifFalse int) *path {
	if p.visits[p.pc] == 1 {
		if w.goesBack(ifTrue) && p.assume(k, true) {
			p.pc = ifTrue
			return p
		}
		if w.goesBack(ifFalse) && p.assume(k, false) {
			p.pc = ifFalse
			return p
		}
	}
	other := w.fork(p, ifFalse)
	if other.assume(k, false) {
		w.todo = append(w.todo, other)
	}
	p.pc = ifTrue
	if !p.assume(k, true) {
		return nil
	}
	return p
}

// goesBack reports whether a loop goes on from a place.
func (w *explorer) goesBack(pc int) bool {
	i := instruction(w.fn.Proto.Code[pc])
	return i.op() == glua.OP_JMP && i.jump() < 0
}
