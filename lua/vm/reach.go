package vm

import (
	"maps"
	"slices"

	glua "github.com/yuin/gopher-lua"
)

// Place is where something stands in a script.
type Place struct {
	Script string
	Line   int
}

// Found is what functions do that is probably a mistake.
type Found struct {
	// Written are assignments to globals, by name: the first of each.
	Written map[string]Place
	// Missing are calls of fields that a library hasn't, such as string.formt, in
	// Lua's words: maxMissing of them.
	Missing map[Place]string
}

// maxMissing bounds the guesses that are made at what was meant.
const maxMissing = 100

// Reach looks at functions, at those that they make and at those that they can
// call by a variable of theirs. visits bounds how many values are looked at.
func Reach(L *glua.LState, roots []*glua.LFunction, visits int) Found {
	r := &reacher{L: L, left: visits, seen: map[any]bool{}, found: Found{Written: map[string]Place{}, Missing: map[Place]string{}}}
	for _, f := range roots {
		r.value(f, 0)
	}
	return r.found
}

type reacher struct {
	L     *glua.LState
	left  int
	seen  map[any]bool
	found Found
}

// maxNested is how many tables within each other are looked through for
// functions.
const maxNested = 4

func (r *reacher) value(v glua.LValue, depth int) {
	switch v := v.(type) {
	case *glua.LFunction:
		if r.enter(v) {
			r.function(v)
		}
	case *glua.LTable:
		if depth > maxNested || v == r.L.G.Global || Frozen(v) != nil || !r.enter(v) {
			return
		}
		key, inner := v.Next(glua.LNil)
		for key != glua.LNil && r.left > 0 {
			r.left--
			r.value(inner, depth+1)
			key, inner = v.Next(key)
		}
		r.value(v.Metatable, depth+1)
	}
}

func (r *reacher) enter(v any) bool {
	if r.seen[v] || r.left <= 0 {
		return false
	}
	r.left--
	r.seen[v] = true
	return true
}

func (r *reacher) function(fn *glua.LFunction) {
	if fn.IsG {
		return
	}
	for _, up := range fn.Upvalues {
		if up != nil {
			r.value(up.Value(), 0)
		}
	}
	r.proto(fn.Proto, fn)
}

// proto looks at the code of a function; fn is nil for one that hasn't been
// made yet.
func (r *reacher) proto(p *glua.FunctionProto, fn *glua.LFunction) {
	if fn == nil && !r.enter(p) {
		return
	}
	closure := &glua.LFunction{Proto: p}
	if fn != nil {
		closure = fn
	}
	for pc := 0; pc < len(p.Code); pc++ {
		i := instruction(p.Code[pc])
		place := Place{p.SourceName, p.DbgSourcePositions[pc]}
		switch i.op() {
		case glua.OP_SETGLOBAL:
			if name := constantName(p, i.bx()); r.found.Written[name] == (Place{}) {
				r.found.Written[name] = place
			}
		case glua.OP_GETGLOBAL:
			r.value(r.L.G.Global.RawGetString(constantName(p, i.bx())), 0)
		case glua.OP_CALL, glua.OP_TAILCALL:
			if r.left -= 1 + min(pc, maxLooked)/lookedVisits; r.left > 0 {
				r.called(closure, pc, i.a(), place)
			}
		case glua.OP_SETLIST:
			if i.c() == 0 {
				pc++
			}
		case glua.OP_CLOSURE:
			inner := p.FunctionPrototypes[i.bx()]
			r.proto(inner, nil)
			pc += int(inner.NumUpvalues)
		}
	}
}

// called looks whether what is called is a function that a library hasn't.
func (r *reacher) called(fn *glua.LFunction, pc, register int, place Place) {
	if len(r.found.Missing) >= maxMissing {
		return
	}
	n := nameOf(fn.Proto, pc, register)
	if n.kind != "field" && n.kind != "method" || n.name == "?" {
		return
	}
	of, ok := (&frame{Fn: fn, Pc: pc + 1, LocalBase: notRunning}).origin(r.L, n.pc, n.register, 0).(*glua.LTable)
	if !ok {
		return
	}
	if content := Frozen(of); content != nil && content.RawGetString(n.name) == glua.LNil && content.Metatable == glua.LNil {
		r.found.Missing[place] = attempt("call", n, glua.LNil) + fieldSuggestion(n.name, fieldNames(r.L, of, nil))
	}
}

// notRunning is the LocalBase of a frame that is none.
const notRunning = -1 << 30

// lookedVisits is how many instructions are looked at for a visit.
const lookedVisits = 256

// LiteralCalls returns the constant strings that a program calls a global
// function with, as its first argument, and where.
func (p *Program) LiteralCalls(function string) map[Place]string {
	calls := map[Place]string{}
	var look func(*glua.FunctionProto)
	look = func(p *glua.FunctionProto) {
		for pc := 0; pc+2 < len(p.Code); pc++ {
			get, load := instruction(p.Code[pc]), instruction(p.Code[pc+1])
			if get.op() != glua.OP_GETGLOBAL || load.op() != glua.OP_LOADK || load.a() != get.a()+1 || constantName(p, get.bx()) != function {
				continue
			}
			text, ok := p.Constants[load.bx()].(glua.LString)
			if call := instruction(p.Code[pc+2]); ok && call.op() == glua.OP_CALL && call.a() == get.a() {
				calls[Place{p.SourceName, p.DbgSourcePositions[pc+2]}] = string(text)
			}
		}
		for _, inner := range p.FunctionPrototypes {
			look(inner)
		}
	}
	look(p.proto)
	return calls
}

// Variables returns the names of the local variables of a program, of the first
// so many.
func (p *Program) Variables() []string {
	names := map[string]bool{}
	var look func(*glua.FunctionProto)
	look = func(p *glua.FunctionProto) {
		for _, v := range p.DbgLocals {
			if len(names) < maxNames {
				names[v.Name] = true
			}
		}
		for _, inner := range p.FunctionPrototypes {
			look(inner)
		}
	}
	look(p.proto)
	return slices.Sorted(maps.Keys(names))
}
