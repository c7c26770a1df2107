package modules

import (
	"io"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// reMaxSteps bounds one search: the length of what is searched by the size of
// the pattern's program, which is how often the matcher may have to look. At
// the slowest, some 6 ns a step, that is 0.2 s, during which the clock is not
// looked at.
const reMaxSteps = 32 << 20

// reSubject is a string in which a pattern is searched.
type reSubject struct {
	L   *glua.LState
	run *vm.Run
	s   string
	p   *rePattern

	slowly bool // by a reader
}

func newRESubject(L *glua.LState, s string, p *rePattern) *reSubject {
	return &reSubject{L: L, run: vm.RunOf(L), s: s, p: p}
}

// search finds the first match from pos on, as pairs of indices: of the match,
// and of each capture. What precedes pos counts for ^ and \b.
//
// A search costs what it took, because the bound is nearly never reached: it
// is what searching costs at most that can't be exceeded.
func (s *reSubject) search(pos int) []int {
	steps := (len(s.s) - pos + 1) * s.p.insts
	if s.p.literal != "" && steps > 1024 {
		return s.findLiteral(pos)
	}
	if steps > reMaxSteps {
		s.L.RaiseError("the string of %d bytes is too long for so large a pattern", len(s.s)-pos)
	}
	s.run.Charge(s.L, 64+16*s.p.captures)
	if steps <= 1024 {
		// Not worth two looks at the clock.
		m := s.find(pos)
		s.run.Spend(s.L, 5+steps/16)
		return m
	}
	if steps > reLongSteps {
		return s.findSlowly(pos)
	}
	start := time.Now()
	m := s.find(pos)
	took := int(time.Since(start) / (20 * time.Nanosecond))
	s.run.Spend(s.L, min(took, steps)+1)
	return m
}

// reLongSteps is from how many steps on a search must be interruptible: at 6 ns
// a step, 9 ms.
const reLongSteps = 3 << 19

// findLiteral finds a string, a part of the subject at a time.
func (s *reSubject) findLiteral(pos int) []int {
	const part = 16 << 10
	s.run.Charge(s.L, 64)
	for ; pos+len(s.p.literal) <= len(s.s); pos += part {
		s.run.Spend(s.L, part/16)
		if i := strings.Index(s.s[pos:min(len(s.s), pos+part+len(s.p.literal)-1)], s.p.literal); i >= 0 {
			return []int{pos + i, pos + i + len(s.p.literal)}
		}
	}
	return nil
}

// findSlowly is find by a reader, which can end the run between any two
// characters.
func (s *reSubject) findSlowly(pos int) []int {
	s.slowly = true
	defer func() { s.slowly = false }()
	return s.find(pos)
}

// match runs the matcher.
func (s *reSubject) match(re *regexp.Regexp, text string) []int {
	if !s.slowly {
		return re.FindStringSubmatchIndex(text)
	}
	return re.FindReaderSubmatchIndex(&reReader{subject: s, text: text})
}

// reReader reads a text, a character at a time, and counts each as all the steps
// that the matcher may take for it.
type reReader struct {
	subject *reSubject
	text    string
	pos     int
	owed    int
}

func (r *reReader) ReadRune() (c rune, size int, err error) {
	if r.pos == len(r.text) {
		return 0, 0, io.EOF
	}
	if c, size = rune(r.text[r.pos]), 1; c >= utf8.RuneSelf {
		c, size = utf8.DecodeRuneInString(r.text[r.pos:])
	}
	r.pos += size
	if r.owed += 2; r.owed >= 1024 {
		r.subject.run.Spend(r.subject.L, r.owed)
		r.owed = 0
	}
	return c, size, nil
}

func (s *reSubject) find(pos int) []int {
	if pos == 0 {
		return s.match(s.p.re, s.s)
	}
	re, from, group := s.p.re, pos, 0
	if s.p.looksBack {
		// The variant of the pattern takes the character before pos first.
		_, size := utf8.DecodeLastRuneInString(s.s[:pos])
		re, from, group = s.p.afterCharacter(s.L), pos-size, 1
	}
	m := s.match(re, s.s[from:])
	if m == nil {
		return nil
	}
	m = m[2*group:]
	for i := range m {
		if m[i] >= 0 {
			m[i] += from
		}
	}
	return m
}

// pushCaptures pushes the captures of a match, or all of it, and returns their
// number.
func (s *reSubject) pushCaptures(m []int) int {
	first := min(1, len(m)/2-1)
	for i := first; i < len(m)/2; i++ {
		s.L.Push(s.capture(m, i))
	}
	return len(m)/2 - first
}

// capture is a capture of a match, or nil; 0 is all of it.
func (s *reSubject) capture(m []int, i int) glua.LValue {
	if m[2*i] < 0 {
		return glua.LNil
	}
	return vm.Part(s.L, s.s, s.s[m[2*i]:m[2*i+1]])
}

// reMatches goes through the matches that don't overlap, as Go's FindAll does:
// an empty match right behind another match doesn't count.
type reMatches struct {
	subject *reSubject
	pos     int
	end     int // of the match before, -1 without one
}

func (r *reMatches) next() []int {
	s := r.subject.s
	for r.pos <= len(s) {
		m := r.subject.search(r.pos)
		if m == nil {
			r.pos = len(s) + 1
			break
		}
		accept := true
		if m[1] == r.pos {
			accept = m[0] != r.end
			_, size := utf8.DecodeRuneInString(s[r.pos:])
			r.pos += max(size, 1)
		} else {
			r.pos = m[1]
		}
		if r.end = m[1]; accept {
			return m
		}
	}
	return nil
}
