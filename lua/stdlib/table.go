package stdlib

import (
	"sort"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

func openTable(L *glua.LState) {
	install(L, glua.TabLibName, library(L, map[string]glua.LGFunction{
		"concat":   tableConcat,
		"foreach":  tableForEach,
		"foreachi": tableForEachI,
		"getn": func(L *glua.LState) int {
			L.Push(glua.LNumber(vm.Length(L, checkReadable(L, 1))))
			return 1
		},
		"insert": tableInsert,
		"maxn":   tableMaxN,
		"remove": tableRemove,
		"sort":   tableSort,
	}))
}

func tableConcat(L *glua.LState) int {
	separator := ""
	if L.Get(2) != glua.LNil {
		separator = checkString(L, 2)
	}
	t := checkReadable(L, 1)
	from := optInt(L, 3, 1)
	var to int
	if L.Get(4) == glua.LNil {
		to = vm.Length(L, t)
	} else {
		to = checkInt(L, 4)
	}
	// What is not there ends the loop before it is long: nil is an error.
	run := vm.RunOf(L)
	size := 0
	for i := from; i <= to; i++ {
		if i&15 == 0 {
			run.Spend(L, 8)
		}
		switch v := t.RawGet(glua.LNumber(i)).(type) {
		case glua.LString:
			size += len(v)
		case glua.LNumber:
			size += 32
		default:
			L.RaiseError("invalid value (%s) at index %d in table for 'concat'", v.Type().String(), i)
		}
		if i < to {
			size += len(separator)
		}
		run.CheckString(L, size)
	}
	charge(L, size)
	var b strings.Builder
	b.Grow(size)
	for i := from; i <= to; i++ {
		// Charging may have let another request run, and that may have changed
		// the table: what was not charged must not be copied.
		part := t.RawGet(glua.LNumber(i))
		switch part.(type) {
		case glua.LString, glua.LNumber:
		default:
			L.RaiseError("the table has changed during 'concat'")
		}
		text := vm.Text(part)
		if i < to {
			size -= len(separator)
		}
		if size -= len(text); size < 0 {
			L.RaiseError("the table has changed during 'concat'")
		}
		vm.Append(&b, text)
		if i < to {
			vm.Append(&b, separator)
		}
	}
	L.Push(vm.Built(L, &b))
	return 1
}

func tableInsert(L *glua.LState) int {
	t := checkWritable(L, 1)
	n := vm.Length(L, t)
	switch L.GetTop() {
	case 2:
		RawSetIndex(L, t, glua.LNumber(n+1), L.Get(2))
	case 3:
		at := checkInt(L, 2)
		switch {
		case at > n:
			RawSetIndex(L, t, glua.LNumber(at), L.Get(3))
		case at < 1:
			insertBelow(L, t, n, at)
		default:
			vm.InsertAt(L, t, n, at, L.Get(3))
		}
	default:
		L.RaiseError("wrong number of arguments to 'insert'")
	}
	return 0
}

// insertBelow inserts where no element of a list is: what is there, mostly
// nothing, is moved as well.
func insertBelow(L *glua.LState, t *glua.LTable, n, at int) {
	run := vm.RunOf(L)
	for i := n + 1; i > at; i-- {
		run.Spend(L, 10)
		RawSetIndex(L, t, glua.LNumber(i), t.RawGet(glua.LNumber(i-1)))
	}
	RawSetIndex(L, t, glua.LNumber(at), L.Get(3))
}

func tableRemove(L *glua.LState) int {
	t := checkWritable(L, 1)
	n := vm.Length(L, t)
	at := optInt(L, 2, n)
	if at < 1 || at > n {
		return 0
	}
	L.Push(vm.RemoveAt(L, t, n, at))
	return 1
}

// tableForEach calls a function with each key and value, until it returns something.
func tableForEach(L *glua.LState) int {
	t := checkReadable(L, 1)
	f := checkFunction(L, 2)
	for k, v := vm.Next(L, t, glua.LNil); k != glua.LNil; k, v = vm.Next(L, t, k) {
		if found := each(L, f, k, v); found {
			return 1
		}
	}
	return 0
}

// tableForEachI is tableForEach for the elements of a list.
func tableForEachI(L *glua.LState) int {
	t := checkReadable(L, 1)
	f := checkFunction(L, 2)
	n := vm.Length(L, t)
	for i := 1; i <= n; i++ {
		if found := each(L, f, glua.LNumber(i), t.RawGet(glua.LNumber(i))); found {
			return 1
		}
	}
	return 0
}

// each calls f(k, v), and reports whether it has returned something, which then
// is on the stack.
func each(L *glua.LState, f *glua.LFunction, k, v glua.LValue) bool {
	vm.RunOf(L).Spend(L, 2)
	L.Push(f)
	L.Push(k)
	L.Push(v)
	L.Call(2, 1)
	if L.Get(-1) != glua.LNil {
		return true
	}
	L.Pop(1)
	return false
}

// tableMaxN looks at all keys: what next gives.
func tableMaxN(L *glua.LState) int {
	t := checkReadable(L, 1)
	most := glua.LNumber(0)
	run := vm.RunOf(L)
	for key, _ := vm.Next(L, t, glua.LNil); key != glua.LNil; key, _ = vm.Next(L, t, key) {
		run.Spend(L, 2)
		if n, ok := key.(glua.LNumber); ok && n > most {
			most = n
		}
	}
	L.Push(most)
	return 1
}

// tableSort sorts a copy, so that a comparator may do what it likes to the
// table, and an error in it leaves the table as it was. A comparator that
// contradicts itself gives some order.
func tableSort(L *glua.LState) int {
	t := checkWritable(L, 1)
	var less *glua.LFunction
	if L.Get(2) != glua.LNil {
		less = checkFunction(L, 2)
	}
	n := vm.Length(L, t)
	run := vm.RunOf(L)
	run.ChargeItems(L, n, 16)
	s := sorter{L: L, run: run, less: less, values: make([]glua.LValue, n)}
	for i := range n {
		s.values[i] = t.RawGet(glua.LNumber(i + 1))
		if i&255 == 255 {
			run.Spend(L, 256/4)
		}
	}
	sort.Sort(&s)
	for i, v := range s.values {
		vm.SetRaw(L, t, glua.LNumber(i+1), v)
		if i&255 == 255 {
			run.Spend(L, 256/4)
		}
	}
	return 0
}

type sorter struct {
	L      *glua.LState
	run    *vm.Run
	less   *glua.LFunction
	values []glua.LValue
}

func (s *sorter) Len() int      { return len(s.values) }
func (s *sorter) Swap(i, j int) { s.values[i], s.values[j] = s.values[j], s.values[i] }

func (s *sorter) Less(i, j int) bool {
	a, b := s.values[i], s.values[j]
	s.run.Spend(s.L, 1)
	if s.less != nil {
		s.L.Push(s.less)
		s.L.Push(a)
		s.L.Push(b)
		s.L.Call(2, 1)
		is := glua.LVAsBool(s.L.Get(-1))
		s.L.Pop(1)
		return is
	}
	if x, ok := a.(glua.LString); ok {
		if y, ok := b.(glua.LString); ok {
			s.run.Spend(s.L, min(len(x), len(y))/128)
			return x < y
		}
	}
	if _, number := a.(glua.LNumber); !number || a.Type() != b.Type() {
		s.check(a, b)
	}
	return s.L.LessThan(a, b)
}

// check raises Lua's words if two values, which aren't both numbers or both
// strings, can't be compared.
func (s *sorter) check(a, b glua.LValue) {
	x, y := a.Type(), b.Type()
	if x == y && s.L.GetMetaField(a, "__lt") != glua.LNil {
		return
	}
	if x == y {
		s.L.RaiseError("attempt to compare two %s values", x)
	}
	s.L.RaiseError("attempt to compare %s with %s", x, y)
}
