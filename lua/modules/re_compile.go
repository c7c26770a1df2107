package modules

import (
	"container/list"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// The bounds of patterns, and of what a VM keeps of them.
const (
	reMaxPattern  = 4 << 10 // bytes of text
	reMaxInsts    = 10_000  // instructions of the program
	reMaxCaptures = 64
	reMaxClasses  = 64 // \p, each of which may be 6 KB
	reMaxFolds    = 8  // ranges of many characters that are folded one by one
	reCacheLen    = 256
	reCacheBytes  = 2 << 20
)

// rePattern is a compiled pattern. It may be used by many runs of its VM.
type rePattern struct {
	re       *regexp.Regexp
	after    *regexp.Regexp // see afterCharacter; nil until it is needed
	text     string
	cost     int    // of compiling it, in instructions
	insts    int    // of its program, about
	bytes    int    // that it takes, about
	captures int    // without the whole match
	literal  string // what it is, if it is only a string: searching it needs no program
	// looksBack says that what precedes a match matters: ^, \b.
	looksBack bool
}

// Size is what it may come to take, with what afterCharacter makes; vm.Sized.
func (p *rePattern) Size() int {
	if p.looksBack {
		return 2 * p.bytes
	}
	return p.bytes
}

const reAfter = `\A(?s:.)(?s:.*?)(`

// afterCharacter returns the pattern for texts that begin with one character
// that is not searched, but counts for ^ and \b. The match is its group 1.
func (p *rePattern) afterCharacter(L *glua.LState) *regexp.Regexp {
	if p.after == nil {
		run := vm.RunOf(L)
		run.Charge(L, p.bytes)
		run.Spend(L, p.cost+20*p.insts)
		after, err := regexp.Compile(reAfter + p.text + `)`)
		if err != nil {
			// It may have a \Q without an end.
			after, err = regexp.Compile(reAfter + p.text + `\E)`)
		}
		if err != nil {
			L.RaiseError("the pattern is too large to be searched for again")
		}
		p.after = after
	}
	return p.after
}

// reParse compiles a pattern, after finding out how large it would become.
func reParse(L *glua.LState, text string) (*rePattern, error) {
	if len(text) > reMaxPattern {
		return nil, fmt.Errorf("the pattern is longer than %d bytes", reMaxPattern)
	}
	run := vm.RunOf(L)
	classes := strings.Count(text, `\p`) + strings.Count(text, `\P`)
	folds := reFolds(text)
	if classes > reMaxClasses || folds > reMaxFolds {
		return nil, errors.New("the pattern has too many classes of characters")
	}
	run.Charge(L, 64*len(text)+20_000*classes)
	cost := 100 + 10*len(text) + 10_000*classes + 250_000*folds
	run.Spend(L, cost)
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, reReason(err)
	}
	var size reSize
	if size.add(parsed, 1); size.insts > reMaxInsts {
		return nil, errors.New("the pattern is too large")
	}
	if parsed.MaxCap() > reMaxCaptures {
		return nil, fmt.Errorf("the pattern has more than %d captures", reMaxCaptures)
	}
	text = strings.Clone(text) // it is kept, and may be a part of a long string
	p := &rePattern{
		text: text, cost: cost, insts: size.insts + 2, bytes: 1000 + len(text) + 100*size.insts + 8*size.runes,
		captures: parsed.MaxCap(), looksBack: size.looksBack,
	}
	if parsed.Op == syntax.OpLiteral && parsed.Flags&syntax.FoldCase == 0 {
		p.literal = string(parsed.Rune)
	}
	run.Charge(L, p.bytes)
	run.Spend(L, 20*p.insts+size.runes/8)
	if p.re, err = regexp.Compile(text); err != nil {
		return nil, reReason(err)
	}
	return p, nil
}

// reReason is what is wrong with a pattern, in bounded length.
func reReason(err error) error {
	var bad *syntax.Error
	if !errors.As(err, &bad) {
		return errors.New("the pattern is invalid")
	}
	return fmt.Errorf("%s in the pattern: %.64q", string(bad.Code), bad.Expr)
}

// reFolds counts the ranges that a parser that ignores case may walk through
// character by character, for milliseconds each: those beyond ASCII.
func reFolds(text string) int {
	if !strings.Contains(text, "(?") {
		return 0
	}
	n := 0
	for i := 0; i+1 < len(text); i++ {
		if text[i] == '-' && (text[i+1] >= utf8.RuneSelf || text[i+1] == '\\') {
			n++
		}
	}
	return n
}

// reSize is how large the program of a pattern becomes.
type reSize struct {
	insts, runes int
	looksBack    bool
}

// add counts re, which is repeated so many times.
func (s *reSize) add(re *syntax.Regexp, times int) {
	if s.insts > reMaxInsts {
		return
	}
	own := 1
	switch re.Op {
	case syntax.OpLiteral:
		own = len(re.Rune)
	case syntax.OpCharClass:
		s.runes += len(re.Rune)
	case syntax.OpCapture:
		own = 2
	case syntax.OpRepeat:
		own = max(re.Max, re.Min) + 1
	case syntax.OpBeginLine, syntax.OpBeginText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		s.looksBack = true
	}
	s.insts += own * times
	if re.Op == syntax.OpRepeat {
		times *= max(re.Max, re.Min+1)
	}
	for _, sub := range re.Sub {
		s.add(sub, times)
	}
}

// reCache keeps the patterns that were used last. It belongs to one VM.
type reCache struct {
	byText map[string]*list.Element
	recent list.List // of *rePattern, the last used first
	bytes  int
}

func (c *reCache) get(L *glua.LState, text string) (*rePattern, error) {
	if e := c.byText[text]; e != nil {
		c.recent.MoveToFront(e)
		p, _ := e.Value.(*rePattern)
		return p, nil
	}
	p, err := reParse(L, text)
	if err != nil {
		return nil, err
	}
	c.put(p)
	return p, nil
}

func (c *reCache) put(p *rePattern) {
	if c.byText == nil {
		c.byText = map[string]*list.Element{}
	}
	if c.byText[p.text] != nil {
		return // another run has compiled it while this one was paused
	}
	c.byText[p.text] = c.recent.PushFront(p)
	c.bytes += p.Size()
	for last := c.recent.Back(); c.recent.Len() > reCacheLen || c.bytes > reCacheBytes && c.recent.Len() > 1; last = c.recent.Back() {
		old, _ := c.recent.Remove(last).(*rePattern)
		delete(c.byText, old.text)
		c.bytes -= old.Size()
	}
}
