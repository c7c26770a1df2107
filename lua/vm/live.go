package vm

import (
	"time"
	"unsafe"

	glua "github.com/yuin/gopher-lua"
)

// Live counts the bytes that a VM's globals and the other roots hold, with all
// that can be reached from them, and stops beyond limit. It counts what Go
// holds, not what a script sees: the room of arrays, keys that were deleted, the
// stacks that functions' variables stem from. The lock is held.
func Live(main *glua.LState, limit int64, roots []glua.LValue) int64 {
	held, _ := Measure(main, limit, roots)
	return held
}

// Measure is Live, and tells how long the longest string is. A walk of more
// than half a millisecond rests as long runs do.
func Measure(main *glua.LState, limit int64, roots []glua.LValue) (held, longest int64) {
	w := walker{limit: limit, seen: map[unsafe.Pointer]struct{}{}, began: time.Now()}
	for _, root := range roots {
		w.visit(root)
	}
	w.visit(main.G.Global)
	w.visit(main.G.Registry)
	w.run(nil)
	return w.bytes, w.longest
}

// Empty drops what a VM's globals and the other roots hold: requests in flight
// on a VM that has been retired keep no more alive than their own stacks. The
// lock is held.
func Empty(main *glua.LState, roots []glua.LValue) {
	w := walker{limit: 1 << 62, seen: map[unsafe.Pointer]struct{}{}, began: time.Now()}
	for _, root := range roots {
		w.visit(root)
	}
	w.visit(main.G.Global)
	w.run(func(v glua.LValue) {
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
	})
}

// Container is the value of a userdata that holds values of Lua's.
type Container interface {
	// Visit calls visit with each.
	Visit(visit func(glua.LValue))
}

// walker walks over all that can be reached. What is small is counted where it
// is found, however often; what is large, once.
type walker struct {
	limit, bytes int64
	longest      int64
	seen         map[unsafe.Pointer]struct{}
	todo         []glua.LValue
	blocks       [1024]uintptr // blocks of numbers that were counted, by their address
	began        time.Time
	steps        int
}

// What things take, in bytes, as the allocator rounds them.
const (
	tableBytes    = 80
	functionBytes = 96
	upvalueBytes  = 64
	userdataBytes = 64
	threadBytes   = 3 << 10 // without its stack
	numberBytes   = 8
	emptyHash     = 64
	smallHash     = 1000 // of a table of up to 8 keys
	keyBytes      = 200  // of each in a larger one
	sharedString  = 64   // up to this length a string is counted wherever it is
	numberBlock   = 256  // the engine makes 32 numbers at once, and one keeps them all
)

func (w *walker) run(after func(glua.LValue)) {
	for len(w.todo) > 0 && w.bytes <= w.limit {
		next := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		w.expand(next)
		if after != nil {
			after(next)
		}
	}
}

// pause sleeps now and then, for as long as the walk has taken.
func (w *walker) pause() {
	if w.steps++; w.steps&1023 != 0 {
		return
	}
	if took := time.Since(w.began); took > restAfter {
		time.Sleep(min(took, maxRest))
		w.began = time.Now()
	}
}

// first reports whether something is met for the first time.
func (w *walker) first(p unsafe.Pointer) bool {
	if _, ok := w.seen[p]; ok {
		return false
	}
	w.seen[p] = struct{}{}
	return true
}

// visit counts a value, and notes it for expansion if it has others in it.
func (w *walker) visit(v glua.LValue) {
	w.pause()
	switch v := v.(type) {
	case glua.LString:
		w.bytes += stringSize
		w.text(string(v))
	case *glua.LTable:
		w.note(unsafe.Pointer(v), v) //nolint:gosec // G103: compared only
	case *glua.LFunction:
		w.note(unsafe.Pointer(v), v) //nolint:gosec // G103: compared only
	case *glua.LUserData:
		w.note(unsafe.Pointer(v), v) //nolint:gosec // G103: compared only
	case *glua.LState:
		w.note(unsafe.Pointer(v), v) //nolint:gosec // G103: compared only
	}
}

func (w *walker) note(p unsafe.Pointer, v glua.LValue) {
	if w.first(p) {
		w.todo = append(w.todo, v)
	}
}

// slot is visit for what stands in a table, a variable or a stack, where
// numbers take memory of their own.
func (w *walker) slot(v *glua.LValue) {
	if _, ok := (*v).(glua.LNumber); ok {
		w.number(uintptr((*[2]unsafe.Pointer)(unsafe.Pointer(v))[1])) //nolint:gosec // G103: where the number is
		return
	}
	if *v != nil {
		w.visit(*v)
	}
}

