package message

// HexDigit is the value of a hexadecimal digit.
func HexDigit(c byte) (value byte, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}

// Unescaped returns the byte that the beginning of a text stands for, and of how many
// bytes that is: three for an escape such as %2F. What is no escape stands for itself.
// The text isn't empty.
func Unescaped(text []byte) (c byte, n int) {
	if text[0] == '%' && len(text) >= 3 {
		high, ok1 := HexDigit(text[1])
		low, ok2 := HexDigit(text[2])
		if ok1 && ok2 {
			return high<<4 | low, 3
		}
	}
	return text[0], 1
}

// AppendUnescaped decodes escapes. What is no escape stays.
func AppendUnescaped(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		c, n := Unescaped(text[i:])
		dst = append(dst, c)
		i += n
	}
	return dst
}

// AppendParameter decodes a name or value of a query, as forms encode them: a plus is a
// space. What is no escape stays.
func AppendParameter(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		c, n := Unescaped(text[i:])
		if n == 1 && c == '+' {
			c = ' '
		}
		dst = append(dst, c)
		i += n
	}
	return dst
}
