package redirect

import (
	"bytes"
	"errors"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

// New builds the policy.
func (c *Config) New(policy.Deps) (policy.Policy, error) {
	l := &leading{config: c, to: strings.TrimSuffix(c.To, "*"), rest: strings.HasSuffix(c.To, "*")}
	l.from, l.below = strings.TrimSuffix(c.From, "*"), strings.HasSuffix(c.From, "*")
	if c.From == "" {
		l.below = true
	}
	return l, nil
}

// leading is the policy.
type leading struct {
	config *Config
	from   string // without "*"
	below  bool   // all that begins with it
	to     string // without "*"
	rest   bool   // what from's "*" has stands behind it
}

var www = []byte("www.")

// Judge lets pass what is where it should be.
func (l *leading) Judge(r *policy.Request) (*policy.Answer, error) {
	scheme, host, elsewhere := l.scheme(r), r.Host, false
	if scheme != schemeOf(r) {
		elsewhere = true
	}
	switch has := bytes.HasPrefix(host, www); {
	case len(host) == 0 || host[0] == '[':
	case l.config.WWW == "remove" && has && bytes.IndexByte(host[len(www):], '.') > 0:
		host, elsewhere = host[len(www):], true
	case l.config.WWW == "add" && !has && !isAddress(host):
		host, elsewhere = r.Append(func(dst []byte) []byte { return append(append(dst, www...), r.Host...) }), true
	}
	rest, moved := l.match(r)
	if !elsewhere && !moved {
		return nil, nil
	}
	return l.answer(r, scheme, host, rest, moved)
}

func schemeOf(r *policy.Request) string {
	if r.Secure {
		return "https"
	}
	return "http"
}

func (l *leading) scheme(r *policy.Request) string {
	if l.config.HTTPS {
		return "https"
	}
	return schemeOf(r)
}

// isAddress reports whether a host is an IPv4 address, which has no www.
func isAddress(host []byte) bool { return len(bytes.Trim(host, "0123456789.")) == 0 }

// match reports whether the path is one of from, and what its "*" has.
func (l *leading) match(r *policy.Request) (rest []byte, moved bool) {
	if l.config.To == "" || len(r.Path) == 0 || r.Path[0] != '/' {
		return nil, false
	}
	path := r.Path
	if l.from == "" {
		return path[1:], !l.isThere(r)
	}
	key := route.Key(nil, path) // as everything that decides about paths compares them
	switch {
	case string(key) == l.from:
		return nil, true
	case l.below && string(key)+"/" == l.from:
		return nil, true
	case l.below && bytes.HasPrefix(key, []byte(l.from)):
		if rest, ok := bytes.CutPrefix(path, []byte(l.from)); ok {
			return rest, true
		}
		return key[len(l.from):], true
	}
	return nil, false
}

// isThere reports whether all paths lead to where the request is already.
func (l *leading) isThere(r *policy.Request) bool {
	at, ok := strings.CutPrefix(l.to, schemeOf(r)+"://")
	if !ok {
		return false
	}
	host, path, _ := strings.Cut(at, "/")
	return strings.EqualFold(host, string(r.Host)) && path == "" && l.rest
}

func (l *leading) answer(r *policy.Request, scheme string, host, rest []byte, moved bool) (*policy.Answer, error) {
	var at []byte
	query := r.Query
	switch {
	case moved && l.to[0] != '/':
		at = []byte(l.to)
	case len(host) == 0:
		return nil, errors.New("the request names no host that it could be led to")
	default:
		at = append(append(append(at, scheme...), "://"...), host...)
		if moved {
			at = append(at, l.to...)
		}
	}
	switch {
	case moved && l.rest:
		at = append(at, rest...)
	case moved:
		if strings.Contains(l.to, "?") {
			query = nil
		}
	case r.Path[0] == '/':
		at = append(at, r.Path...)
	}
	at = append(at, query...)
	return &policy.Answer{Status: l.config.Status, Header: message.Header{{Name: []byte("Location"), Value: at}}}, nil
}

// Explain is policy.Explainer's.
func (l *leading) Explain(*policy.Request) string { return "the request is where it should be" }