func (w *walker) number(address uintptr) {
	w.pause()
	block := address / numberBlock
	if at := &w.blocks[block%uintptr(len(w.blocks))]; *at != block {
		*at = block
		w.bytes += numberBlock
	}
}

func (w *walker) text(s string) {
	if len(s) > sharedString && !w.first(unsafe.Pointer(unsafe.StringData(s))) { //nolint:gosec // G103: compared only
		return
	}
	w.bytes += int64(min(len(s)/8, 8<<10) + (len(s)+15)&^15) // as the allocator rounds
	w.longest = max(w.longest, int64(len(s)))
}

func (w *walker) expand(v glua.LValue) {
	switch v := v.(type) {
	case *glua.LTable:
		w.table(partsOf(v))
	case *glua.LFunction:
		w.bytes += functionBytes + 8*int64(cap(v.Upvalues))
		for _, upvalue := range v.Upvalues {
			w.upvalue(upvalue)
		}
		if v.Env != nil {
			w.visit(v.Env)
		}
		if v.Proto != nil {
			w.code(v.Proto)
		}
	case *glua.LState:
		w.bytes += threadBytes
		w.stack(registryOf(v))
		for u := openUpvalues(v); u != nil; u = nextUpvalue(u) {
			w.upvalue(u)
		}
	case *glua.LUserData:
		w.bytes += userdataBytes
		if sized, ok := v.Value.(Sized); ok {
			w.bytes += int64(sized.Size())
		}
		if container, ok := v.Value.(Container); ok {
			container.Visit(w.visit)
		}
		if v.Metatable != nil {
			w.visit(v.Metatable)
		}
	}
}

// code counts what was compiled in a run, which functions keep.
func (w *walker) code(p *glua.FunctionProto) {
	bytes, ok := codeBytes(p)
	if !ok || !w.first(unsafe.Pointer(p)) { //nolint:gosec // G103: compared only
		return
	}
	w.bytes += bytes
	for _, inner := range p.FunctionPrototypes {
		w.code(inner)
	}
}

func (w *walker) table(p *tableParts) {
	w.bytes += tableBytes + 17*int64(cap(p.array)) + hashSize(p)
	if p.metatable != nil {
		w.visit(p.metatable)
	}
	for i := range p.array {
		if w.slot(&p.array[i]); w.bytes > w.limit {
			return
		}
	}
	count := w.slot
	if len(p.keys) > fewKeys { // most numbers have been set by SetRaw
		count = w.single
	}
	for i := range p.keys { // those that were deleted too
		if count(&p.keys[i]); w.bytes > w.limit {
			return
		}
	}
	for _, v := range p.strdict {
		if count(&v); w.bytes > w.limit {
			return
		}
	}
	for _, v := range p.dict {
		if count(&v); w.bytes > w.limit {
			return
		}
	}
}

// fewKeys is more than can have been set without SetRaw.
const fewKeys = 64

// single is slot where numbers have memory of their own.
func (w *walker) single(v *glua.LValue) {
	if _, ok := (*v).(glua.LNumber); ok {
		w.pause()
		w.bytes += 2 * numberBytes
		return
	}
	w.slot(v)
}

func hashSize(p *tableParts) int64 {
	switch n := len(p.keys); {
	case n > 8:
		return keyBytes * int64(n)
	case n > 0:
		return smallHash
	case p.strdict != nil:
		return emptyHash
	}
	return 0
}

// upvalue counts a variable of functions. It keeps the stack on which it was,
// and the variables behind it, even when it is closed.
func (w *walker) upvalue(u *glua.Upvalue) {
	for ; u != nil && w.first(unsafe.Pointer(u)); u = nextUpvalue(u) { //nolint:gosec // G103: compared only
		w.bytes += upvalueBytes
		if value := u.Value(); value != nil {
			w.slot(&value)
		}
		w.stack(registryOfUpvalue(u))
	}
}

// stack counts a thread's stack, with what is on it.
func (w *walker) stack(r *[]glua.LValue) {
	if r == nil || !w.first(unsafe.Pointer(r)) { //nolint:gosec // G103: compared only
		return
	}
	w.bytes += 16*int64(cap(*r)) + upvalueBytes
	for i := range *r {
		if w.slot(&(*r)[i]); w.bytes > w.limit {
			return
		}
	}
}
