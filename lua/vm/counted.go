package vm

import (
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// tableSize is what a table is counted as: the memory of one with 14 names and 16
// positions, which is as many as can be assigned without a call that counts.
const tableSize = 2400

// What a closure is counted as, with each variable of other functions that it
// uses: the engine makes one for each.
const (
	functionSize = 128
	variableSize = 80
)

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
	if n, ok := v.(glua.LNumber); ok {
		var room [32]byte
		to.Write(AppendNumber(room[:0], n))
	}
}

// concatMeta joins from the right, two by two, as the language has it, where
// an operand is neither a string nor a number. What has been joined takes the
// place of its first operand.
func concatMeta(L *glua.LState, n int) int {
	right := L.Get(n)
	for i := n - 1; i >= 1; i-- {
		left := L.Get(i)
		if glua.LVCanConvToString(left) && glua.LVCanConvToString(right) {
			a, b := Text(left), Text(right)
			RunOf(L).ChargeString(L, len(a)+len(b))
			var joined strings.Builder
			joined.Grow(len(a) + len(b))
			Append(&joined, a)
			Append(&joined, b)
			L.Replace(i, glua.LString(joined.String()))
			right = L.Get(i)
			continue
		}
		L.Replace(i, callConcat(L, i, left, right))
		right = L.Get(i)
	}
	L.Push(right)
	return 1
}

func callConcat(L *glua.LState, i int, left, right glua.LValue) glua.LValue {
	f := L.GetMetaField(left, "__concat")
	if f == glua.LNil {
		f = L.GetMetaField(right, "__concat")
	}
	if f == glua.LNil {
		if glua.LVCanConvToString(left) {
			i++
		}
		raiseOperand(L, "concatenate", i)
	}
	CheckCallable(L, f)
	L.Push(f)
	L.Push(left)
	L.Push(right)
	L.Call(2, 1)
	result := L.Get(-1)
	L.Pop(1)
	return result
}
