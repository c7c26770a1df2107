package redirect

import (
	"bytes"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// New builds the policy.
func (c *Config) New(policy.Deps) (policy.Policy, error) {
	l := &leading{config: c, source: sourceOf(c.From)}
	if c.To != "" {
		l.to, _ = parseTarget(c.To)
	}
	return l, nil
}

// leading is the policy.
type leading struct {
	config *Config
	source source
	to     *target // nil: paths stay as they are
}

var www = []byte("www.")

// Judge lets pass what is where it should be.
func (l *leading) Judge(r *policy.Request) (*policy.Answer, error) {
	scheme, host, elsewhere := l.scheme(r), r.Host, false
	if scheme != schemeOf(r) {
		elsewhere = true
	}
	switch {
	case l.config.removes(host):
		host, elsewhere = host[len(www):], true
	case l.config.adds(host):
		host, elsewhere = r.Append(func(dst []byte) []byte { return append(append(dst, www...), r.Host...) }), true
	}
	rest, moved := l.match(r)
	if !elsewhere && !moved {
		return nil, nil
	}
	if len(host) == 0 && (!moved || l.to.scheme == "") {
		return &policy.Answer{Refusal: noHost}, nil
	}
	location := l.location(r, scheme, host, rest, moved)
	return &policy.Answer{Status: l.config.Status, Header: message.Header{{Name: []byte("Location"), Value: location}}}, nil
}

// removes reports whether a host loses its "www.".
func (c *Config) removes(host []byte) bool {
	return c.WWW == "remove" && bytes.HasPrefix(host, www) && bytes.IndexByte(host[len(www):], '.') > 0
}

// adds reports whether a host gets a "www.".
func (c *Config) adds(host []byte) bool {
	return c.WWW == "add" && len(host) > 0 && host[0] != '[' && !bytes.HasPrefix(host, www) && !isAddress(host)
}

// LedTo returns the host to which requests of a canonical one are led by www; ok is false
// where they stay. Those below a wildcard aren't known.
func (c *Config) LedTo(host string) (led string, ok bool) {
	switch {
	case strings.HasPrefix(host, "*"):
	case c.removes([]byte(host)):
		return host[len(www):], true
	case c.adds([]byte(host)):
		return string(www) + host, true
	}
	return "", false
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

// match reports whether the path is one of from that isn't there yet, and what its "*"
// has.
func (l *leading) match(r *policy.Request) (rest []byte, moved bool) {
	if l.to == nil || len(r.Path) == 0 || r.Path[0] != '/' {
		return nil, false
	}
	if rest, moved = l.source.match(r.Path, r.Key()); !moved || l.to.leadsBack(r, &l.source) {
		return nil, false
	}
	return rest, true
}

// leadsBack reports whether a request for where "to" leads, at the host that this one
// has come to, would be led there again. What stands behind a "to" that is outside of
// from can be below from only if from begins with "to", and is the shorter each time.
func (t *target) leadsBack(r *policy.Request, s *source) bool {
	return t.scheme == schemeOf(r) && t.host == string(r.Host) && t.port == string(plainPort(t.scheme, r.Port)) && s.has(t.key)
}

// plainPort returns a port, or nothing for the one that a scheme has anyway.
func plainPort[T []byte | string](scheme string, port T) T {
	if scheme == "http" && string(port) == "80" || scheme == "https" && string(port) == "443" {
		return port[:0]
	}
	return port
}

// location is where a request is led to.
func (l *leading) location(r *policy.Request, scheme string, host, rest []byte, moved bool) (at []byte) {
	if !moved || l.to.scheme == "" {
		at = append(append(append(at, scheme...), "://"...), host...)
		if port := plainPort(scheme, r.Port); len(port) > 0 && scheme == schemeOf(r) { // the other scheme's isn't known
			at = append(append(at, ':'), port...)
		}
	}
	if !moved {
		if r.Path[0] == '/' {
			at = append(at, r.Path...)
		}
		return append(at, r.Query...)
	}
	at = append(at, l.to.text...)
	if l.to.rest {
		at = append(at, rest...)
	}
	if !strings.Contains(l.to.text, "?") {
		at = append(at, r.Query...)
	}
	return append(at, l.to.fragment...)
}

// Explain is policy.Explainer's.
func (l *leading) Explain(*policy.Request) string { return "the request is where it should be" }
