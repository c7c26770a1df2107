package http1

import (
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// parseChunkSize parses the line that starts a chunk: a size in hexadecimal
// with optional extensions, which are judged and otherwise ignored (RFC 9112
// §7.1.1). White space is read where the grammar has BWS, and nowhere else:
// "2 ; a = b", but not "2 ", which some parsers read and others don't.
func parseChunkSize(line []byte) (size int64, ok bool) {
	digits := 0
	for digits < len(line) {
		d, hex := message.HexDigit(line[digits])
		if !hex {
			break
		}
		size = size<<4 | int64(d)
		digits++
	}
	if digits == 0 || digits > 15 {
		return 0, false
	}
	return size, areExtensions(line[digits:])
}

// areExtensions judges *( BWS ";" BWS name [ BWS "=" BWS value ] ), where a
// value is a token or a quoted string.
func areExtensions(rest []byte) bool {
	for len(rest) > 0 {
		rest = skipSpace(rest)
		if len(rest) == 0 || rest[0] != ';' {
			return false
		}
		rest = skipSpace(rest[1:])
		n := tokenLen(rest)
		if n == 0 {
			return false
		}
		rest = rest[n:]
		value := skipSpace(rest)
		if len(value) == 0 || value[0] != '=' {
			continue // the next one, with its own BWS
		}
		value = skipSpace(value[1:])
		if n = tokenLen(value); n == 0 {
			n = quotedLen(value)
		}
		if n == 0 {
			return false
		}
		rest = value[n:]
	}
	return true
}

func skipSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	return b
}

// tokenLen returns the length of the token at the start of b, which may be 0.
func tokenLen(b []byte) (n int) {
	for n < len(b) && message.IsTokenByte(b[n]) {
		n++
	}
	return n
}

// quotedLen returns the length of the quoted string (RFC 9110 §5.6.4) at the
// start of b, or 0.
func quotedLen(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return 0
	}
	for i := 1; i < len(b); i++ {
		switch {
		case b[i] == '"':
			return i + 1
		case b[i] == '\\':
			if i++; i == len(b) || !message.IsTextByte(b[i]) {
				return 0
			}
		case !message.IsTextByte(b[i]):
			return 0
		}
	}
	return 0
}
