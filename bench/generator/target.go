package generator

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// Target is one request that is sent again and again.
type Target struct {
	// URL has a scheme, http or https, a host and perhaps a port. Its path and
	// query are sent as they are written.
	URL *url.URL

	Method string // default: GET, or POST where there is a body
	Host   string // the field Host; default: that of the options, else of the URL
	Weight int    // how often it is sent beside others, 1 to MaxWeight; default 1
}

// MaxWeight is a target's greatest weight.
const MaxWeight = 10_000

// ParseURL reads the URL of a target. What can't be sent as it is written is an
// error: other schemes, user names, spaces and control characters.
func ParseURL(text string) (*url.URL, error) {
	fail := func(expectation string) (*url.URL, error) {
		return nil, fmt.Errorf("URL %q: %s", text, expectation)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return fail("expected ASCII without spaces and control characters, write others as %20 and so on")
	}
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		return fail("the scheme is missing, expected something like http://127.0.0.1:8080/path")
	}
	if scheme != "http" && scheme != "https" {
		return fail("expected http:// or https://")
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("cannot read the URL: %w", err)
	}
	switch {
	case u.Hostname() == "":
		return fail("the host is missing")
	case u.User != nil:
		return fail("expected no user name, send an Authorization field with -H")
	case u.Port() != "" && !isPort(u.Port()):
		return fail("expected a port from 1 to 65535")
	case strings.Contains(text, "#"):
		return fail("expected no fragment, since it is never sent")
	}
	if i := strings.IndexAny(rest, "/?"); i >= 0 && strings.TrimPrefix(rest[i:], "/") != strings.TrimPrefix(pathOf(u), "/") {
		return fail("expected characters that paths may have, write others as %7C and so on")
	}
	return u, nil
}

func isPort(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= 1 && n <= 65535
}

// address is where to connect to: a host and port.
func (t *Target) address() string {
	port := t.URL.Port()
	if port == "" {
		port = "80"
		if t.secure() {
			port = "443"
		}
	}
	return net.JoinHostPort(t.URL.Hostname(), port)
}

func (t *Target) secure() bool { return t.URL.Scheme == "https" }

// pathOf is the path and query as they were written, "/" where there is neither.
func pathOf(u *url.URL) string {
	path := u.EscapedPath()
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	if u.RawQuery != "" || u.ForceQuery {
		path += "?" + u.RawQuery
	}
	return path
}

// check fills in the defaults, and returns what is wrong.
func (t *Target) check(o *Options) error {
	if t.Method == "" {
		if t.Method = "GET"; len(o.Body) > 0 {
			t.Method = "POST"
		}
	}
	if t.Host == "" {
		if t.Host = o.Host; t.Host == "" {
			t.Host = t.URL.Host
		}
	}
	if t.Weight == 0 {
		t.Weight = 1
	}
	switch {
	case !message.IsToken([]byte(t.Method)):
		return fmt.Errorf("method %q: expected letters such as GET", t.Method)
	case t.Method == "CONNECT":
		return fmt.Errorf("method CONNECT: expected one that isn't for proxies")
	case t.Weight < 1 || t.Weight > MaxWeight:
		return fmt.Errorf("weight %d: expected 1 to %d", t.Weight, MaxWeight)
	}
	return checkHost(t.Host)
}

// checkHost refuses what would break the field Host.
func checkHost(host string) error {
	for i := range len(host) {
		if c := host[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`/\?#@"<>,`, c) >= 0 {
			return fmt.Errorf("host %q: expected a name, perhaps with a port", host)
		}
	}
	return nil
}
