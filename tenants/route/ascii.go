package route

// Sets of ASCII characters as bit masks: constants, where a table would be a
// variable. The first mask holds 0 to 63, the second 64 to 127.
const (
	digitBits  uint64 = (1<<10 - 1) << '0'
	letterBits uint64 = (1<<26-1)<<('A'-64) | (1<<26-1)<<('a'-64)

	// unreserved of RFC 3986 §2.3.
	unreservedLow  = digitBits | 1<<'-' | 1<<'.'
	unreservedHigh = letterBits | 1<<('_'-64) | 1<<('~'-64)

	// pchar of RFC 3986 §3.3 without the percent sign.
	pathLow = unreservedLow | 1<<'!' | 1<<'$' | 1<<'&' | 1<<'\'' | 1<<'(' | 1<<')' |
		1<<'*' | 1<<'+' | 1<<',' | 1<<';' | 1<<'=' | 1<<':'
	pathHigh = unreservedHigh | 1<<('@'-64)
)

func isUnreserved(c byte) bool { return in(c, unreservedLow, unreservedHigh) }

func isPathByte(c byte) bool { return in(c, pathLow, pathHigh) }

func in(c byte, low, high uint64) bool {
	if c < 64 {
		return low>>c&1 != 0
	}
	return c < 128 && high>>(c-64)&1 != 0
}

// hexByte decodes the escape at the start of s, such as %2F.
func hexByte(s []byte) (b byte, ok bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	high, ok1 := hexDigit(s[1])
	low, ok2 := hexDigit(s[2])
	return high<<4 | low, ok1 && ok2
}

func hexDigit(c byte) (value byte, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

func appendEscape(out []byte, c byte) []byte {
	const digits = "0123456789ABCDEF"
	return append(out, '%', digits[c>>4], digits[c&15])
}
