package redirect

import (
	"bytes"
	"net/url"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

// source is the paths of "from".
type source struct {
	text  string // without "*"
	below bool   // all that begins with it
}

// sourceOf reads a "from" that has passed its check; "" is all paths.
func sourceOf(from string) source {
	if from == "" {
		return source{"/", true}
	}
	return source{strings.TrimSuffix(from, "*"), strings.HasSuffix(from, "*")}
}

// has reports whether a path's key is one of them.
func (s *source) has(key []byte) bool {
	_, ok := s.match(key, key)
	return ok
}

// match reports whether a path is one of them, by its key, as everything that decides
// about paths compares them; and what the "*" has, as the client wrote it, if that can
// be told.
func (s *source) match(path, key []byte) (rest []byte, ok bool) {
	switch {
	case string(key) == s.text:
		return nil, true
	case s.below && len(key)+1 == len(s.text) && s.text[:len(key)] == string(key):
		return nil, true
	case s.below && len(key) > len(s.text) && string(key[:len(s.text)]) == s.text:
		if rest, ok := bytes.CutPrefix(path, []byte(s.text)); ok {
			return rest, true
		}
		return key[len(s.text):], true
	}
	return nil, false
}

// target is where "to" leads.
type target struct {
	text     string // as it stands there, without "*" and fragment
	fragment string // with its "#"
	rest     bool   // what from's "*" has stands behind text
	key      []byte // the path, as it will be compared when it is asked for

	// Of a URL; empty of a path. The port is none where it is the scheme's.
	scheme, host, port string
}

// parseTarget reads a "to"; ok is false if it is neither a path nor a URL.
func parseTarget(to string) (t *target, ok bool) {
	t = &target{}
	t.text, t.rest = strings.CutSuffix(to, "*")
	if i := strings.IndexByte(t.text, '#'); i >= 0 {
		t.text, t.fragment = t.text[:i], t.text[i:]
	}
	u, err := url.Parse(t.text)
	if err != nil || len(t.text) > maxText || strings.ContainsAny(t.text+t.fragment, "*") || strings.Trim(to, printable+"*") != "" {
		return nil, false
	}
	path, _, _ := strings.Cut(t.text, "?")
	switch {
	case (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil:
		t.scheme, t.host, t.port = u.Scheme, canonicalHost(u), plainPort(u.Scheme, u.Port())
		path = pathOf(path)
	case u.Scheme != "" || u.Host != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//"):
		return nil, false
	}
	canonical, _, _, err := route.Canonical(nil, []byte(path))
	if err != nil {
		return t, t.scheme != "" // elsewhere it may mean something
	}
	t.key = bytes.Clone(route.Key(make([]byte, 0, len(canonical)), canonical))
	return t, true
}

// canonicalHost returns a URL's host as those of requests are compared.
func canonicalHost(u *url.URL) string {
	name := strings.ToLower(u.Hostname())
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	if host, err := route.CanonicalHost(nil, []byte(name)); err == nil {
		return string(host)
	}
	return name
}

// pathOf returns the path of a URL without its query.
func pathOf(text string) string {
	_, rest, _ := strings.Cut(text, "://")
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return rest[i:]
	}
	return "/"
}
