package pattern

import (
	"bytes"
	"strings"
)

// Pattern is one compiled pattern. It is immutable; any number of goroutines
// may use it at once.
type Pattern struct {
	text     string
	segments []*segment
	names    []string
	program  int // instructions of all regexps, about
}

// String returns the pattern as it was written.
func (p *Pattern) String() string { return p.text }

// Names returns the parameters' names in order, "*" for the catch-all. They
// must not be changed.
func (p *Pattern) Names() []string { return p.names }

// Shape is the same for all patterns that match the same paths: it has no names.
func (p *Pattern) Shape() string {
	var b strings.Builder
	for _, s := range p.segments {
		b.WriteByte('/')
		b.WriteString(s.shape)
	}
	return b.String()
}

// Covers reports whether the pattern matches every path that another one does. It may
// say no where regexps would have to be compared.
func (p *Pattern) Covers(other *Pattern) bool {
	for i, s := range p.segments {
		switch {
		case i >= len(other.segments):
			return false
		case s.rest && s.prefix == "" && len(s.holes) == 0:
			return true
		case !s.covers(other.segments[i]):
			return false
		}
	}
	return len(p.segments) == len(other.segments)
}

// Size estimates the memory that the pattern holds, in bytes, to be charged to
// the script that declared it.
func (p *Pattern) Size() int {
	return 256 + 4*len(p.text) + 96*len(p.segments) + 128*p.program
}

// Match says whether the whole of path matches: [Found], [NotFound] or
// [Exhausted]. What params held before is overwritten.
func (p *Pattern) Match(path []byte, params *Params) Outcome {
	params.begin(path)
	return p.finish(params, walk(params, p.segments) == len(path))
}

// MatchPrefix says whether path lies in the scope of the pattern: whether it
// matches, or some of its leading segments do. n is the length of what
// matched; path[n:] is empty or begins with a slash. A trailing slash of the
// pattern isn't part of what matched, but path must have it: "/" is the scope
// of every path, with n = 0, and "/v1/" that of all below /v1 except /v1. A
// catch-all takes the rest, as in Match.
func (p *Pattern) MatchPrefix(path []byte, params *Params) (n int, outcome Outcome) {
	params.begin(path)
	segments := p.segments
	last := segments[len(segments)-1]
	slash := last.literal() && last.prefix == ""
	if slash {
		segments = segments[:len(segments)-1]
	}
	n = walk(params, segments)
	ok := n >= 0 && len(path) > 0 && path[0] == '/' && (!slash || n < len(path))
	if outcome = p.finish(params, ok); outcome != Found {
		n = 0
	}
	return n, outcome
}

// walk matches segments with the leading ones of the path. It returns where
// the last one ended, -1 if one didn't match.
func walk(params *Params, segments []*segment) (stop int) {
	path := params.path
	for _, s := range segments {
		if stop >= len(path) || path[stop] != '/' {
			return -1
		}
		var ok bool
		if stop, ok = s.match(params, stop+1, segmentEnd(path, stop+1)); !ok {
			return -1
		}
	}
	return stop
}

func (p *Pattern) finish(params *Params, ok bool) Outcome {
	switch {
	case params.exhausted():
		params.fail()
		return Exhausted
	case !ok:
		params.fail()
		return NotFound
	}
	params.end(p.names)
	return Found
}

// segmentEnd returns where the segment that begins at from ends.
func segmentEnd(path []byte, from int) int {
	if i := bytes.IndexByte(path[from:], '/'); i >= 0 {
		return from + i
	}
	return len(path)
}

// Join returns the patterns that pattern stands for inside the scope prefix, as
// in chi's Route(prefix) followed by Get(pattern). Usually it is one: "/v1" and
// "/users" make /v1/users. As the scope's root is both /v1 and /v1/, there are
// two for "/" (/v1, then /v1/) and for "/*" (/v1/*, then /v1, where there is no
// parameter "*"). A prefix that ends with a slash excludes the path without it,
// as in chi: "/v1/" and "/" make /v1/ alone. The first one names the route; if
// pattern is a prefix itself, the first one is the joined prefix.
//
// Join checks nothing: if one of the two is wrong, so is the result, and Parse
// says how.
func Join(prefix, pattern string) []string {
	if prefix == "" || prefix == "/" || !strings.HasPrefix(pattern, "/") {
		return []string{pattern}
	}
	base, slash := strings.CutSuffix(prefix, "/")
	switch {
	case slash:
		return []string{base + pattern}
	case pattern == "/":
		return []string{base, base + "/"}
	case pattern == "/*":
		return []string{base + "/*", base}
	}
	return []string{base + pattern}
}
