package vm

import (
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// tableSize is what a table is counted as: the memory of one that has a named
// field. Fields with constant names are not counted again: a script has only
// so many of them.
const tableSize = 2 << 10

// functionSize is what a closure is counted as.
const functionSize = 256

// countTable is called with each table that a script has just made, and the
// keys and values of its fields with computed keys.
func countTable(L *glua.LState, f *Functions) int {
	t, ok := L.Get(1).(*glua.LTable)
	if !ok {
		return 0
	}
	RunOf(L).Charge(L, tableSize+16*t.Len())
	for i, n := 2, L.GetTop(); i < n; i += 2 {
		f.SetIndex(L, t, L.Get(i), L.Get(i+1))
	}
	L.SetTop(1)
	return 1
}

// countFunction is called before or with each function that a script makes; it
// returns the function.
func countFunction(L *glua.LState) int {
	RunOf(L).Charge(L, functionSize)
	return L.GetTop()
}

// assign is a multiple assignment: its first argument names the kinds of the
// targets, "i" for t[k] and "x" for others; then come t and k of each "i", and
// then the values. It assigns to the former and returns those of the latter.
func assign(L *glua.LState, f *Functions) int {
	kinds := L.CheckString(1)
	value := 2 + 2*strings.Count(kinds, "i")
	target, results := 2, 0
	for _, kind := range []byte(kinds) {
		if kind == 'i' {
			f.SetIndex(L, L.Get(target), L.Get(target+1), L.Get(value))
			target += 2
		}
		value++
	}
	value -= len(kinds)
	for i := range len(kinds) {
		if kinds[i] == 'x' {
			L.Push(L.Get(value + i))
			results++
		}
	}
	return results
}

// concat is the operator "..", for any number of operands at once.
func concat(L *glua.LState) int {
	n, total := L.GetTop(), 0
	for i := 1; i <= n; i++ {
		switch v := L.Get(i).(type) {
		case glua.LString:
			total += len(v)
		case glua.LNumber:
			total += 24
		default:
			return concatMeta(L, n)
		}
	}
	RunOf(L).ChargeString(L, total)
	var joined strings.Builder
	joined.Grow(total)
	for i := 1; i <= n; i++ {
		appendValue(&joined, L.Get(i))
	}
	L.Push(Built(L, &joined))
	return 1
}

func appendValue(to *strings.Builder, v glua.LValue) {
	if s, ok := v.(glua.LString); ok {
		Append(to, string(s))
		return
	}
	to.WriteString(glua.LVAsString(v))
}

// concatMeta joins from the right, two by two, as the language has it, where
// an operand is neither a string nor a number.
func concatMeta(L *glua.LState, n int) int {
	right := L.Get(n)
	for i := n - 1; i >= 1; i-- {
		left := L.Get(i)
		if glua.LVCanConvToString(left) && glua.LVCanConvToString(right) {
			a, b := glua.LVAsString(left), glua.LVAsString(right)
			RunOf(L).ChargeString(L, len(a)+len(b))
			var joined strings.Builder
			joined.Grow(len(a) + len(b))
			Append(&joined, a)
			Append(&joined, b)
			right = glua.LString(joined.String())
			continue
		}
		right = callConcat(L, left, right)
	}
	L.Push(right)
	return 1
}

func callConcat(L *glua.LState, left, right glua.LValue) glua.LValue {
	f := L.GetMetaField(left, "__concat")
	if f == glua.LNil {
		f = L.GetMetaField(right, "__concat")
	}
	if f == glua.LNil {
		bad := left
		if glua.LVCanConvToString(left) {
			bad = right
		}
		L.RaiseError("attempt to concatenate a %s value", bad.Type().String())
	}
	L.Push(f)
	L.Push(left)
	L.Push(right)
	L.Call(2, 1)
	result := L.Get(-1)
	L.Pop(1)
	return result
}
