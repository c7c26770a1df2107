package message

import (
	"encoding/binary"
	"math/bits"
)

// tokenBytes are the bytes of a token (RFC 9110 §5.6.2).
var tokenBytes = func() (t [256]bool) {
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-0x20] = true, true
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()

// textBytes are the bytes of a field value: no control but HTAB.
var textBytes = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= 0x20 && c != 0x7f || c == '\t'
	}
	return t
}()

// IsTokenByte reports whether a token may have that byte.
func IsTokenByte(c byte) bool { return tokenBytes[c] }

// IsTextByte reports whether a field value may have that byte.
func IsTextByte(c byte) bool { return textBytes[c] }

// IsToken reports whether b is a token (RFC 9110 §5.6.2).
func IsToken(b []byte) bool {
	for _, c := range b {
		if !tokenBytes[c] {
			return false
		}
	}
	return len(b) > 0
}

// IsFieldText reports whether b may be a field value.
func IsFieldText(b []byte) bool { return FieldText(b) == len(b) }

const ones, highs = 0x0101010101010101, 0x8080808080808080 // of each byte of a word

// FieldText returns how many bytes at the start of b a field value may have. It
// looks at eight at a time: the lowest bit that is set is that of the first control
// byte among them.
func FieldText(b []byte) (n int) {
	for n+8 <= len(b) {
		word := binary.LittleEndian.Uint64(b[n:])
		del := word ^ 0x7f*ones
		controls := ((word-0x20*ones)&^word | (del-ones)&^del) & highs
		if controls == 0 {
			n += 8
			continue
		}
		if n += bits.TrailingZeros64(controls) / 8; b[n] != '\t' {
			return n
		}
		n++
	}
	for n < len(b) && textBytes[b[n]] {
		n++
	}
	return n
}

// ParseDecimal parses 1 to 18 digits and nothing else.
func ParseDecimal(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// IsTargetText refuses what no URI has: controls, spaces, bytes beyond ASCII,
// and "#", which would be a fragment.
func IsTargetText(b []byte) bool {
	for _, c := range b {
		if c <= 0x20 || c >= 0x7f || c == '#' {
			return false
		}
	}
	return true
}
