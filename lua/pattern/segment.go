package pattern

import (
	"bytes"
	"cmp"
	"strings"
)

// segment is a pattern's part between two slashes, compiled. It is immutable.
type segment struct {
	prefix string // literal before the first hole; all of a literal segment
	holes  []hole // parameters
	rest   bool   // a catch-all ends the segment and the pattern
	shape  string // the text without names: equal for segments that match alike
}

// hole is a parameter and the literal behind it, which is empty only when
// neither a hole nor a catch-all follows.
type hole struct {
	test  *test // nil: any value
	after string
	bytes []byte // after, for searching
}

// literal says that the segment matches just its prefix.
func (s *segment) literal() bool { return len(s.holes) == 0 && !s.rest }

// match captures the parameters of path[from:end], which is a whole segment of
// the path. stop is where the match ends in the path: end, or for a catch-all
// the end of the path. After a failure some values may have been captured.
func (s *segment) match(p *Params, from, end int) (stop int, ok bool) {
	path := p.path
	if !p.spend(1) || end-from < len(s.prefix) || string(path[from:from+len(s.prefix)]) != s.prefix {
		return 0, false
	}
	from += len(s.prefix)
	last := len(s.holes) - 1
	for i := range s.holes {
		h := &s.holes[i]
		var next int
		if i == last && !s.rest {
			stop, next = end-len(h.after), end
			if stop <= from || string(path[stop:end]) != h.after {
				return 0, false
			}
		} else {
			at := find(p, from, end, h.bytes)
			if at < 0 {
				return 0, false
			}
			stop, next = at, at+len(h.after)
		}
		if h.test != nil && !h.test.match(p, path[from:stop]) {
			return 0, false
		}
		p.push(from, stop)
		from = next
	}
	if s.rest {
		p.push(from, len(path))
		return len(path), true
	}
	return end, len(s.holes) > 0 || from == end
}

// find returns where in path[from:end] literal begins, leaving at least one
// byte before it; -1 if nowhere. bytes.Index is linear at the worst.
func find(p *Params, from, end int, literal []byte) int {
	if end-from < 1+len(literal) || !p.spend((end-from)>>3) {
		return -1
	}
	i := bytes.Index(p.path[from+1:end], literal)
	if i < 0 {
		return -1
	}
	return from + 1 + i
}

// rank orders segments with holes at one place of a table: negative if a is
// tried before b, 0 if the one added first is.
func rank(a, b *segment) int {
	if c := cmp.Compare(len(b.prefix), len(a.prefix)); c != 0 {
		return c
	}
	for i := 0; ; i++ {
		kindA, kindB := a.kind(i), b.kind(i)
		if c := cmp.Compare(kindA, kindB); c != 0 || kindA == isEnd || kindA == isRest {
			return c
		}
		if c := cmp.Compare(len(b.holes[i].after), len(a.holes[i].after)); c != 0 {
			return c
		}
	}
}

// What may follow a literal in a segment, in the order in which it is tried.
const (
	isEnd = iota
	isRegexp
	isPlain
	isRest
)

// kind says what follows the segment's i-th literal.
func (s *segment) kind(i int) int {
	switch {
	case i < len(s.holes) && s.holes[i].test != nil:
		return isRegexp
	case i < len(s.holes):
		return isPlain
	case s.rest:
		return isRest
	}
	return isEnd
}

// shapeOf renders the segment without names. Literals have no braces and no
// asterisks, so that two shapes are equal only for equal segments.
func shapeOf(s *segment) string {
	if s.literal() {
		return s.prefix
	}
	var b strings.Builder
	b.WriteString(s.prefix)
	for _, h := range s.holes {
		b.WriteByte('{')
		if h.test != nil {
			b.WriteByte(':')
			b.WriteString(h.test.source)
		}
		b.WriteByte('}')
		b.WriteString(h.after)
	}
	if s.rest {
		b.WriteByte('*')
	}
	return b.String()
}
