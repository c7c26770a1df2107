package route

import (
	"bytes"
	"fmt"
	"strings"
)

// MaxPrefix is the greatest length of a path prefix in bytes, in its
// comparison form. It bounds the work of a match.
const MaxPrefix = 255

// Key returns the comparison form of a canonical path: what prefixes and
// policies are compared with, never what is sent. Two paths that some upstream
// may serve as one have the same key:
//
//   - ;parameters are dropped up to the next slash (servlet containers do);
//   - %2F and %5C are slashes, %3B is a semicolon, and runs of slashes are one
//     (nginx decodes, Windows takes backslashes);
//   - the other escapes of characters that may stand in a path are decoded.
//
// So a path which would be refused as /admin is refused as /admin;x, /%2Fadmin
// or /admin%2Fx too, although it is passed on as it is. The key aliases path
// where they are equal, otherwise dst, which is overwritten from its start and
// must not overlap path. It never exceeds path in length, so a dst of that
// capacity avoids allocation.
func Key(dst, path []byte) []byte {
	if !hasSpecial(path) {
		return path
	}
	return appendKey(dst[:0], path, len(path))
}

// hasSpecial says whether a canonical path may differ from its key.
func hasSpecial(path []byte) bool {
	return bytes.IndexByte(path, '%') >= 0 || bytes.IndexByte(path, ';') >= 0
}

// appendKey appends the key of path to out, which is empty, and stops at limit
// bytes.
func appendKey(out, path []byte, limit int) []byte {
	parameters := false
	for i := 0; i < len(path) && len(out) < limit; i++ {
		c := path[i]
		kind, size := delimiter(path[i:])
		i += size - 1
		switch {
		case kind == '/':
			parameters = false
			if len(out) == 0 || out[len(out)-1] != '/' {
				out = append(out, '/')
			}
		case kind == ';':
			parameters = true
		case !parameters:
			if b, ok := hexByte(path[i:]); ok && isPathByte(b) {
				c, i = b, i+2
			}
			out = append(out, c)
		}
	}
	return out
}

// Spelled returns the part of a canonical path of which the bytes from begin up to and
// without end of its key were made: an encoded slash within is one still, and
// parameters that a segment ends with are left out. It aliases path.
func Spelled(path []byte, begin, end int) []byte {
	if begin >= end {
		return nil
	}
	if !hasSpecial(path) {
		return path[begin:end:end]
	}
	from, made, last, parameters := 0, 0, byte(0), false
	for i := 0; i < len(path); {
		c := path[i]
		kind, size := delimiter(path[i:])
		makes := false
		switch {
		case kind == '/':
			parameters, makes, c = false, made == 0 || last != '/', '/'
		case kind == ';':
			parameters = true
		case !parameters:
			makes = true
			if b, ok := hexByte(path[i:]); ok && isPathByte(b) {
				c, size = b, 3
			}
		}
		if makes {
			if made == begin {
				from = i
			}
			if made, last = made+1, c; made == end {
				return path[from : i+size : i+size]
			}
		}
		i += size
	}
	return nil
}

// CanonicalPrefix returns the comparison form of a configured path prefix,
// without a trailing slash; it is empty for "/", which matches every path. The
// prefix obeys the same rule as request paths and may have neither a query nor
// parameters.
func CanonicalPrefix(prefix string) (string, error) {
	if strings.ContainsAny(prefix, "?;") {
		return "", fmt.Errorf("path prefix %q has a query or a parameter, expected a path such as /api", prefix)
	}
	if !strings.HasPrefix(prefix, "/") {
		return "", fmt.Errorf("path prefix %q doesn't begin with a slash, expected a path such as /api", prefix)
	}
	path, _, _, err := Canonical(nil, []byte(prefix))
	if err != nil {
		return "", fmt.Errorf("path prefix %q: %w", prefix, err)
	}
	key := bytes.TrimSuffix(Key(nil, path), []byte("/"))
	if len(key) > MaxPrefix {
		return "", fmt.Errorf("path prefix %q is %d bytes long, expected at most %d", prefix, len(key), MaxPrefix)
	}
	return string(key), nil
}

// Strip cuts prefix, as CanonicalPrefix returned it, off a path which matches
// it, as Canonical or Spell returned that. Segments are cut whole, with their
// parameters: of /api;v=1/users remains /users, of /api remains /. A path in
// which the prefix ends at an encoded slash (/api%2Fusers) can't be cut without
// a change of its meaning: RefusedStrip. The rest aliases path, begins with one
// slash, is canonical where path is, and nothing is allocated.
func Strip(path []byte, prefix string) (rest []byte, err error) {
	want := strings.Count(prefix, "/")
	if want == 0 {
		return path, nil
	}
	parts, filled := 0, false // parts that have a key; whether the current one has
	parameters := false
	for i := 0; i < len(path); i++ {
		kind, size := delimiter(path[i:])
		switch {
		case kind == '/':
			if parts == want && size == 1 {
				for i+1 < len(path) && path[i+1] == '/' { // see Spell
					i++
				}
				return path[i:], nil
			}
			if parts == want {
				return nil, RefusedStrip
			}
			filled, parameters = false, false
		case kind == ';':
			parameters = true
		case !parameters && !filled:
			parts, filled = parts+1, true
		}
		i += size - 1
	}
	return path[:1], nil
}
