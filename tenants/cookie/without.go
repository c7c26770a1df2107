package cookie

import "bytes"

// AppendWithout appends the value of a Cookie field without the cookies of a name.
func AppendWithout(dst, field []byte, name string) []byte {
	first := true
	for len(field) > 0 {
		var pair []byte
		pair, field, _ = bytes.Cut(field, semicolon)
		pair = bytes.TrimSpace(pair)
		if key, _, ok := bytes.Cut(pair, equals); len(pair) == 0 || ok && string(key) == name {
			continue
		}
		if !first {
			dst = append(dst, "; "...)
		}
		dst, first = append(dst, pair...), false
	}
	return dst
}

var semicolon, equals = []byte(";"), []byte("=")
