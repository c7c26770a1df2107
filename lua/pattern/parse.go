package pattern

import (
	"fmt"
	"strings"
)

const (
	// MaxLength is the greatest length of a pattern in bytes.
	MaxLength = 4096
	// MaxParams is the greatest number of parameters of a pattern, the
	// catch-all included.
	MaxParams = 16
	// MaxSegments is the greatest number of segments of a pattern.
	MaxSegments = 64
	// maxName is the greatest length of a parameter's name in bytes.
	maxName = 64
)

// SyntaxError says what is wrong with a pattern.
type SyntaxError struct {
	Pattern string
	Offset  int    // in bytes, from the pattern's beginning
	Problem string // what was found and what was expected
}

func (e *SyntaxError) Error() string {
	shown := e.Pattern
	if len(shown) > 200 {
		shown = shown[:200] + "…"
	}
	said := fmt.Sprintf("pattern %q, offset %d: %s", shown, e.Offset, e.Problem)
	if meant := Meant(e.Pattern); meant != "" {
		said += fmt.Sprintf(" (did you mean %q?)", meant)
	}
	return said
}

// Parse compiles a pattern. The error is a *SyntaxError. It takes time and
// memory in proportion to the pattern's length, and for regexps to what they
// compile to: at most about a millisecond for each of [MaxRegexpSize].
func Parse(s string) (*Pattern, error) { return parse(s, nil) }

// parse compiles a pattern. Its regexps are taken from tests if they are there.
func parse(s string, tests map[string]*test) (*Pattern, error) {
	r := &reader{text: s, tests: tests, pattern: &Pattern{text: s}}
	if err := r.read(); err != nil {
		return nil, err
	}
	return r.pattern, nil
}

// reader reads one pattern from the left.
type reader struct {
	text    string
	at      int // the next byte
	tests   map[string]*test
	pattern *Pattern
}

func (r *reader) read() error {
	switch {
	case len(r.text) > MaxLength:
		return r.fault(MaxLength, "the pattern is %d bytes long, expected at most %d", len(r.text), MaxLength)
	case r.text == "":
		return r.fault(0, `the pattern is empty, expected one that begins with "/"`)
	case r.text[0] != '/':
		return r.fault(0, `the pattern begins with %q, expected "/"`, r.text[:1])
	}
	for r.at < len(r.text) {
		if len(r.pattern.segments) == MaxSegments {
			return r.fault(r.at, "the pattern has more than %d segments", MaxSegments)
		}
		r.at++ // the slash
		s, err := r.segment()
		if err != nil {
			return err
		}
		r.pattern.segments = append(r.pattern.segments, s)
	}
	return nil
}

// segment reads up to the next slash that isn't in braces, or the end.
func (r *reader) segment() (*segment, error) {
	s, start := new(segment), r.at
	literal := r.at // where the current literal begins
	// close ends it before a hole; after a hole it may not be empty.
	closeLiteral := func() error {
		text := r.text[literal:r.at]
		switch n := len(s.holes); {
		case n == 0:
			s.prefix = text
		case text == "" && r.at < len(r.text) && r.text[r.at] != '/':
			return r.fault(r.at, "a parameter follows another at once, expected a literal between them")
		default:
			s.holes[n-1].after, s.holes[n-1].bytes = text, []byte(text)
		}
		return nil
	}
	for r.at < len(r.text) && r.text[r.at] != '/' {
		switch r.text[r.at] {
		case '{':
			if err := closeLiteral(); err != nil {
				return nil, err
			}
			h, err := r.hole()
			if err != nil {
				return nil, err
			}
			s.holes = append(s.holes, h)
			literal = r.at
		case '*':
			if r.at != len(r.text)-1 {
				return nil, r.fault(r.at, `"*" stands before the end, expected it last, or a {parameter}`)
			}
			if err := closeLiteral(); err != nil {
				return nil, err
			}
			s.rest = true
			err := r.name(r.at, "*")
			r.at++
			s.shape = shapeOf(s)
			return s, err
		default:
			if err := r.literalByte(); err != nil {
				return nil, err
			}
		}
	}
	if err := closeLiteral(); err != nil {
		return nil, err
	}
	s.shape = shapeOf(s)
	return s, r.checkSegment(s, start)
}

// checkSegment refuses literal segments that no canonical path has.
func (r *reader) checkSegment(s *segment, start int) error {
	if !s.literal() {
		return nil
	}
	switch {
	case s.prefix == "" && r.at < len(r.text):
		return r.fault(start, `an empty segment never matches, expected no "//"`)
	case s.prefix == "." || s.prefix == "..":
		return r.fault(start, "a dot segment never matches: it is resolved before patterns are compared")
	}
	return nil
}

