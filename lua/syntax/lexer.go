package syntax

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// lexer cuts a source into tokens.
type lexer struct {
	source string
	at     int // of the next byte
	line   int32
	start  int // where the line begins
}

func newLexer(source string) *lexer {
	l := &lexer{source: source, line: 1}
	l.at = len(source) - len(strings.TrimPrefix(source, "\ufeff"))
	l.start = l.at
	if l.peek(0) == '#' { // #!/usr/bin/lua
		for l.at < len(source) && !newline(source[l.at]) {
			l.at++
		}
	}
	return l
}

// peek returns the byte at a distance; beyond the end it is 0.
func (l *lexer) peek(distance int) byte {
	if i := l.at + distance; i < len(l.source) {
		return l.source[i]
	}
	return 0
}

func (l *lexer) pos() Pos { return Pos{l.line, int32(l.at-l.start) + 1} } //nolint:gosec // G115: a source has at most 2 GiB

func newline(c byte) bool { return c == '\n' || c == '\r' }

// skipLine steps over a line's end: \n, \r, \r\n or \n\r.
func (l *lexer) skipLine() {
	c := l.source[l.at]
	l.at++
	if l.at < len(l.source) && newline(l.source[l.at]) && l.source[l.at] != c {
		l.at++
	}
	l.line++
	l.start = l.at
}

// next returns the next token.
func (l *lexer) next() token {
	l.skipSpace()
	t := token{Pos: l.pos()}
	from := l.at
	if from >= len(l.source) {
		t.kind = tokenEOF
		return t
	}
	c := l.source[from]
	switch {
	case letter(c):
		for l.at < len(l.source) && (letter(l.source[l.at]) || digit(l.source[l.at])) {
			l.at++
		}
		t.kind = tokenName
		if keyword, ok := keywords[l.source[from:l.at]]; ok {
			t.kind = keyword
		}
	case digit(c) || c == '.' && digit(l.peek(1)):
		t.kind, t.number = tokenNumber, l.number()
	case c == '"' || c == '\'':
		t.kind, t.value = tokenString, l.quoted(c)
	case c == '[' && l.level() >= 0:
		t.kind, t.value = tokenString, l.long("string")
	default:
		t.kind = l.symbol(c)
	}
	t.text = l.source[from:l.at]
	return t
}

// skipSpace steps over white space and comments.
func (l *lexer) skipSpace() {
	for l.at < len(l.source) {
		switch c := l.source[l.at]; {
		case newline(c):
			l.skipLine()
		case c == ' ' || c == '\t' || c == '\v' || c == '\f':
			l.at++
		case c == '-' && l.peek(1) == '-':
			l.comment()
		default:
			return
		}
	}
}

func (l *lexer) comment() {
	l.at += 2
	if l.peek(0) == '[' && l.level() >= 0 {
		l.long("comment")
		return
	}
	for l.at < len(l.source) && !newline(l.source[l.at]) {
		l.at++
	}
}

// doubles are the symbols of more than one character.
var doubles = []struct {
	text string
	kind kind
}{
	{"...", tokenDots}, {"..", tokenConcat}, {"==", tokenEqual}, {"~=", tokenNotEqual},
	{"<=", tokenLessEqual}, {">=", tokenGreaterEqual}, {"::", tokenLabel},
}

// foreign are operators of other languages, and what Lua has for them. No Lua has
// them in a row.
var foreign = []struct{ text, lua string }{
	{"===", "'=='"}, {"!==", "'~='"}, {"<>", "'~='"}, {"..=", "'x = x .. …'"}, {"/=", "'x = x / …', or '~='"}, {"%=", "'x = x % …'"}, {"^=", "'x = x ^ …'"},
	{":=", "'='"}, {"->", "'.', or 'function(…) … end'"}, {">>", "a division"}, {"“", "'\"'"}, {"”", "'\"'"}, {"„", "'\"'"}, {"«", "'\"'"}, {"‘", "\"'\""}, {"’", "\"'\""}, {"`", "'\"', or [[ … ]]"},
	{"\u00a0", "a plain space"}, {"\u200b", "nothing"}, {"–", "'-'"}, {"—", "'--'"}, {"…", "'...'"},
	{"!=", "'~='"}, {"!", "'not'"}, {"&&", "'and'"}, {"||", "'or'"}, {"+=", "'x = x + …'"}, {"-=", "'x = x - …'"},
	{"*=", "'x = x * …'"}, {"++", "'x = x + 1'"}, {"//", "a comment '--', or math.floor(a / b)"}, {"/*", "a comment '--[[ … ]]'"},
	{"<<", "a multiplication"}, {"=>", "'>=' or '='"}, {"?", "'a and b or c'"}, {"&", "'and'"}, {"|", "'or'"},
}

func (l *lexer) symbol(c byte) kind {
	rest := l.source[l.at:]
	for _, s := range doubles {
		if strings.HasPrefix(rest, s.text) {
			if extended := s.text + "="; strings.HasPrefix(rest, extended) && (s.kind == tokenEqual || s.kind == tokenConcat) {
				break // === and ..=
			}
			l.at += len(s.text)
			return s.kind
		}
	}
	l.refuse(rest)
	if strings.IndexByte("+-*/%^#<>=(){}[];:,.", c) < 0 {
		fail(l.pos(), "unexpected symbol near '%s'", character(rest))
	}
	l.at++
	return kind(c)
}

// refuse fails at an operator of another language.
func (l *lexer) refuse(rest string) {
	if len(rest) > 1 && strings.IndexByte("=>-:/%^*+.", rest[1]) < 0 && strings.IndexByte("+-*/%^#<>=(){}[];:,.", rest[0]) >= 0 {
		return // the common case
	}
	for _, s := range foreign {
		if strings.HasPrefix(rest, s.text) {
			fail(l.pos(), "unexpected symbol near '%s' (did you mean %s?)", s.text, s.lua)
		}
	}
}

// character is the first character of a text, for a message.
func character(text string) string {
	r, _ := utf8.DecodeRuneInString(text)
	if r < ' ' || r == 0x7f {
		return "char(" + strconv.Itoa(int(r)) + ")"
	}
	return string(r)
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }

func digit(c byte) bool { return c >= '0' && c <= '9' }
