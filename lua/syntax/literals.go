package syntax

import (
	"math"
	"strconv"
	"strings"
)

// number reads a numeral: digits and dots, an exponent, and whatever letters
// and digits stick to it.
func (l *lexer) number() float64 {
	at, from := l.pos(), l.at
	for digit(l.peek(0)) || l.peek(0) == '.' {
		l.at++
	}
	if l.peek(0)|0x20 == 'e' {
		l.at++
		l.sign()
	}
	for letter(l.peek(0)) || digit(l.peek(0)) {
		l.at++
		if last := l.source[l.at-1] | 0x20; last == 'p' && l.source[from] == '0' {
			l.sign()
		}
	}
	text := l.source[from:l.at]
	n, ok := ParseNumber(text)
	if !ok {
		fail(at, "malformed number near '%s'", clip(text))
	}
	return n
}

func (l *lexer) sign() {
	if c := l.peek(0); c == '+' || c == '-' {
		l.at++
	}
}

// ParseNumber reads a numeral of Lua's, without a sign: decimal, whatever
// zeros it begins with, or hexadecimal.
func ParseNumber(text string) (n float64, ok bool) {
	if len(text) > 2 && text[0] == '0' && text[1]|0x20 == 'x' {
		for i := 2; i < len(text); i++ {
			if c := text[i]; !digit(c) && (c|0x20 < 'a' || c|0x20 > 'f') && c != '.' && c|0x20 != 'p' && c != '+' && c != '-' {
				return 0, false
			}
		}
		if strings.IndexByte(text, 'p') < 0 && strings.IndexByte(text, 'P') < 0 {
			text += "p0"
		}
	} else {
		for i := range len(text) {
			if c := text[i]; !digit(c) && c != '.' && c|0x20 != 'e' && c != '+' && c != '-' {
				return 0, false
			}
		}
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil && !math.IsInf(n, 0) { // too large is infinite, as in C
		return 0, false
	}
	return n, true
}

// quoted reads a string in quotes.
func (l *lexer) quoted(quote byte) string {
	at, from := l.pos(), l.at
	l.at++
	plain := l.at // of what hasn't been taken into value yet
	var value strings.Builder
	for {
		if l.at >= len(l.source) {
			fail(at, "unfinished string near '<eof>'")
		}
		switch c := l.source[l.at]; {
		case newline(c):
			fail(at, "unfinished string near '%s'", clip(l.source[from:l.at]))
		case c == quote:
			text := l.source[plain:l.at]
			l.at++
			if value.Len() == 0 {
				return text
			}
			value.WriteString(text)
			return value.String()
		case c == '\\':
			value.WriteString(l.source[plain:l.at])
			l.escape(&value)
			plain = l.at
		default:
			l.at++
		}
	}
}

// escape reads a backslash and what it stands before.
func (l *lexer) escape(value *strings.Builder) {
	at, from := l.pos(), l.at
	l.at++
	c := l.peek(0)
	switch {
	case l.at >= len(l.source):
		return // an unfinished string
	case newline(c):
		l.skipLine()
		value.WriteByte('\n')
		return
	case digit(c):
		n := 0
		for i := 0; i < 3 && digit(l.peek(0)); i++ {
			n = 10*n + int(l.peek(0)-'0')
			l.at++
		}
		if n > 255 {
			fail(at, "escape sequence too large near '%s'", clip(l.source[from:l.at]))
		}
		value.WriteByte(byte(n))
		return
	}
	if i := strings.IndexByte("abfnrtv", c); i >= 0 {
		c = "\a\b\f\n\r\t\v"[i]
	}
	l.at++
	value.WriteByte(c)
}

// level returns how many = stand between the two brackets that begin a long
// string at the lexer's place, or -1 if none begins there.
func (l *lexer) level() int {
	n := 1
	for l.peek(n) == '=' {
		n++
	}
	if l.peek(n) != '[' {
		return -1
	}
	return n - 1
}

// long reads a string or comment in long brackets.
func (l *lexer) long(what string) string {
	at, level := l.pos(), l.level()
	l.at += level + 2
	if newline(l.peek(0)) {
		l.skipLine()
	}
	plain := l.at
	var value strings.Builder
	for l.at < len(l.source) {
		switch c := l.source[l.at]; {
		case c == ']' && l.closes(level):
			text := l.source[plain:l.at]
			l.at += level + 2
			if value.Len() == 0 {
				return text
			}
			value.WriteString(text)
			return value.String()
		case newline(c):
			text := l.source[plain:l.at]
			from := l.at
			l.skipLine()
			if l.source[from:l.at] != "\n" && what == "string" {
				value.WriteString(text)
				value.WriteByte('\n')
				plain = l.at
			}
		default:
			l.at++
		}
	}
	fail(at, "unfinished long %s near '<eof>'", what)
	return ""
}

// closes reports whether a long bracket of the level ends at the lexer's place.
func (l *lexer) closes(level int) bool {
	if l.peek(level+1) != ']' {
		return false
	}
	for i := 1; i <= level; i++ {
		if l.peek(i) != '=' {
			return false
		}
	}
	return true
}
