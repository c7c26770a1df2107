package modules

import (
	"fmt"
	"strings"
	"unicode/utf8"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// templateParser reads a template's text, and the parts that it names, as one: what
// stands where in the HTML goes on from one to the next.
type templateParser struct {
	L        *glua.LState
	run      *vm.Run
	html     bool
	partials map[string]string
	depth    int
	nodes    int
	texts    int // bytes of all texts that were read
	bytes    int // that the template takes
}

// templateTag is a tag, with what stands before it.
type templateTag struct {
	sigil byte // 0 is a value; '{' and '&' one as it is; '#', '^', '/', '>', '!'
	name  string
	at    templatePlace
}

// templateError is what is wrong with a template, and where.
type templateError struct {
	at   templatePlace
	what string
}

func (e *templateError) Error() string { return e.at.String() + ": " + e.what }

// templateSource is one text while it is read.
type templateSource struct {
	part         string // its name; "" is the template itself
	rest         string
	line, column int
	blank        bool // nothing but blanks stand before it in its line
}

// What a node takes besides its text, in bytes, and is counted as, in instructions.
const (
	templateNodeBytes = 160
	templateNodeWork  = 30
)

func (p *templateParser) parse(text string) ([]templateNode, error) {
	source, err := p.source(text, "", templatePlace{"", 1, 1})
	if err != nil {
		return nil, err
	}
	nodes, err := p.list(source, nil)
	if err != nil || !p.html {
		return nodes, err
	}
	c := &templateContexts{parser: p}
	if _, err = c.walk(nodes, htmlState{}); err != nil {
		return nil, err
	}
	return nodes, nil
}

// source begins to read a text, of which it makes a copy that no script's string keeps.
func (p *templateParser) source(text, part string, at templatePlace) (*templateSource, error) {
	if p.texts += len(text); p.texts > templateMaxText {
		return nil, &templateError{at, fmt.Sprintf("the template has more than %d bytes, with its parts", templateMaxText)}
	}
	p.run.Charge(p.L, len(text)+16)
	p.run.Spend(p.L, 20+len(text)/4)
	p.bytes += len(text)
	return &templateSource{part: part, rest: vm.Clone(text), line: 1, column: 1, blank: true}, nil
}

// list reads until the end of the text, or of the section that open began.
func (p *templateParser) list(s *templateSource, open *templateTag) (nodes []templateNode, err error) {
	for {
		text, tag, found, err := s.next()
		if err != nil {
			return nil, err
		}
		if text != "" {
			if err := p.count(tag.at); err != nil {
				return nil, err
			}
			nodes = append(nodes, templateNode{kind: templateText, text: text, at: tag.at})
		}
		switch {
		case !found && open != nil:
			return nil, &templateError{open.at, fmt.Sprintf("the section %q has no end, expected {{/%s}}", open.name, open.name)}
		case !found:
			return nodes, nil
		case tag.sigil == '/' && open == nil:
			return nil, &templateError{tag.at, fmt.Sprintf("{{/%s}} ends no section", tag.name)}
		case tag.sigil == '/' && tag.name != open.name:
			return nil, &templateError{tag.at, fmt.Sprintf("{{/%s}} ends the section %q, which begins at %s: expected {{/%s}}", tag.name, open.name, open.at, open.name)}
		case tag.sigil == '/':
			return nodes, nil
		}
		if nodes, err = p.tag(s, tag, nodes); err != nil {
			return nil, err
		}
	}
}

// count counts a node.
func (p *templateParser) count(at templatePlace) error {
	if p.nodes++; p.nodes > templateMaxNodes {
		return &templateError{at, fmt.Sprintf("the template has more than %d pieces", templateMaxNodes)}
	}
	p.bytes += templateNodeBytes
	p.run.Charge(p.L, 2*templateNodeBytes)
	p.run.Spend(p.L, templateNodeWork)
	return nil
}

// tag appends what a tag stands for.
func (p *templateParser) tag(s *templateSource, tag templateTag, nodes []templateNode) ([]templateNode, error) {
	if tag.sigil == '!' {
		return nodes, nil
	}
	if p.depth++; p.depth > templateMaxDepth {
		return nil, &templateError{tag.at, fmt.Sprintf("more than %d sections and parts are within each other", templateMaxDepth)}
	}
	defer func() { p.depth-- }()
	if tag.sigil == '>' {
		return p.partial(tag, nodes)
	}
	if err := p.count(tag.at); err != nil {
		return nil, err
	}
	path, err := tag.path()
	if err != nil {
		return nil, err
	}
	p.bytes += 16 * len(path)
	n := templateNode{kind: templateValue, at: tag.at, path: path}
	switch tag.sigil {
	case '{', '&':
		n.raw = true
	case '#', '^':
		if n.kind = templateSection; tag.sigil == '^' {
			n.kind = templateInverted
		}
		if n.body, err = p.list(s, &tag); err != nil {
			return nil, err
		}
	}
	return append(nodes, n), nil
}

// partial reads one of the parts in the place of its tag.
func (p *templateParser) partial(tag templateTag, nodes []templateNode) ([]templateNode, error) {
	text, ok := p.partials[tag.name]
	if !ok {
		return nil, &templateError{tag.at, fmt.Sprintf("there is no part %q among partials", tag.name)}
	}
	source, err := p.source(text, tag.name, tag.at)
	if err != nil {
		return nil, err
	}
	part, err := p.list(source, nil)
	return append(nodes, part...), err
}

// path takes a name apart; "." is empty.
func (t *templateTag) path() ([]string, error) {
	if t.name == "." {
		return nil, nil
	}
	path := strings.Split(t.name, ".")
	for _, name := range path {
		if name == "" || strings.ContainsAny(name, " \t\r\n{}\"'<>=") {
			return nil, &templateError{t.at, fmt.Sprintf("%q is no name, expected one like name, user.name or .", vm.Clip(t.name))}
		}
	}
	return path, nil
}

// next cuts off the text before the next tag, and the tag. found is false at the end.
func (s *templateSource) next() (text string, tag templateTag, found bool, err error) {
	begin := strings.Index(s.rest, "{{")
	if begin < 0 {
		text, s.rest = s.rest, ""
		s.skip(text)
		tag.at = s.place()
		return text, tag, false, nil
	}
	text = s.rest[:begin]
	blank := s.skip(text)
	tag.at = s.place()
	inner := s.rest[begin+2:]
	ending, most := "}}", templateMaxName+64
	switch {
	case strings.HasPrefix(inner, "{"):
		ending, tag.sigil, inner = "}}}", '{', inner[1:]
	case inner != "" && strings.IndexByte("#^/>&!=", inner[0]) >= 0:
		tag.sigil, inner = inner[0], inner[1:]
	}
	if tag.sigil == '!' {
		most = len(inner)
	}
	end := strings.Index(inner[:min(len(inner), most)], ending)
	switch {
	case tag.sigil == '=':
		return "", tag, false, &templateError{tag.at, "{{= can't change the braces of tags here"}
	case end < 0:
		return "", tag, false, &templateError{tag.at, fmt.Sprintf("the tag has no end, expected %s", ending)}
	}
	tag.name = strings.TrimSpace(inner[:end])
	if tag.name == "" && tag.sigil != '!' {
		return "", tag, false, &templateError{tag.at, "the tag has no name"}
	}
	after := inner[end+len(ending):]
	s.skip(s.rest[begin : len(s.rest)-len(after)])
	s.rest = after
	if blank && tag.alone() {
		text = s.dropLine(text)
	} else {
		s.blank = false
	}
	return text, tag, true, nil
}

// alone reports whether a tag that is the only one in its line takes that with it.
func (t *templateTag) alone() bool { return t.sigil != 0 && strings.IndexByte("#^/>!", t.sigil) >= 0 }

// dropLine drops the line of a tag that stands in it alone, of which text is what
// stands before the tag.
func (s *templateSource) dropLine(text string) string {
	rest := strings.TrimLeft(s.rest, " \t")
	switch {
	case rest == "":
	case strings.HasPrefix(rest, "\n"):
		rest = rest[1:]
	case strings.HasPrefix(rest, "\r\n"):
		rest = rest[2:]
	default:
		s.blank = false
		return text
	}
	s.skip(s.rest[:len(s.rest)-len(rest)])
	s.rest, s.blank = rest, true
	return strings.TrimRight(text, " \t")
}

func (s *templateSource) place() templatePlace { return templatePlace{s.part, s.line, s.column} }

// skip moves the place beyond a text, and reports whether there is nothing but blanks
// before it in its line.
func (s *templateSource) skip(text string) (blank bool) {
	if lines := strings.Count(text, "\n"); lines > 0 {
		s.line += lines
		text = text[strings.LastIndexByte(text, '\n')+1:]
		s.column, s.blank = 1, true
	}
	s.column += utf8.RuneCountInString(text)
	s.blank = s.blank && strings.Trim(text, " \t") == ""
	return s.blank
}
