package route

import "bytes"

// Canonical turns the origin-form of a request target (RFC 9112 §3.2.1) into
// the one path that routing, policies, scripts and the upstream all see, and
// its query.
//
// path starts with a slash and is a valid path-absolute of RFC 3986 without
// dot segments, empty segments but the last, or escapes of unreserved
// characters; the hexadecimal digits of other escapes are upper-case. query is
// empty or starts with the question mark and is passed byte for byte, so that
// path and query joined are the target to send on. changed says that path
// differs from what the client wrote.
//
// path aliases target when changed is false, otherwise dst, which is
// overwritten from its start and grown when it is too small (at most three
// times the target's length is needed). query aliases target. dst and target
// must not overlap. Nothing is allocated unless dst grows. err is always a
// Refusal, and then there is no path and no query.
//
// Canonical is idempotent, takes time linear in the length of target, and
// assumes nothing about the bytes in it.
func Canonical(dst, target []byte) (path, query []byte, changed bool, err error) {
	if len(target) == 0 || target[0] != '/' {
		return nil, nil, false, RefusedForm
	}
	raw := target
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		raw, query = target[:i], target[i:]
		if err := checkQuery(query); err != nil {
			return nil, nil, false, err
		}
	}
	if plainlyCanonical(raw) {
		return raw, query, false, nil
	}
	path, err = rewrite(dst[:0], raw)
	if err != nil {
		return nil, nil, false, err
	}
	if bytes.Equal(path, raw) {
		return raw, query, false, nil
	}
	return path, query, true, nil
}

// checkQuery refuses what could split the request line or be taken for
// something else than a query by the next hop.
func checkQuery(query []byte) error {
	for _, c := range query {
		if c <= ' ' || c >= 0x7F {
			return RefusedByte
		}
		if c == '#' {
			return RefusedFragment
		}
	}
	return nil
}

// plainlyCanonical is the fast path: it says that path, which starts with a
// slash, is canonical without a doubt. Escapes, semicolons and anything near a
// dot segment are left to rewrite.
func plainlyCanonical(path []byte) bool {
	slash := false
	for _, c := range path {
		if c == '/' {
			if slash {
				return false
			}
			slash = true
			continue
		}
		if !isPathByte(c) || c == ';' || slash && c == '.' {
			return false
		}
		slash = false
	}
	return true
}

// rewrite appends the canonical form of raw, which starts with a slash, to out,
// which is empty.
func rewrite(out, raw []byte) ([]byte, error) {
	out = append(out, '/')
	start, special := 1, false // where the open segment begins in out; whether it has a % or ;
	var err error
	for i := 1; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '/':
			if out, err = closeSegment(out, start, special, true); err != nil {
				return nil, err
			}
			start, special = len(out), false
		case c == '%':
			b, err := unescape(raw[i:])
			if err != nil {
				return nil, err
			}
			if isUnreserved(b) {
				out = append(out, b)
			} else {
				out, special = appendEscape(out, b), true
			}
			i += 2
		case isPathByte(c):
			out, special = append(out, c), special || c == ';'
		default:
			if err := checkRawByte(c); err != nil {
				return nil, err
			}
			out = appendEscape(out, c)
		}
	}
	return closeSegment(out, start, special, false)
}

// closeSegment ends the segment out[start:], as RFC 3986 §5.2.4 says for dot
// segments; out[start-1] is a slash. Empty segments vanish before dot segments
// are looked at, as in nginx: /a//../b is /b. more says that a slash follows.
func closeSegment(out []byte, start int, special, more bool) ([]byte, error) {
	segment := out[start:]
	switch {
	case len(segment) == 0:
		return out, nil
	case isDot(segment):
		return out[:start], nil
	case isDotDot(segment):
		if start == 1 {
			return nil, RefusedClimb
		}
		return out[:bytes.LastIndexByte(out[:start-1], '/')+1], nil
	}
	if special {
		if err := checkSegment(segment); err != nil {
			return nil, err
		}
	}
	if more {
		out = append(out, '/')
	}
	return out, nil
}