// literalByte takes one byte, or one escape, of a literal.
func (r *reader) literalByte() error {
	switch c := r.text[r.at]; {
	case c == '}':
		return r.fault(r.at, `"}" closes nothing, expected a "{" before it`)
	case c == '?':
		return r.fault(r.at, `"?" never matches, expected a path without the query`)
	case c == '#':
		return r.fault(r.at, `"#" never matches, expected a path without a fragment`)
	case c == ';':
		return r.fault(r.at, `";" never matches: %s`, noParameters)
	case c == '\\':
		return r.fault(r.at, "%q never matches: such paths are refused, and where it is encoded they are compared as if it were a slash, expected one", `\`)
	case c == '%':
		return r.escape()
	case c <= ' ' || c >= 0x7F || strings.IndexByte("\"<>[]^`|", c) >= 0:
		return r.fault(r.at, "%q never matches, expected it percent-encoded, as paths have it: %%%02X", r.text[r.at:r.at+1], c)
	}
	r.at++
	return nil
}

// pathMarks are what paths may have besides letters, digits and "-._~" (pchar of RFC
// 3986 §3.3); they are decoded before paths are compared.
const pathMarks = "!$&'()*+,=:@"

const noParameters = "what follows a semicolon in a segment is left out when paths are compared, expected the path without"

// escape takes %XX in the one form that paths have when they are compared.
func (r *reader) escape() error {
	const digits = "0123456789ABCDEF"
	high, low := -1, -1
	if r.at+2 < len(r.text) {
		high = strings.IndexByte(digits, r.text[r.at+1])
		low = strings.IndexByte(digits, r.text[r.at+2])
	}
	if high < 0 || low < 0 {
		return r.fault(r.at, `"%%" is not followed by two upper-case hexadecimal digits, expected an escape such as %%2C`)
	}
	written := r.text[r.at : r.at+3]
	switch c := byte(high<<4 | low); { //nolint:gosec // two digits make a byte
	case c < ' ' || c == 0x7F:
		return r.fault(r.at, "an escaped control character never matches: such paths are refused")
	case c == '/' || c == '\\':
		return r.fault(r.at, "%q never matches: paths are compared as if it were a slash, expected one", written)
	case c == ';':
		return r.fault(r.at, "%q never matches: %s", written, noParameters)
	case c == '*':
		return r.fault(r.at, "%q never matches, expected a regular expression such as {star:[*]}", written)
	case isNameByte(c) || c == '~' || strings.IndexByte(pathMarks, c) >= 0:
		return r.fault(r.at, "%q never matches, expected the character itself: %c", written, c)
	}
	r.at += 3
	return nil
}

// hole reads a parameter in braces; the literal behind it is left to segment.
func (r *reader) hole() (hole, error) {
	open := r.at
	closing := closingBrace(r.text, open)
	if closing < 0 {
		return hole{}, r.fault(open, `this "{" is never closed, expected a "}"`)
	}
	name, source, judged := strings.Cut(r.text[open+1:closing], ":")
	for i := range len(name) {
		if !isNameByte(name[i]) {
			return hole{}, r.fault(open+1+i, `the parameter's name has %q in it, expected letters, digits, "_", "-" or "."`, name[i:i+1])
		}
	}
	if err := r.name(open+1, name); err != nil {
		return hole{}, err
	}
	r.at = closing + 1
	if !judged {
		return hole{}, nil
	}
	t := r.tests[source]
	if t == nil {
		var err error
		if t, err = compileTest(source); err != nil {
			return hole{}, r.fault(open+len(name)+2, "%s", err.Error())
		}
	}
	r.pattern.program += t.size
	return hole{test: t}, nil
}

// closingBrace returns where the brace at open is closed; braces in between
// are pairs, as in [0-9]{4}, or stand after a backslash. -1: nowhere.
func closingBrace(text string, open int) int {
	depth := 0
	for i := open; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// name adds the name of a parameter that stands at offset.
func (r *reader) name(offset int, name string) error {
	switch {
	case name == "":
		return r.fault(offset, "the parameter has no name, expected {name} or {name:regexp}")
	case len(name) > maxName:
		return r.fault(offset, "the parameter's name is %d bytes long, expected at most %d", len(name), maxName)
	case len(r.pattern.names) == MaxParams:
		return r.fault(offset, "the pattern has more than %d parameters", MaxParams)
	}
	for _, other := range r.pattern.names {
		if other == name {
			return r.fault(offset, "the parameter %q stands twice, expected another name", name)
		}
	}
	r.pattern.names = append(r.pattern.names, name)
	return nil
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.'
}

func (r *reader) fault(offset int, format string, values ...any) error {
	return &SyntaxError{Pattern: r.text, Offset: offset, Problem: fmt.Sprintf(format, values...)}
}
