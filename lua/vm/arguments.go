package vm

import (
	glua "github.com/yuin/gopher-lua"
)

// ArgError raises that argument i of the running function is wrong, in Lua 5.1's
// words: the object of a method isn't counted.
func ArgError(L *glua.LState, i int, message string) {
	var as named
	if f := frameOf(L); f != nil {
		f.spendOnName(L)
		as = f.calledAs()
	}
	if as.kind == "method" && frameOf(L).NArgs != withoutSelf {
		if i--; i == 0 {
			L.RaiseError("calling '%s' on bad self (%s)", Clip(as.name), message)
		}
	}
	if as.kind == "" {
		as.name = "?"
	}
	L.RaiseError("bad argument #%d to '%s' (%s)", i, Clip(as.name), message)
}

// DropSelf takes the first argument of the running function away: it was called
// as a method, and is none.
func DropSelf(L *glua.LState) {
	L.Remove(1)
	if f := frameOf(L); f != nil && f.Fn.IsG {
		f.NArgs = withoutSelf // the engine has no use for it any more
	}
}

const withoutSelf = -1

// TypeError raises that argument i has the wrong type.
func TypeError(L *glua.LState, i int, expected string) {
	got := "no value"
	if i <= L.GetTop() {
		got = L.Get(i).Type().String()
	}
	ArgError(L, i, expected+" expected, got "+got)
}

// CheckString is argument i, a string or a number as Lua writes it.
func CheckString(L *glua.LState, i int) string {
	switch v := L.Get(i).(type) {
	case glua.LString:
		return string(v)
	case glua.LNumber:
		RunOf(L).Charge(L, 32)
		return NumberText(v)
	}
	TypeError(L, i, "string")
	return ""
}

// OptString is CheckString for an argument that may be absent or nil.
func OptString(L *glua.LState, i int, absent string) string {
	if L.Get(i) == glua.LNil {
		return absent
	}
	return CheckString(L, i)
}

// CheckNumber is argument i, a number or a string that is one.
func CheckNumber(L *glua.LState, i int) glua.LNumber {
	n, ok := Number(L, L.Get(i))
	if !ok {
		TypeError(L, i, "number")
	}
	return n
}

// CheckInt is argument i as Int makes it.
func CheckInt(L *glua.LState, i int) int { return Int(CheckNumber(L, i)) }

// Int cuts the fraction off. NaN is 0; what is too large is cut to maxInt.
func Int(n glua.LNumber) int {
	if n != n {
		return 0
	}
	return int(max(-maxInt, min(n, maxInt)))
}

// maxInt bounds the integers that functions get, so that sums don't overflow.
const maxInt = 1 << 53

// OptInt is CheckInt for an argument that may be absent or nil.
func OptInt(L *glua.LState, i, absent int) int {
	if L.Get(i) == glua.LNil {
		return absent
	}
	return CheckInt(L, i)
}

// CheckTable is argument i, a table.
func CheckTable(L *glua.LState, i int) *glua.LTable {
	return checked[*glua.LTable](L, i, "table")
}

// OptTable is CheckTable for an argument that may be absent or nil.
func OptTable(L *glua.LState, i int, absent *glua.LTable) *glua.LTable {
	if L.Get(i) == glua.LNil {
		return absent
	}
	return CheckTable(L, i)
}

// CheckFunction is argument i, a function.
func CheckFunction(L *glua.LState, i int) *glua.LFunction {
	return checked[*glua.LFunction](L, i, "function")
}

// CheckUserData is argument i, a userdata.
func CheckUserData(L *glua.LState, i int) *glua.LUserData {
	return checked[*glua.LUserData](L, i, "userdata")
}

// CheckAny is argument i, which may be nil but not absent.
func CheckAny(L *glua.LState, i int) glua.LValue {
	if i > L.GetTop() {
		ArgError(L, i, "value expected")
	}
	return L.Get(i)
}

func checked[T glua.LValue](L *glua.LState, i int, expected string) T {
	v, ok := L.Get(i).(T)
	if !ok {
		TypeError(L, i, expected)
	}
	return v
}