// checkSegment refuses a rewritten segment that would become a dot segment
// where %2F or %5C is decoded or ;parameters are cut off, in whatever order
// and by whatever number of hops, or that would be read differently depending
// on that order (a semicolon before an encoded slash).
func checkSegment(segment []byte) error {
	begin, parameters := 0, false
	for i := 0; i < len(segment); i++ {
		switch kind, size := delimiter(segment[i:]); kind {
		case '/':
			if parameters {
				return RefusedParameter
			}
			if part := segment[begin:i]; isDot(part) || isDotDot(part) {
				return RefusedDots
			}
			i += size - 1
			begin = i + 1
		case ';':
			if part := segment[begin:i]; !parameters && (isDot(part) || isDotDot(part)) {
				return RefusedDots
			}
			parameters = true
			i += size - 1
		}
	}
	if part := segment[begin:]; isDot(part) || isDotDot(part) {
		return RefusedDots
	}
	return nil
}

// delimiter looks at the start of s, a part of an accepted path. It returns
// '/' for a slash, raw or encoded, or an encoded backslash, ';' for a
// semicolon, raw or encoded, and 0 for anything else; and its length.
func delimiter(s []byte) (kind byte, size int) {
	switch {
	case s[0] == '/' || s[0] == ';':
		return s[0], 1
	case s[0] != '%' || len(s) < 3:
		return 0, 1
	case s[1] == '2' && s[2]|0x20 == 'f', s[1] == '5' && s[2]|0x20 == 'c':
		return '/', 3
	case s[1] == '3' && s[2]|0x20 == 'b':
		return ';', 3
	}
	return 0, 1
}

// unescape returns the byte that the escape at the start of s stands for.
func unescape(s []byte) (byte, error) {
	b, ok := hexByte(s)
	switch {
	case !ok:
		return 0, RefusedEscape
	case b < ' ' || b == 0x7F:
		return 0, RefusedControl
	case b >= 0xC0 && overlong(b, s[3:]):
		return 0, RefusedOverlong
	}
	return b, nil
}

// overlong says that an escaped byte b and the escape that follows it begin
// the UTF-8 of a character which has a shorter one (RFC 3629 §3, and its
// predecessor's forms of five and six bytes). Other invalid UTF-8 is data:
// old sites use Latin-1.
func overlong(b byte, rest []byte) bool {
	if b == 0xC0 || b == 0xC1 {
		return true
	}
	var limit byte
	switch b {
	case 0xE0:
		limit = 0xA0
	case 0xF0:
		limit = 0x90
	case 0xF8:
		limit = 0x88
	case 0xFC:
		limit = 0x84
	default:
		return false
	}
	next, ok := hexByte(rest)
	return ok && next >= 0x80 && next < limit
}

// checkRawByte says whether a byte that may not stand in a path of RFC 3986
// is passed on encoded, as browsers send some of them raw, or refused.
func checkRawByte(c byte) error {
	switch {
	case c <= ' ' || c >= 0x7F:
		return RefusedByte
	case c == '#':
		return RefusedFragment
	case c == '\\':
		return RefusedBackslash
	}
	return nil
}

func isDot(s []byte) bool    { return len(s) == 1 && s[0] == '.' }
func isDotDot(s []byte) bool { return len(s) == 2 && s[0] == '.' && s[1] == '.' }

// HasDotSegment reports whether a path, canonical or not, has a segment that somebody
// may take for "." or "..": encoded dots count, and encoded slashes and semicolons
// delimit.
func HasDotSegment(path []byte) bool {
	dots, more, parameters := 0, false, false
	for i := 0; i < len(path); {
		kind, size := delimiter(path[i:])
		switch {
		case kind == '/':
			if !more && (dots == 1 || dots == 2) {
				return true
			}
			dots, more, parameters = 0, false, false
		case kind == ';':
			parameters = true
		case !parameters:
			c := path[i]
			if b, ok := hexByte(path[i:]); ok {
				c, size = b, 3
			}
			if c == '.' {
				dots++
			} else {
				more = true
			}
		}
		i += size
	}
	return !more && (dots == 1 || dots == 2)
}
