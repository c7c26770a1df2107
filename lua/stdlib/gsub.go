package stdlib

import (
	"strconv"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// builder is a strings.Builder that charges the run before it grows.
type builder struct {
	text *strings.Builder
	L    *glua.LState
}

func newBuilder(L *glua.LState) builder { return builder{text: new(strings.Builder), L: L} }

func (b *builder) grow(n int) {
	if b.text.Cap()-b.text.Len() >= n {
		return
	}
	need := b.text.Len() + n
	run := vm.RunOf(b.L)
	run.CheckString(b.L, need)
	larger := max(need, min(2*b.text.Cap()+n, run.MaxString()))
	charge(b.L, larger)
	before := b.text.String()
	b.text = new(strings.Builder)
	b.text.Grow(larger)
	vm.Append(b.text, before)
}

func (b *builder) add(s string) {
	b.grow(len(s))
	vm.Append(b.text, s)
}

func (b *builder) addByte(c byte) {
	b.grow(1)
	b.text.WriteByte(c)
}

func gsub(L *glua.LState) int {
	s, pattern := checkString(L, 1), checkString(L, 2)
	replacement := L.Get(3)
	most := optInt(L, 4, len(s)+1)
	switch v := replacement.(type) {
	case glua.LNumber:
		replacement = glua.LString(vm.NumberText(v))
	case glua.LString, *glua.LTable, *glua.LFunction:
	default:
		vm.ArgError(L, 3, "string/function/table expected")
	}
	m := matcher{L: L, src: s, pat: pattern}
	start, anchored := 0, false
	if pattern != "" && pattern[0] == '^' {
		start, anchored = 1, true
	}
	b := newBuilder(L)
	from, count := 0, 0
	for count < most {
		e := m.try(from, start)
		if e != noMatch {
			count++
			m.steps += 16
			m.replace(&b, from, e, replacement)
		}
		m.step()
		if e != noMatch && e > from {
			from = e
		} else if from < len(s) {
			b.addByte(s[from])
			from++
		} else {
			break
		}
		if anchored {
			break
		}
	}
	m.done()
	b.add(s[min(from, len(s)):])
	L.Push(vm.Built(L, b.text))
	L.Push(glua.LNumber(count))
	return 2
}

// replace adds what a match of src[s:e] is replaced by.
func (m *matcher) replace(b *builder, s, e int, replacement glua.LValue) {
	L := m.L
	var by glua.LValue
	switch r := replacement.(type) {
	case glua.LString:
		m.expand(b, s, e, string(r))
		return
	case *glua.LTable:
		by = L.GetTable(r, m.capture(0, s, e))
	default:
		L.Push(r)
		n := m.push(s, e, true)
		L.Call(n, 1)
		by = L.Get(-1)
		L.Pop(1)
	}
	switch by := by.(type) {
	case glua.LString:
		b.add(string(by))
	case glua.LNumber:
		b.add(vm.NumberText(by))
	default:
		if glua.LVAsBool(by) {
			L.RaiseError("invalid replacement value (a %s)", by.Type().String())
		}
		b.add(m.src[s:e])
	}
}

// expand adds a replacement with %0 to %9 in it.
func (m *matcher) expand(b *builder, s, e int, replacement string) {
	m.steps += len(replacement) / 16
	for {
		i := strings.IndexByte(replacement, '%')
		if i < 0 {
			b.add(replacement)
			return
		}
		b.add(replacement[:i])
		if i+1 == len(replacement) {
			m.fail("invalid use of '%' in replacement string")
		}
		switch c := replacement[i+1]; {
		case c == '0':
			b.add(m.src[s:e])
		case isDigit(c):
			text, position := m.captured(int(c-'1'), s, e)
			if position > 0 {
				text = strconv.Itoa(position)
			}
			b.add(text)
		default:
			b.addByte(c)
		}
		replacement = replacement[i+2:]
	}
}
