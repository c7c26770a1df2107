package modules

import (
	"fmt"
	"strings"
)

// templateEscaping is how a value is written, by where it stands.
type templateEscaping uint8

// The ways to write a value.
const (
	templateRaw   templateEscaping = iota // as it is: also what is no HTML
	templateHTML                          // between tags, and in quoted attributes
	templateURL                           // an attribute that is a URL from its beginning: its scheme is judged
	templatePath                          // a part of one, before its query
	templateQuery                         // a part of its query or fragment
)

// htmlWhere is where a piece of a template stands in the HTML.
type htmlWhere uint8

const (
	inText       htmlWhere = iota
	inOpening              // behind "<", or "</"
	inMarkup               // behind "<!": not yet known whether it is a comment
	inComment              // "<!-- … -->"
	inBogus                // "<!…>", "<?…>": until ">"
	inTagName              // the name of an element
	inTag                  // between attributes
	afterElement           // right behind an element's name, with which the next must not go on
	afterPiece             // right behind an attribute's name, with which the next may go on
	inAttribute            // the name of an attribute
	afterName              // behind it, before "="
	beforeValue            // behind "="
	inValue                // within quotes
	inUnquoted             // a value without quotes
	inRawText              // the content of script, style and the like
	inEscapable            // the content of title and textarea
)

// htmlAttribute is what an attribute means.
type htmlAttribute uint8

const (
	plainAttribute htmlAttribute = iota
	urlAttribute
	codeAttribute // a program, or something like it
)

// htmlState is where a piece stands. Two that are equal mean the same to what follows.
type htmlState struct {
	where     htmlWhere
	quote     byte // of a value
	closing   bool // of an end tag
	dashes    uint8
	attribute htmlAttribute
	part      templateEscaping // of a URL: what a value here is
	host      bool             // where its host is, the template says and no value
	named     bool             // and what it begins with
	code      bool             // or it has a scheme that may run something
	name      string           // of the element or attribute that is being read, in lower case
	element   string           // whose start tag or content it is, if that is no HTML
}

// maxHTMLName bounds the names that are compared, in bytes; longer ones are no known ones.
const maxHTMLName = 64

// templateContexts finds out where in the HTML the values of a template stand.
type templateContexts struct{ parser *templateParser }

