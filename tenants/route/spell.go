package route

import "bytes"

// Spelling says what of a client's way to write a path is kept in the path
// that is sent on. The case of hexadecimal digits always is.
type Spelling struct {
	KeepSlashes bool // empty segments within the path, as in /a//b
	KeepEscapes bool // escapes of unreserved characters, as in /%7Euser
}

// Spell returns the path to send on for a target that Canonical has accepted:
// its canonical path, spelled as the client did where that makes no difference
// to what was judged. Canonical makes the same path of both. Signatures over a
// path, and keys of object stores, depend on its spelling.
//
// Never kept are dot segments, which are resolved; bytes that may not stand in
// a path, which are encoded; and an empty first segment, since //host/path is
// a reference to another host to some. A dot segment that would take away an
// empty segment is RefusedEmpty: who merges slashes first comes to another path
// than who doesn't.
//
// path is dst, overwritten from its start and grown where needed (at most three
// times the target's length), which must not overlap target.
func Spell(dst, target []byte, keep Spelling) (path []byte, err error) {
	raw := target
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		raw = target[:i]
	}
	out := append(dst[:0], '/')
	for rest := raw[1:]; ; {
		segment, after, more := bytes.Cut(rest, []byte{'/'})
		switch dots := countDots(segment); {
		case len(segment) == 0:
			if keep.KeepSlashes && more && len(out) > 1 {
				out = append(out, '/')
			}
		case dots == 1:
		case dots == 2:
			// Canonical has seen that there is a segment to take away.
			if len(out) > 1 && out[len(out)-2] == '/' {
				return nil, RefusedEmpty
			}
			out = out[:bytes.LastIndexByte(out[:len(out)-1], '/')+1]
		default:
			out = appendSpelled(out, segment, keep.KeepEscapes)
			if more {
				out = append(out, '/')
			}
		}
		if !more {
			return out, nil
		}
		rest = after
	}
}

// countDots returns 1 or 2 for a dot segment, however it is spelled, else 0.
func countDots(segment []byte) (dots int) {
	for len(segment) > 0 {
		size := 1
		if b, ok := hexByte(segment); ok && b == '.' {
			size = 3
		} else if segment[0] != '.' {
			return 0
		}
		if dots++; dots > 2 {
			return 0
		}
		segment = segment[size:]
	}
	return dots
}

// appendSpelled appends one segment, whose escapes Canonical has checked.
func appendSpelled(out, segment []byte, keepEscapes bool) []byte {
	for i := 0; i < len(segment); i++ {
		c := segment[i]
		b, escape := hexByte(segment[i:])
		switch {
		case escape && (keepEscapes || !isUnreserved(b)):
			out = append(out, segment[i:i+3]...)
			i += 2
		case escape:
			out = append(out, b)
			i += 2
		case isPathByte(c):
			out = append(out, c)
		default:
			out = appendEscape(out, c)
		}
	}
	return out
}
