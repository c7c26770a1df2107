package stdlib

import (
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

func (l *lib) openString(L *glua.LState) {
	content := library(L, map[string]glua.LGFunction{
		"byte":    strByte,
		"char":    strChar,
		"find":    func(L *glua.LState) int { return strFind(L, true) },
		"format":  l.format,
		"gmatch":  gmatch,
		"gsub":    gsub,
		"len":     func(L *glua.LState) int { L.Push(glua.LNumber(len(checkString(L, 1)))); return 1 },
		"lower":   func(L *glua.LState) int { return changeCase(L, 'A') },
		"match":   func(L *glua.LState) int { return strFind(L, false) },
		"rep":     strRep,
		"reverse": strReverse,
		"sub":     strSub,
		"upper":   func(L *glua.LState) int { return changeCase(L, 'a') },
	})
	content.RawSetString("gfind", content.RawGetString("gmatch")) // its name in Lua 5.0
	shown := L.CreateTable(0, 1)
	shown.RawSetString("__index", install(L, glua.StringLibName, content))
	l.ofStrings = vm.Freeze(L, "the metatable of strings", shown)

	meta := L.CreateTable(0, 2)
	meta.RawSetString("__index", content)
	meta.RawSetString("__call", L.NewFunction(callString))
	openArithmetic(L, meta)
	L.SetMetatable(glua.LString(""), meta)
}

// callString makes a property callable: request:method() is request.method
// called with the request, request.body() is request.body called with nothing.
// Any other call of a string is the error that it is in Lua.
func callString(L *glua.LState) int {
	text, _ := L.Get(1).(glua.LString)
	_, withObject := L.Get(2).(*glua.LUserData)
	kind, name, of := vm.CalledAs(L)
	_, ofObject := of.(*glua.LUserData)
	known := ofObject || of == nil && vm.IsProperty(L, name, string(text))
	switch {
	case kind == "method" && withObject, kind == "field" && (withObject || L.GetTop() == 1) && known:
		L.SetTop(1)
		return 1
	case kind == "" || strings.HasPrefix(name, "("): // a loop's
		L.RaiseError("attempt to call a string value")
	}
	L.RaiseError("attempt to call %s '%s' (a string value)", kind, name)
	return 0
}

// position turns a position that counts from the end if negative into one that
// counts from the start; both count from 1.
func position(i, size int) int {
	if i < 0 {
		return max(0, size+i+1)
	}
	return i
}

func strSub(L *glua.LState) int {
	s := checkString(L, 1)
	from := max(1, position(checkInt(L, 2), len(s)))
	to := min(len(s), position(optInt(L, 3, -1), len(s)))
	if from > to {
		L.Push(glua.LString(""))
		return 1
	}
	L.Push(vm.Part(L, s, s[from-1:to]))
	return 1
}

func strByte(L *glua.LState) int {
	s := checkString(L, 1)
	from := position(optInt(L, 2, 1), len(s))
	to := min(len(s), position(optInt(L, 3, from), len(s)))
	from = max(1, from)
	n := to - from + 1
	if n <= 0 {
		return 0
	}
	if n > maxUnpack {
		L.RaiseError("string slice too long")
	}
	run := vm.RunOf(L)
	run.Charge(L, n*16)
	run.Spend(L, n/8)
	for i := from; i <= to; i++ {
		L.Push(glua.LNumber(s[i-1]))
	}
	return n
}

func strChar(L *glua.LState) int {
	n := L.GetTop()
	run := vm.RunOf(L)
	run.Charge(L, 16+2*n)
	run.Spend(L, n/8)
	buf := make([]byte, n)
	for i := range n {
		c := checkInt(L, i+1)
		if c < 0 || c > 255 {
			vm.ArgError(L, i+1, "invalid value")
		}
		buf[i] = byte(c) //nolint:gosec // it is below 256
	}
	L.Push(glua.LString(buf))
	return 1
}

func strRep(L *glua.LState) int {
	s := checkString(L, 1)
	n := max(0, checkInt(L, 2))
	if len(s) == 0 || n == 0 {
		L.Push(glua.LString(""))
		return 1
	}
	if n > vm.RunOf(L).MaxString()/len(s) {
		L.RaiseError("resulting string too large")
	}
	charge(L, n*len(s))
	var b strings.Builder
	b.Grow(n * len(s))
	for vm.Append(&b, s); b.Len() < n*len(s); { // as much again as there is
		vm.Append(&b, b.String()[:min(b.Len(), n*len(s)-b.Len())])
	}
	L.Push(glua.LString(b.String()))
	return 1
}

// step is how many bytes are worked on between two looks at the budget.
const step = 8 << 10

// charge counts a string that is about to be made.
func charge(L *glua.LState, size int) {
	run := vm.RunOf(L)
	run.ChargeString(L, size)
	run.Spend(L, size/64)
}

func strReverse(L *glua.LState) int {
	s := checkString(L, 1)
	charge(L, len(s))
	run := vm.RunOf(L)
	var b strings.Builder
	b.Grow(len(s))
	for i := len(s) - 1; i >= 0; i-- {
		b.WriteByte(s[i])
		if i%step == 0 {
			run.Spend(L, step/16)
		}
	}
	L.Push(glua.LString(b.String()))
	return 1
}

// changeCase turns the letters of the alphabet that begins with first into the
// other case.
func changeCase(L *glua.LState, first byte) int {
	s := checkString(L, 1)
	run := vm.RunOf(L)
	i := 0
	for i < len(s) && s[i]-first >= 26 {
		if i++; i%step == 0 {
			run.Spend(L, step/16)
		}
	}
	if i == len(s) {
		L.Push(glua.LString(s))
		return 1
	}
	run.ChargeString(L, len(s))
	var b strings.Builder
	b.Grow(len(s))
	vm.Append(&b, s[:i])
	for ; i < len(s); i++ {
		if i%step == 0 {
			run.Spend(L, step/16)
		}
		c := s[i]
		if c-first < 26 {
			c ^= 0x20
		}
		b.WriteByte(c)
	}
	L.Push(glua.LString(b.String()))
	return 1
}

// strFind is string.find and string.match.
func strFind(L *glua.LState, find bool) int {
	s := checkString(L, 1)
	pattern := checkString(L, 2)
	init := position(optInt(L, 3, 1), len(s)) - 1
	init = max(0, min(init, len(s)))
	if find && (glua.LVAsBool(L.Get(4)) || !strings.ContainsAny(pattern, specials)) {
		if i := plainIndex(L, s[init:], pattern); i >= 0 {
			L.Push(glua.LNumber(init + i + 1))
			L.Push(glua.LNumber(init + i + len(pattern)))
			return 2
		}
		L.Push(glua.LNil)
		return 1
	}
	m := matcher{L: L, src: s, pat: pattern}
	start, anchored := 0, false
	if pattern != "" && pattern[0] == '^' {
		start, anchored = 1, true
	}
	for {
		if e := m.try(init, start); e != noMatch {
			m.done()
			if !find {
				return m.push(init, e, true)
			}
			L.Push(glua.LNumber(init + 1))
			L.Push(glua.LNumber(e))
			return 2 + m.push(init, e, false)
		}
		m.step()
		if init++; anchored || init > len(s) {
			break
		}
	}
	m.done()
	L.Push(glua.LNil)
	return 1
}

func gmatch(L *glua.LState) int {
	s, pattern := checkString(L, 1), checkString(L, 2)
	vm.RunOf(L).Charge(L, 256)
	from := 0
	step := func(L *glua.LState) int {
		m := matcher{L: L, src: s, pat: pattern}
		for ; from <= len(s); from++ {
			m.step()
			begin := from
			e := m.try(begin, 0)
			if e == noMatch {
				continue
			}
			m.done()
			from = e
			if e == begin {
				from++
			}
			return m.push(begin, e, true)
		}
		m.done()
		L.Push(glua.LNil)
		return 1
	}
	// The strings stand in upvalues too, where vm.Live sees them.
	L.Push(L.NewClosure(step, glua.LString(s), glua.LString(pattern)))
	return 1
}