// walk goes through nodes, the first of which stands at s, and decides how their values
// are written. It returns where what follows stands.
func (c *templateContexts) walk(nodes []templateNode, s htmlState) (htmlState, error) {
	for i := range nodes {
		n := &nodes[i]
		var err error
		switch n.kind {
		case templateText:
			s, err = c.text(n, s)
		case templateValue:
			s, err = c.value(n, s)
		default:
			s, err = c.section(n, s)
		}
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

// text reads a piece of HTML.
func (c *templateContexts) text(n *templateNode, s htmlState) (htmlState, error) {
	paid := 0
	for i := 0; i < len(n.text); {
		if i-paid >= templateStep {
			c.parser.run.Spend(c.parser.L, templateStep/2)
			paid = i
		}
		used, wrong := s.read(n.text[i:])
		if wrong != "" {
			line := n.at.line // the place is that of what follows the text
			return s, &templateError{templatePlace{n.at.part, max(1, line-strings.Count(n.text[i:], "\n")), 1}, wrong}
		}
		i += used
	}
	c.parser.run.Spend(c.parser.L, 5+min(len(n.text), templateStep)/2)
	return s, nil
}

// templateStep is how many bytes are read between two looks at the budget.
const templateStep = 4 << 10

// pause is where the text is interrupted by a tag: names end there.
func (s *htmlState) pause(n *templateNode) error {
	switch s.where {
	case inOpening, inMarkup:
		return &templateError{n.at, "a tag of the template can't stand right behind <"}
	case inTagName:
		s.endTagName()
		s.where = afterElement
	case inAttribute, afterName:
		s.where, s.name = afterPiece, ""
	case inRawText, inEscapable:
		if s.name != "" {
			return &templateError{n.at, "a tag of the template can't stand right behind <"}
		}
	}
	return nil
}

// value decides how a value is written.
func (c *templateContexts) value(n *templateNode, s htmlState) (htmlState, error) {
	c.parser.run.Spend(c.parser.L, 5)
	if n.raw {
		if err := s.pause(n); err != nil {
			return s, err
		}
		if s.where == inValue && s.attribute == urlAttribute {
			s.part = max(s.part, templatePath)
		}
		return s, nil
	}
	switch s.where {
	case inText:
		n.escape = templateHTML
	case inEscapable:
		n.escape = templateHTML
		return s, s.pause(n)
	case inValue:
		return s.valueWithin(n)
	case beforeValue, inUnquoted:
		return s, n.wrongly("a value can't stand in an attribute without quotes: write \"{{ … }}\"")
	case inRawText:
		return s, n.wrongly(fmt.Sprintf("a value can't stand in the element %s: put it into an attribute such as data-value=\"{{ … }}\", and read it there%s", s.element, orRaw))
	case inComment, inBogus, inMarkup:
		return s, n.wrongly("a value can't stand in a comment" + orRaw)
	case inOpening, inTagName:
		return s, n.wrongly("a value can't stand in the name of an element")
	default:
		return s, n.wrongly("a value can't stand in the name of an attribute")
	}
	return s, nil
}

const orRaw = " (with three braces it stands there as it is, and you say that it may)"

func (n *templateNode) wrongly(what string) error { return &templateError{n.at, what} }

// valueWithin decides how a value within quotes is written.
func (s htmlState) valueWithin(n *templateNode) (htmlState, error) {
	switch s.attribute {
	case urlAttribute:
		if s.code {
			return s, n.wrongly("a value can't stand in a URL that may be a program or a page, expected one that begins with http:, https:, mailto: or tel:, or without a scheme" + orRaw)
		}
		n.escape, n.quote, n.host, n.named = s.part, s.quote, s.host, s.named
		s.named = false
		s.part = max(s.part, templatePath)
	case codeAttribute:
		return s, n.wrongly(fmt.Sprintf("a value can't stand in the attribute %s, which is a program or the like%s", s.name, orRaw))
	default:
		n.escape = templateHTML
	}
	return s, nil
}

// section goes through a section, which may be rendered any number of times: what
// follows it must stand at the same place then.
func (c *templateContexts) section(n *templateNode, s htmlState) (htmlState, error) {
	if err := s.pause(n); err != nil {
		return s, err
	}
	for range 4 {
		end, err := c.walk(n.body, s)
		if err != nil {
			return s, err
		}
		if err := end.pause(n); err != nil {
			return s, err
		}
		both, ok := s.join(end)
		if !ok {
			return s, &templateError{n.at, "the section ends in another part of the HTML than it begins in: a tag or an attribute must end in the section that it begins in"}
		}
		if both == s {
			return s, nil
		}
		s = both
	}
	return s, &templateError{n.at, "BUG: the section has no context"}
}

// join is where a piece stands that comes after one place or another; ok is false where
// they have nothing in common.
func (s htmlState) join(t htmlState) (both htmlState, ok bool) {
	if s == t {
		return s, true
	}
	a, b := s, t
	if between(a.where) && between(b.where) {
		a.where = afterPiece
		if s.where == afterElement || t.where == afterElement {
			a.where = afterElement
		}
		b.where = a.where
	}
	if a.where == inValue && a.attribute == urlAttribute {
		a.part = joinParts(a.part, b.part)
		a.host, a.named, a.code = a.host && b.host, a.named && b.named, a.code || b.code
		b.part, b.host, b.named, b.code = a.part, a.host, a.named, a.code
	}
	return a, a == b
}

func between(w htmlWhere) bool { return w == inTag || w == afterPiece || w == afterElement }

// joinParts is what is safe at both parts of a URL: what is escaped for a query has no
// scheme either.
func joinParts(a, b templateEscaping) templateEscaping {
	if a == templateQuery || b == templateQuery {
		return templateQuery
	}
	return min(a, b) // the beginning, whose values are judged
}
