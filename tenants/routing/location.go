package routing

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/lua/pattern"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

// location is a path or a URL with what a route's pattern has captured in it: literal
// texts, and names between them.
type location struct {
	parts    []part
	pathFrom int  // how long what stands before the path is: scheme and host
	query    bool // it has one of its own
	fragment string
	plain    string // the path, with "x" for captures
}

type part struct {
	text string
	name string // of what stands behind text; "" is nothing
}

// printable reports whether a byte may stand in a URL.
func printable(c byte) bool {
	return c > ' ' && c < 0x7f && !strings.ContainsRune("\"<>\\^`{|}", rune(c))
}

// parseLocation reads a location for routes with these patterns; none is a route for
// every path, which captures nothing.
func parseLocation(text string, paths []*pattern.Pattern) (*location, error) {
	l := &location{}
	if len(text) > maxText {
		return nil, fmt.Errorf("is %d bytes long, expected at most %d", len(text), maxText)
	}
	text, fragment, has := strings.Cut(text, "#")
	if has {
		l.fragment = "#" + fragment
	}
	var plain strings.Builder // with a letter for each name
	named := 0
	for rest := text; rest != ""; {
		literal, after, open := strings.Cut(rest, "{")
		p := part{text: literal}
		plain.WriteString(literal)
		if open {
			name, behind, closed := strings.Cut(after, "}")
			if !closed || name == "" {
				return nil, errors.New(`has a "{" that begins no name, expected one like {id}, or {*}`)
			}
			if err := captured(name, paths); err != nil {
				return nil, err
			}
			if named++; named > pattern.MaxParams {
				return nil, fmt.Errorf("has more than %d captures", pattern.MaxParams)
			}
			p.name, after = name, behind
			plain.WriteByte('x')
		}
		l.parts = append(l.parts, p)
		rest = after
	}
	return l, l.settle(plain.String())
}

// captured says why nothing is captured under a name.
func captured(name string, paths []*pattern.Pattern) error {
	if len(paths) == 0 {
		return fmt.Errorf("has {%.64s}, and the route's path has no such parameter, expected one like /old/{%.64s}", name, name)
	}
	for _, p := range paths {
		if !slices.Contains(p.Names(), name) {
			return fmt.Errorf("has {%.64s}, and the path %q has no such parameter, expected one of %q", name, p.String(), p.Names())
		}
	}
	return nil
}

var errNowhere = errors.New("is neither a path nor a URL, expected one like /new or https://example.com/new, with captures in path or query only")

// settle finds where the path begins in what has letters in the place of captures.
func (l *location) settle(plain string) error {
	for _, c := range []byte(plain + strings.TrimPrefix(l.fragment, "#")) {
		if !printable(c) {
			return errNowhere
		}
	}
	u, err := url.Parse(plain)
	if err != nil {
		return errNowhere
	}
	before, _, query := strings.Cut(plain, "?")
	l.query = query
	switch {
	case (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil:
		from := strings.Index(plain, "://") + len("://")
		length := strings.IndexAny(plain[from:], "/?")
		if length < 0 {
			length = len(plain) - from
		}
		l.pathFrom = from + length
	case u.Scheme != "" || u.Host != "" || !strings.HasPrefix(before, "/") || strings.HasPrefix(before, "//"):
		return errNowhere
	}
	if l.pathFrom > 0 && (len(l.parts[0].text) < l.pathFrom || len(l.parts[0].text) == l.pathFrom && l.parts[0].name != "") {
		return errNowhere // a stranger would choose the host
	}
	if l.plain = before[l.pathFrom:]; route.HasDotSegment([]byte(l.plain)) {
		return errors.New("has a dot segment, expected a path without")
	}
	return nil
}

// append appends the location. value appends what was captured under a name to dst.
// Slashes of the path that captures would double are written once: "//host" is
// another host. A dot segment that they would make is route.RefusedCapture.
func (l *location) append(dst []byte, value func(dst []byte, name string) []byte) ([]byte, error) {
	start, query := len(dst), false
	for i := range l.parts {
		p := &l.parts[i]
		from := len(dst)
		dst = append(dst, p.text...)
		if i == 0 {
			from += l.pathFrom
		}
		if !query {
			dst, query = single(dst, from, start)
		}
		if p.name == "" {
			continue
		}
		from = len(dst)
		if dst = value(dst, p.name); query {
			dst = escaped(dst, from)
		} else {
			dst, _ = single(dst, from, start)
		}
	}
	path, _, _ := bytes.Cut(dst[start+l.pathFrom:], []byte("?"))
	if route.HasDotSegment(path) {
		return dst, route.RefusedCapture
	}
	return dst, nil
}

// single drops slashes behind others from dst[from:], up to the query; what stands
// before start is none of it.
func single(dst []byte, from, start int) (short []byte, query bool) {
	to := from
	for i := from; i < len(dst); i++ {
		c := dst[i]
		if c == '?' {
			to += copy(dst[to:], dst[i:])
			return dst[:to], true
		}
		if c == '/' && to > start && dst[to-1] == '/' {
			continue
		}
		dst[to] = c
		to++
	}
	return dst[:to], false
}

// escaped escapes what means something in queries and not in paths.
func escaped(dst []byte, from int) []byte {
	for i := from; i < len(dst); i++ {
		if c := dst[i]; c == '&' || c == '=' || c == '+' || c == ';' {
			dst = slices.Replace(dst, i, i+1, '%', "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15])
			i += 2
		}
	}
	return dst
}
