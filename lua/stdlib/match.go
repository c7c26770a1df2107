package stdlib

import (
	"math"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

const (
	maxCaptures = 32
	// maxMatchDepth bounds the recursion of a match, as C Lua's MAXCCALLS does.
	maxMatchDepth = 200

	captureUnfinished = -1
	capturePosition   = -2

	// noMatch is where a match ends that failed.
	noMatch = -1
)

// specials make a pattern of what is otherwise a plain string.
const specials = "^$*+?.([%-"

// stepsPerSpend is how many steps of a match are counted at once; four take
// about as long as an instruction.
const stepsPerSpend = 256

// matcher matches a pattern of Lua 5.1's; it is lstrlib.c's MatchState.
type matcher struct {
	L        *glua.LState
	src, pat string

	steps    int
	depth    int
	level    int // captures, finished or not
	captures [maxCaptures]struct{ init, size int }
}

// try matches at src[s:], and returns where the match ends.
func (m *matcher) try(s, p int) int {
	m.level, m.depth = 0, 0
	return m.match(s, p)
}

// done counts the steps that haven't been counted yet.
func (m *matcher) done() {
	vm.RunOf(m.L).Spend(m.L, m.steps/4)
	m.steps = 0
}

func (m *matcher) step() {
	if m.steps++; m.steps >= stepsPerSpend {
		m.done()
	}
}

func (m *matcher) fail(message string) { m.L.RaiseError("%s", message) }

// match matches pat[p:] at src[s:].
func (m *matcher) match(s, p int) int {
	if m.depth++; m.depth > maxMatchDepth {
		m.fail("pattern too complex")
	}
	defer func() { m.depth-- }()
	for p < len(m.pat) {
		m.step()
		switch m.pat[p] {
		case '(':
			if p+1 < len(m.pat) && m.pat[p+1] == ')' {
				return m.startCapture(s, p+2, capturePosition)
			}
			return m.startCapture(s, p+1, captureUnfinished)
		case ')':
			return m.endCapture(s, p+1)
		case '$':
			if p+1 < len(m.pat) {
				break // it stands for itself
			}
			if s == len(m.src) {
				return s
			}
			return noMatch
		case '%':
			if end, next := m.escape(s, p+1); end == noMatch {
				return noMatch
			} else if next > p {
				s, p = end, next
				continue
			}
		}
		end := m.classEnd(p)
		var suffix byte
		if end < len(m.pat) {
			suffix = m.pat[end]
		}
		switch suffix {
		case '?':
			if m.single(s, p, end) {
				if e := m.match(s+1, end+1); e != noMatch {
					return e
				}
			}
			p = end + 1
		case '*':
			return m.maxExpand(s, p, end, 0)
		case '+':
			return m.maxExpand(s, p, end, 1)
		case '-':
			return m.minExpand(s, p, end)
		default:
			if !m.single(s, p, end) {
				return noMatch
			}
			s++
			p = end
		}
	}
	return s
}

// escape matches %b, %f and references to captures, whose letter is pat[p]. It
// returns where the match ends and the pattern goes on; 0 is that it stands for a
// class of characters.
func (m *matcher) escape(s, p int) (end, next int) {
	if p >= len(m.pat) {
		return s, 0
	}
	switch c := m.pat[p]; {
	case c == 'b':
		return m.balance(s, p+1), p + 3
	case c == 'f':
		next, ok := m.frontier(s, p+1)
		if !ok {
			return noMatch, 0
		}
		return s, next
	case c >= '0' && c <= '9':
		return m.backReference(s, c), p + 1
	}
	return s, 0
}

func (m *matcher) maxExpand(s, p, end, least int) int {
	n := 0
	for m.single(s+n, p, end) {
		m.step()
		n++
	}
	for ; n >= least; n-- {
		m.step()
		if e := m.match(s+n, end+1); e != noMatch {
			return e
		}
	}
	return noMatch
}

func (m *matcher) minExpand(s, p, end int) int {
	for {
		m.step()
		if e := m.match(s, end+1); e != noMatch {
			return e
		}
		if !m.single(s, p, end) {
			return noMatch
		}
		s++
	}
}

func (m *matcher) startCapture(s, p, size int) int {
	if m.level >= maxCaptures {
		m.fail("too many captures")
	}
	m.captures[m.level].init, m.captures[m.level].size = s, size
	m.level++
	e := m.match(s, p)
	if e == noMatch {
		m.level--
	}
	return e
}

func (m *matcher) endCapture(s, p int) int {
	open := -1
	for i := m.level - 1; i >= 0; i-- {
		if m.captures[i].size == captureUnfinished {
			open = i
			break
		}
	}
	if open < 0 {
		m.fail("invalid pattern capture")
	}
	m.captures[open].size = s - m.captures[open].init
	e := m.match(s, p)
	if e == noMatch {
		m.captures[open].size = captureUnfinished
	}
	return e
}

// balance matches %bxy, whose x is pat[p].
func (m *matcher) balance(s, p int) int {
	if p+1 >= len(m.pat) {
		m.fail("unbalanced pattern")
	}
	if s >= len(m.src) || m.src[s] != m.pat[p] {
		return noMatch
	}
	depth := 1
	for i := s + 1; i < len(m.src); i++ {
		m.step()
		switch m.src[i] {
		case m.pat[p+1]:
			if depth--; depth == 0 {
				return i + 1
			}
		case m.pat[p]:
			depth++
		}
	}
	return noMatch
}

// frontier matches %f[set], whose [ is pat[p], and returns where it ends.
func (m *matcher) frontier(s, p int) (int, bool) {
	if p >= len(m.pat) || m.pat[p] != '[' {
		m.fail("missing '[' after '%f' in pattern")
	}
	end := m.classEnd(p)
	var before, here byte
	if s > 0 {
		before = m.src[s-1]
	}
	if s < len(m.src) {
		here = m.src[s]
	}
	return end, !m.inSet(before, p, end-1) && m.inSet(here, p, end-1)
}

// backReference matches what a capture has matched.
func (m *matcher) backReference(s int, digit byte) int {
	i := int(digit) - '1'
	if i < 0 || i >= m.level || m.captures[i].size == captureUnfinished {
		m.fail("invalid capture index")
	}
	captured := m.captures[i]
	if captured.size < 0 || len(m.src)-s < captured.size {
		return noMatch
	}
	m.steps += captured.size / 16
	if m.src[s:s+captured.size] != m.src[captured.init:captured.init+captured.size] {
		return noMatch
	}
	return s + captured.size
}

// capture is value i of a match of src[s:e], charged.
func (m *matcher) capture(i, s, e int) glua.LValue {
	text, position := m.captured(i, s, e)
	if position > 0 {
		vm.RunOf(m.L).Charge(m.L, 16)
		return glua.LNumber(position)
	}
	return vm.Part(m.L, m.src, text)
}

// captured is value i of a match of src[s:e]: a position, if that isn't 0, or
// a part of src.
func (m *matcher) captured(i, s, e int) (text string, position int) {
	if i >= m.level {
		if i > 0 {
			m.fail("invalid capture index")
		}
		return m.src[s:e], 0
	}
	switch captured := m.captures[i]; captured.size {
	case capturePosition:
		return "", captured.init + 1
	case captureUnfinished:
		m.fail("unfinished capture")
		return "", 0
	default:
		return m.src[captured.init : captured.init+captured.size], 0
	}
}

// push pushes the captures of a match of src[s:e], or all of it if whole is
// set and there are none, and returns how many they are.
func (m *matcher) push(s, e int, whole bool) int {
	n := m.level
	if n == 0 && whole {
		n = 1
	}
	for i := range n {
		m.L.Push(m.capture(i, s, e))
	}
	return n
}

// plainIndex is strings.Index, counted.
func plainIndex(L *glua.LState, s, what string) int {
	i := strings.Index(s, what)
	n := i
	if n < 0 {
		n = len(s)
	}
	vm.RunOf(L).Spend(L, min((n+len(what))/16, math.MaxInt32))
	return i
}
