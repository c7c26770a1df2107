package modules

import (
	"unicode/utf16"
	"unicode/utf8"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// cut is vm.Part, whose work is owed.
func (d *jsonDecoder) cut(start, end int) string {
	if len(d.text) <= vm.MaxShared {
		return d.text[start:end]
	}
	return vm.Clone(d.text[start:end])
}

// string reads a string, at whose opening quote it stands.
func (d *jsonDecoder) string() (string, bool) {
	start := d.pos + 1
	i := start
	for i < len(d.text) && jsonPlain[d.text[i]] {
		i++
	}
	if i < len(d.text) && d.text[i] == '"' {
		d.pos = i + 1
		d.owe(16+i-start, 3+(i-start)/16)
		return d.cut(start, i), true
	}
	return d.longString(start, i)
}

// longString reads the string that begins at start, and has none but plain
// characters up to i.
func (d *jsonDecoder) longString(start, i int) (string, bool) {
	end, ok := d.stringEnd(i)
	if !ok {
		return "", false
	}
	// No escape is longer than what it stands for.
	d.owe(2*(end-start)+16, 5+(end-start)/4)
	b := append(make([]byte, 0, end-start), d.text[start:i]...)
	for d.pos = i; d.pos < end; {
		if d.text[d.pos] == '\\' {
			r, ok := d.escape(end)
			if !ok {
				return "", false
			}
			b = utf8.AppendRune(b, r)
			continue
		}
		r, size := utf8.DecodeRuneInString(d.text[d.pos:])
		if r == utf8.RuneError && size == 1 {
			d.fail("not UTF-8")
			return "", false
		}
		b = append(b, d.text[d.pos:d.pos+size]...)
		d.pos += size
	}
	d.pos = end + 1
	return string(b), true
}

// stringEnd finds the closing quote of a string, from i on.
func (d *jsonDecoder) stringEnd(i int) (int, bool) {
	for ; i < len(d.text); i++ {
		switch c := d.text[i]; {
		case c == '"':
			return i, true
		case c == '\\':
			i++
		case c < 0x20:
			d.pos = i
			d.fail("a control character in a string")
			return 0, false
		}
	}
	d.pos = len(d.text)
	d.fail("a string without end")
	return 0, false
}

// escape reads an escape of a string that ends at end.
func (d *jsonDecoder) escape(end int) (rune, bool) {
	c := d.text[d.pos+1]
	if c != 'u' {
		r, ok := jsonEscapes[c]
		if !ok {
			d.fail("an unknown escape")
			return 0, false
		}
		d.pos += 2
		return r, true
	}
	r, ok := d.hex(d.pos, end)
	if !ok {
		d.fail("\\u without four hexadecimal digits")
		return 0, false
	}
	d.pos += 6
	if !utf16.IsSurrogate(r) {
		return r, true
	}
	if low, ok := d.hex(d.pos, end); ok {
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			d.pos += 6
			return pair, true
		}
	}
	return utf8.RuneError, true
}

// hex reads \uXXXX at i.
func (d *jsonDecoder) hex(i, end int) (rune, bool) {
	if i+6 > end || d.text[i] != '\\' || d.text[i+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range []byte(d.text[i+2 : i+6]) {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
