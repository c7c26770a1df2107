package policy

import (
	"bytes"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

// Glob is a pattern in which "*" stands for any text; the rest is compared without
// ASCII case. It takes time proportional to the text and the pattern, whatever they are.
type Glob struct {
	parts  [][]byte // between the "*", in lower case
	source string
}

// NewGlob compiles a pattern.
func NewGlob(pattern string) Glob {
	return Glob{bytes.Split(lower([]byte(pattern)), []byte("*")), pattern}
}

// NewExactGlob compiles a pattern that is compared with texts as they are.
func NewExactGlob(pattern string) Glob {
	return Glob{bytes.Split([]byte(pattern), []byte("*")), pattern}
}

func (g *Glob) String() string { return g.source }

// Match reports whether a text is one of the pattern's: one in lower case, unless the
// pattern is exact. The parts in the
// middle are looked for from the left: the first place where one stands leaves most to
// those behind it.
func (g *Glob) Match(text []byte) bool {
	first, last := g.parts[0], g.parts[len(g.parts)-1]
	if len(g.parts) == 1 {
		return bytes.Equal(text, first)
	}
	rest, ok := bytes.CutPrefix(text, first)
	if !ok {
		return false
	}
	if rest, ok = bytes.CutSuffix(rest, last); !ok {
		return false
	}
	for _, part := range g.parts[1 : len(g.parts)-1] {
		i := bytes.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return true
}

// Globs are patterns, compiled.
type Globs []Glob

// NewGlobs compiles a list of patterns.
func NewGlobs(list []string) (globs Globs) {
	for _, pattern := range list {
		globs = append(globs, NewGlob(pattern))
	}
	return globs
}

// Find returns the first pattern that a text in lower case is one of; nil is none.
func (g Globs) Find(text []byte) *Glob {
	for i := range g {
		if g[i].Match(text) {
			return &g[i]
		}
	}
	return nil
}

// Bounds of a list of patterns.
const (
	maxGlobs = 1000
	maxGlob  = 256
	maxStars = 8
)

// CheckGlobs reports what is wrong with a list of patterns.
func CheckGlobs(r settings.Reporter, key string, list *[]string) {
	if *list != nil && len(*list) == 0 || len(*list) > maxGlobs {
		r.Errorf(list, "%s has %d patterns, expected 1 to %d", key, len(*list), maxGlobs)
	}
	for i := range *list {
		if p := (*list)[i]; p == "" || len(p) > maxGlob || strings.Count(p, "*") > maxStars {
			r.Errorf(&(*list)[i], "%s has %.100q, expected a text of 1 to %d bytes with at most %d \"*\"", key, p, maxGlob, maxStars)
		}
	}
}

// Lower returns a text in lower case, in the request's memory, or as it is.
func (r *Request) Lower(text []byte) []byte {
	if bytes.IndexFunc(text, func(c rune) bool { return 'A' <= c && c <= 'Z' }) < 0 {
		return text
	}
	return lower(r.Append(func(dst []byte) []byte { return append(dst, text...) }))
}

// lower makes a text one in lower case, in place, as far as it is ASCII.
func lower(text []byte) []byte {
	for i, c := range text {
		if 'A' <= c && c <= 'Z' {
			text[i] = c | 0x20
		}
	}
	return text
}
