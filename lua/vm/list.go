package vm

import glua "github.com/yuin/gopher-lua"

// shiftWork is what moving an element of the hash part is counted as.
const shiftWork = 25

// InsertAt moves the elements from position at on to make room for v. at is 1
// to the length, which is n.
func InsertAt(L *glua.LState, t *glua.LTable, n, at int, v glua.LValue) {
	run := RunOf(L)
	for i := n; i >= max(at, positions); i-- {
		SetRaw(L, t, glua.LNumber(i+1), t.RawGet(glua.LNumber(i)))
		run.Spend(L, shiftWork)
	}
	if at > positions {
		SetRaw(L, t, glua.LNumber(at), v)
		return
	}
	p := partsOf(t)
	run.Spend(L, (len(p.array)-at)/16)
	p.reach(L, min(len(p.array)+1, positions))
	if len(p.array) < at { // it has changed meanwhile
		setPosition(L, p, at, v)
		return
	}
	if len(p.array) < positions {
		p.array = append(p.array, glua.LNil)
	}
	copy(p.array[at:], p.array[at-1:])
	p.array[at-1] = v
	p.cut()
}

// RemoveAt takes the element at a position out, and moves those behind it. at
// is 1 to the length, which is n.
func RemoveAt(L *glua.LState, t *glua.LTable, n, at int) glua.LValue {
	run := RunOf(L)
	v := t.RawGet(glua.LNumber(at))
	p := partsOf(t)
	run.Spend(L, max(0, len(p.array)-at)/16)
	if at < len(p.array) {
		copy(p.array[at-1:], p.array[at:])
		p.array[len(p.array)-1] = glua.LNil
		at = len(p.array)
		if n <= positions {
			p.cut()
			return v
		}
	}
	for ; at < n; at++ {
		SetRaw(L, t, glua.LNumber(at), t.RawGet(glua.LNumber(at+1)))
		run.Spend(L, shiftWork)
	}
	SetRaw(L, t, glua.LNumber(n), glua.LNil)
	return v
}

// NewList makes a table of the values, none of which is nil. 16 bytes for each
// must have been charged.
func NewList(L *glua.LState, values []glua.LValue) *glua.LTable {
	n := min(len(values), positions)
	t := L.CreateTable(0, 0)
	if n > 0 {
		partsOf(t).array = append(make([]glua.LValue, 0, n), values[:n]...)
	}
	for i, v := range values[n:] {
		SetRaw(L, t, glua.LNumber(n+i+1), v)
		if i&63 == 0 {
			RunOf(L).Spend(L, 64*shiftWork)
		}
	}
	return t
}

// Add appends a value, which isn't nil, to a list.
func Add(L *glua.LState, t *glua.LTable, v glua.LValue) {
	SetRaw(L, t, glua.LNumber(Length(L, t)+1), v)
}
