package modules

import (
	"html"
	"slices"
	"strings"
)

// read reads the beginning of a piece of HTML, as browsers do (the HTML standard,
// section 13.2.5), and returns how many bytes that was; 0 is that the first one means
// something else by now. wrong is why a template can't have it: what it means would
// depend on what stands elsewhere.
func (s *htmlState) read(text string) (used int, wrong string) {
	switch s.where {
	case inText:
		return s.readText(text), ""
	case inRawText, inEscapable:
		return s.readContent(text), ""
	case inOpening, inMarkup:
		return s.readOpening(text), ""
	case inComment:
		return s.readComment(text), ""
	case inBogus:
		return s.until(text, ">", htmlState{}), ""
	case inTagName:
		return s.readTagName(text), ""
	case inValue:
		return s.readValue(text), ""
	}
	return s.readTag(text)
}

// until passes over what stands before a mark, and the mark; then comes what is next.
func (s *htmlState) until(text, mark string, next htmlState) int {
	i := strings.Index(text, mark)
	if i < 0 {
		return len(text)
	}
	*s = next
	return i + len(mark)
}

func (s *htmlState) readText(text string) int { return s.until(text, "<", htmlState{where: inOpening}) }

// readOpening reads what stands behind "<": the name of an element, a comment, or
// nothing of the kind.
func (s *htmlState) readOpening(text string) int {
	c := text[0]
	switch {
	case s.where == inMarkup && c == '-' && s.dashes == 0:
		s.dashes = 1
	case s.where == inMarkup && c == '-':
		*s = htmlState{where: inComment, dashes: commentBegun}
	case s.where == inMarkup, c == '?' && !s.closing:
		*s = htmlState{where: inBogus}
		return 0
	case isLetter(c):
		*s = htmlState{where: inTagName, closing: s.closing}
		return 0
	case c == '/' && !s.closing:
		s.closing = true
	case c == '!' && !s.closing:
		*s = htmlState{where: inMarkup}
	case c == '>' && s.closing:
		*s = htmlState{}
	case s.closing:
		*s = htmlState{where: inBogus}
		return 0
	default: // it was a text's own
		*s = htmlState{}
		return 0
	}
	return 1
}

// commentBegun is right behind "<!--", where ">" and "->" end a comment too.
const commentBegun = 2

func (s *htmlState) readComment(text string) int {
	switch c := text[0]; {
	case c == '-':
		s.dashes = min(s.dashes+1, 2)
	case c == '>' && s.dashes >= 2:
		*s = htmlState{}
	case c == '!' && s.dashes == 2: // "--!>"
		s.dashes = 3
	default:
		s.dashes = 0
	}
	return 1
}

func (s *htmlState) readTagName(text string) int {
	c := text[0]
	if !isBlank(c) && c != '/' && c != '>' {
		s.addName(c)
		return 1
	}
	s.endTagName()
	return 0
}

// endTagName ends the name of an element.
func (s *htmlState) endTagName() {
	element := ""
	if !s.closing && (slices.Contains(rawElements, s.name) || slices.Contains(escapableElements, s.name)) {
		element = s.name
	}
	*s = htmlState{where: inTag, closing: s.closing, element: element}
}

func (s *htmlState) addName(c byte) {
	if len(s.name) < maxHTMLName && s.name != unknownName {
		s.name += string(lowered(c))
	}
}

// rawElements have content that is no HTML at all, escapableElements such that has
// references to characters only.
var (
	rawElements       = []string{"script", "style", "xmp", "iframe", "noembed", "noframes", "plaintext"}
	escapableElements = []string{"title", "textarea"}
)

