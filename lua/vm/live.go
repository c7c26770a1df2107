package vm

import (
	"math"

	glua "github.com/yuin/gopher-lua"
)

// Live estimates the bytes that a VM's globals and the other roots hold, with
// all that can be reached from them; it stops counting beyond limit. The lock
// is held.
func Live(main *glua.LState, limit int64, roots []glua.LValue) int64 {
	w := walker{limit: limit, seen: map[any]bool{}}
	for _, root := range roots {
		w.visit(root)
	}
	w.visit(main.G.Global)
	w.visit(main.G.Registry)
	for len(w.todo) > 0 && w.bytes <= limit {
		next := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		w.expand(next)
	}
	return w.bytes
}

// Empty drops what a VM's globals and the other roots hold: requests in flight
// on a VM that has been retired keep no more alive than their own stacks. The
// lock is held.
func Empty(main *glua.LState, roots []glua.LValue) {
	w := walker{limit: math.MaxInt64, seen: map[any]bool{}}
	for _, root := range roots {
		w.visit(root)
	}
	w.visit(main.G.Global)
	for len(w.todo) > 0 {
		next := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		w.expand(next)
		w.clear(next)
	}
}

func (w *walker) clear(v glua.LValue) {
	switch v := v.(type) {
	case *glua.LTable:
		*v = glua.LTable{Metatable: v.Metatable}
	case *glua.LFunction:
		for _, upvalue := range v.Upvalues {
			if upvalue != nil {
				upvalue.SetValue(glua.LNil)
			}
		}
	}
}

type walker struct {
	limit, bytes int64
	seen         map[any]bool
	todo         []glua.LValue
}

// visit counts a value, and notes it for expansion if it has others in it.
func (w *walker) visit(v glua.LValue) {
	switch v := v.(type) {
	case glua.LString:
		w.bytes += int64(len(v)) + 16
	case glua.LNumber:
		w.bytes += 16
	case *glua.LState: // a coroutine, whose stack has ended with its run
		w.bytes += 500
	case *glua.LTable, *glua.LFunction, *glua.LUserData:
		if !w.seen[v] {
			w.seen[v] = true
			w.todo = append(w.todo, v)
		}
	}
}

func (w *walker) expand(v glua.LValue) {
	switch v := v.(type) {
	case *glua.LTable:
		w.bytes += 200
		w.visit(v.Metatable)
		named := false
		v.ForEach(func(k, value glua.LValue) {
			if w.bytes > w.limit {
				return
			}
			switch {
			case k.Type() == glua.LTNumber:
				w.bytes += 32
			case named:
				w.bytes += 150
			default:
				named = true
				w.bytes += tableSize
			}
			w.visit(k)
			w.visit(value)
		})
	case *glua.LFunction:
		w.bytes += functionSize
		for _, upvalue := range v.Upvalues {
			w.bytes += 64
			if upvalue != nil {
				if value := upvalue.Value(); value != nil {
					w.visit(value)
				}
			}
		}
		if v.Env != nil {
			w.visit(v.Env)
		}
	case *glua.LUserData:
		w.bytes += 100
		if sized, ok := v.Value.(Sized); ok {
			w.bytes += int64(sized.Size())
		}
		w.visit(v.Metatable)
	}
}
