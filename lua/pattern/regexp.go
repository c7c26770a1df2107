package pattern

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"unicode"
	"unicode/utf8"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

const (
	// MaxRegexp is the greatest length of a parameter's regexp in bytes.
	MaxRegexp = 1024
	// MaxRegexpSize is the greatest number of instructions, about, that a
	// parameter's regexp may compile to. A UUID takes 40, .{500} takes 501.
	MaxRegexpSize = 512
	// overhead is what package regexp does for each byte besides the
	// instructions, counted in these (BenchmarkExhausted).
	overhead = 4
)

// test is a parameter's regexp. It is immutable and shared by all parameters
// of a table with the same source.
type test struct {
	source  string
	set     *byteSet       // not nil: the value matches if all its bytes are in set
	re      *regexp.Regexp // otherwise
	size    int            // instructions, about
	longest int            // no longer value matches, in bytes; -1: no bound
}

// compileTest returns what is wrong with source as an error for the reader of
// the pattern.
func compileTest(source string) (*test, error) {
	if source == "" {
		return nil, fmt.Errorf("the regexp is empty, expected one, or the parameter without the colon")
	}
	if len(source) > MaxRegexp {
		return nil, fmt.Errorf("the regexp is %d bytes long, expected at most %d", len(source), MaxRegexp)
	}
	// Parsed alone first: a)|(b would be fine between the anchors.
	tree, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("the regexp is not valid RE2: %w", cause.Of(err))
	}
	t := &test{source: source, size: programSize(tree), longest: longestMatch(tree)}
	if t.size > MaxRegexpSize {
		return nil, fmt.Errorf("the regexp compiles to about %d instructions, expected at most %d: use smaller counts in {n,m}", t.size, MaxRegexpSize)
	}
	if t.set = setOf(tree); t.set != nil {
		return t, nil
	}
	t.re, err = regexp.Compile(`\A(?:` + source + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("the regexp is not valid RE2: %w", cause.Of(err))
	}
	return t, nil
}

// match says whether the regexp matches all of value, which isn't empty.
func (t *test) match(p *Params, value []byte) bool {
	if t.set != nil {
		return p.spend(len(value)>>3) && t.set.holds(value)
	}
	if t.longest >= 0 && len(value) > t.longest {
		return false
	}
	return p.spend((t.size+overhead)*(len(value)+1)) && t.re.Match(value)
}

// everything says that any value which a canonical path can have matches.
func (t *test) everything() bool {
	if t.set == nil {
		return false
	}
	for c := byte('!'); c <= '~'; c++ {
		if c != '/' && !t.set.has(c) {
			return false
		}
	}
	return true
}

// byteSet is the fast path for what most regexps are, a repeated class such as
// [0-9]+: a tenth of the time of package regexp.
type byteSet [4]uint64

func (s *byteSet) has(c byte) bool { return s[c>>6]>>(c&63)&1 != 0 }
func (s *byteSet) add(c byte)      { s[c>>6] |= 1 << (c & 63) }

func (s *byteSet) holds(value []byte) bool {
	for _, c := range value {
		if !s.has(c) {
			return false
		}
	}
	return true
}

// setOf returns the bytes of a regexp that is one repeated class, or nil. A
// class beyond ASCII qualifies only if it has all of that, since one character
// is then several bytes, and invalid ones count as U+FFFD.
func setOf(re *syntax.Regexp) *byteSet {
	re = bare(re)
	if re.Op != syntax.OpPlus && re.Op != syntax.OpStar {
		return nil
	}
	class := bare(re.Sub[0])
	var runes []rune
	switch class.Op {
	case syntax.OpCharClass:
		runes = class.Rune
	case syntax.OpLiteral: // never empty
		if len(class.Rune) > 1 || class.Flags&syntax.FoldCase != 0 {
			return nil
		}
		runes = []rune{class.Rune[0], class.Rune[0]}
	case syntax.OpAnyChar:
		runes = []rune{0, unicode.MaxRune}
	case syntax.OpAnyCharNotNL:
		runes = []rune{0, '\n' - 1, '\n' + 1, unicode.MaxRune}
	default:
		return nil
	}
	set := new(byteSet)
	for i := 0; i+1 < len(runes); i += 2 {
		low, high := runes[i], runes[i+1]
		if high >= utf8.RuneSelf && (low > utf8.RuneSelf || high != unicode.MaxRune) {
			return nil
		}
		for c := low; c <= min(high, 0xFF); c++ {
			set.add(byte(c)) //nolint:gosec // c is at most 0xFF
		}
	}
	return set
}

// bare strips groups, and the ^ and $ that scripts written for chi have: a
// value is matched as a whole anyway.
func bare(re *syntax.Regexp) *syntax.Regexp {
	for {
		switch {
		case re.Op == syntax.OpCapture:
			re = re.Sub[0]
		case re.Op == syntax.OpConcat && len(re.Sub) == 3 &&
			re.Sub[0].Op == syntax.OpBeginText && re.Sub[2].Op == syntax.OpEndText:
			re = re.Sub[1]
		default:
			return re
		}
	}
}

// programSize estimates, before the counts of {n,m} are expanded, how many
// instructions re compiles to. Package syntax bounds the counts' product at
// 1,000 and the length of the source is bounded, so nothing overflows.
func programSize(re *syntax.Regexp) int {
	size := 1
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune)
	case syntax.OpCharClass:
		return 1 + len(re.Rune)/16 // \pL has hundreds of ranges
	case syntax.OpRepeat:
		size = 0
	}
	for _, sub := range re.Sub {
		size += programSize(sub)
	}
	if re.Op != syntax.OpRepeat {
		return size
	}
	if re.Max < 0 {
		return size*(re.Min+1) + 1
	}
	// Each optional copy has an instruction that skips it.
	return size*max(re.Max, 1) + re.Max - re.Min
}

// longestMatch returns the greatest length in bytes of what re matches, or -1
// if there is none: a 16 KiB segment isn't worth a look whether it is a UUID.
func longestMatch(re *syntax.Regexp) int {
	switch re.Op {
	case syntax.OpLiteral:
		return utf8.UTFMax * len(re.Rune) // another case may be longer
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return utf8.UTFMax
	case syntax.OpStar, syntax.OpPlus:
		return -1
	}
	longest := 0
	for _, sub := range re.Sub {
		switch n := longestMatch(sub); {
		case n < 0:
			return -1
		case re.Op == syntax.OpAlternate:
			longest = max(longest, n)
		default:
			longest += n
		}
	}
	if re.Op == syntax.OpRepeat {
		if re.Max < 0 {
			return -1
		}
		longest *= re.Max
	}
	return longest
}