// readTag reads what stands in a tag, between its name and ">".
func (s *htmlState) readTag(text string) (used int, wrong string) {
	c := text[0]
	switch {
	case s.where == inUnquoted && !isBlank(c) && c != '>':
		return 1, ""
	case s.where == beforeValue && (c == '"' || c == '\''):
		s.where, s.quote = inValue, c
		s.attribute, s.part = meaningOf(s.name), templateURL
	case s.where == beforeValue && !isBlank(c) && c != '>':
		s.where = inUnquoted
	case s.where == beforeValue && isBlank(c):
	case c == '>':
		s.endTag()
	case isBlank(c) && s.where == inAttribute, isBlank(c) && s.where == afterName:
		s.where = afterName
	case isBlank(c), c == '/':
		s.where, s.name = inTag, ""
	case c == '=' && s.name != unknownName && (s.where == inAttribute || s.where == afterName):
		s.where = beforeValue
	case s.where == afterElement, c == '=' && (s.where == afterPiece || s.name == unknownName):
		return 1, "a blank is missing between a tag of the template and what follows it"
	case c == '=':
		return 1, "an attribute has no name"
	case s.where == afterPiece: // it may go on with the name before
		s.where, s.name = inAttribute, unknownName
	case s.where == inAttribute:
		s.addName(c)
	default:
		s.where, s.name = inAttribute, ""
		s.addName(c)
	}
	return 1, ""
}

// unknownName is that of an attribute that begins in another piece, perhaps. It has no
// value.
const unknownName = "\x00"

func (s *htmlState) endTag() {
	switch {
	case s.element == "":
		*s = htmlState{}
	case slices.Contains(escapableElements, s.element):
		*s = htmlState{where: inEscapable, element: s.element}
	default:
		*s = htmlState{where: inRawText, element: s.element}
	}
}

// readValue reads what stands within quotes.
func (s *htmlState) readValue(text string) int {
	end := strings.IndexByte(text, s.quote)
	value := text
	if end >= 0 {
		value = text[:end]
	}
	if s.attribute == urlAttribute && value != "" {
		if s.part == templateURL {
			place := placeIn(html.UnescapeString(value[:min(len(value), templateMaxScheme)]))
			s.named, s.code = place == placeName, place == placeCode
			s.host = s.named || place == placeHost
		} else if strings.HasPrefix(value, "://") { // behind a scheme that is a value
			s.host = true
		}
		if s.part = max(s.part, templatePath); strings.ContainsAny(value, "?#") {
			s.part = templateQuery
		}
	}
	if end < 0 {
		return len(text)
	}
	*s = htmlState{where: inTag, closing: s.closing, element: s.element}
	return end + 1
}

// readContent reads what stands in an element whose content is no HTML, until its end
// tag, of which the name has what was read so far.
func (s *htmlState) readContent(text string) int {
	if s.name == "" {
		at := strings.IndexByte(text, '<')
		if at < 0 {
			return len(text)
		}
		s.name = "<"
		return at + 1
	}
	end, c := "</"+s.element, lowered(text[0])
	switch {
	case len(s.name) == len(end) && (isBlank(c) || c == '/' || c == '>'):
		*s = htmlState{where: inTag, closing: true}
		return 0
	case len(s.name) < len(end) && c == end[len(s.name)]:
		s.name = end[:len(s.name)+1]
		return 1
	}
	s.name = ""
	return 0
}

func isLetter(c byte) bool { return 'a' <= lowered(c) && lowered(c) <= 'z' }

func lowered(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' }

// meaningOf is what an attribute is for, by its name in lower case.
func meaningOf(name string) htmlAttribute {
	if strings.Contains(name, "on:") || strings.HasPrefix(name, "@") {
		return codeAttribute
	}
	name = strings.TrimPrefix(name, "data-")
	if prefix, local, ok := strings.Cut(name, ":"); ok {
		if prefix == "xmlns" {
			return urlAttribute
		}
		name = local
	}
	switch {
	case len(name) > 2 && strings.HasPrefix(name, "on"), slices.Contains(codeAttributes, name):
		return codeAttribute
	case slices.Contains(urlAttributes, name), strings.Contains(name, "src"), strings.Contains(name, "uri"), strings.Contains(name, "url"), len(name) >= maxHTMLName:
		return urlAttribute
	}
	return plainAttribute
}

var (
	codeAttributes = []string{"style", "srcset", "imagesrcset", "srcdoc", "http-equiv", "sandbox", "rel", "ping"}
	urlAttributes  = []string{"href", "action", "formaction", "cite", "data", "poster", "background", "longdesc", "manifest", "profile", "usemap", "icon", "archive", "classid", "codebase", "dynsrc", "lowsrc", "template"}
)
