package redirect_test

import (
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/policytest"
)

func TestLocations(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		list, url string
		want      string // "" passes
	}{
		{"{https: true}", "http://example.com/a?b=c", "308 https://example.com/a?b=c"},
		{"{https: true}", "https://example.com/a?b=c", ""},
		{"{https: true, status: 301}", "http://[2001:db8::1]/", "301 https://[2001:db8::1]/"},
		{"{www: remove}", "http://www.example.com/a", "308 http://example.com/a"},
		{"{www: remove}", "https://example.com/a", ""},
		{"{www: remove}", "https://wwww.example.com/a", ""},
		{"{www: remove}", "https://www.com/", ""}, // what is left would be no host of anybody's
		{"{www: add}", "https://example.com/%E4?x", "308 https://www.example.com/%E4?x"},
		{"{www: add}", "https://www.example.com/", ""},
		{"{www: add}", "https://192.0.2.1/", ""},
		{"{www: add}", "https://[2001:db8::1]/", ""},
		{"{https: true, www: remove}", "http://www.example.com/a?b", "308 https://example.com/a?b"}, // in one step
		{"{from: /old, to: /new}", "http://example.com/old?a=b", "308 http://example.com/new?a=b"},
		{"{from: /old, to: /new}", "http://example.com/old/", ""},
		{"{from: /old, to: /new}", "http://example.com/older", ""},
		{"{from: /old, to: '/new?c=d'}", "http://example.com/old?a=b", "308 http://example.com/new?c=d"},
		{"{from: /old/*, to: /new/*, status: 302}", "http://example.com/old/a/b?c", "302 http://example.com/new/a/b?c"},
		{"{from: /old/*, to: /new/*}", "http://example.com/old", "308 http://example.com/new/"},
		{"{from: /old/*, to: /new}", "http://example.com/old/a", "308 http://example.com/new"},
		{"{from: /old/*, to: 'https://other.example.com/*'}", "http://example.com/old/a%20b", "308 https://other.example.com/a%20b"},
		{"{from: /old/*, to: /new/*}", "http://example.com/old;x/a", "308 http://example.com/new/a"},
		{"{from: /old/*, to: /new/*}", "http://example.com/old%2Fa", "308 http://example.com/new/a"},
		{"{to: 'https://example.org/*'}", "http://example.com/a?b", "308 https://example.org/a?b"},
		{"{to: 'https://example.org/*'}", "https://example.org/a?b", ""}, // it is there
		{"{to: 'https://example.org/*'}", "http://example.org/a?b", "308 https://example.org/a?b"},
		{"{to: 'https://example.org/gone'}", "http://example.com/a?b", "308 https://example.org/gone?b"},
		{"{https: true}", "http://example.com*", "308 https://example.com"}, // OPTIONS *
	} {
		chain := policytest.Build(t, "[{redirect: "+c.list+"}]", policy.Deps{})
		scheme, rest, _ := strings.Cut(c.url, "://")
		host, target, _ := strings.Cut(rest, "/")
		target = "/" + target
		if name, ok := strings.CutSuffix(host, "*"); ok {
			host, target = name, "*"
		}
		r := policytest.Request("GET "+target+" HTTP/1.1", "192.0.2.1")
		r.Host, r.Secure = []byte(host), scheme == "https"
		o := policytest.Ask(chain, r)
		got := ""
		if o.Status != 200 {
			got = strings.TrimSpace(strings.Join([]string{map[int]string{301: "301", 302: "302", 308: "308"}[o.Status], o.Field("Location")}, " "))
		}
		if got != c.want {
			t.Errorf("%s at %s: got %q, want %q", c.list, c.url, got, c.want)
		}
	}
}

// TestNoHost: where a request names no host, there is nowhere to lead it to.
func TestNoHost(t *testing.T) {
	t.Parallel()
	chain := policytest.Build(t, "[{redirect: {https: true}}]", policy.Deps{})
	if o := policytest.Ask(chain, policytest.Request("GET / HTTP/1.0", "")); o.Code != policy.CodeFailed {
		t.Errorf("got %+v", o)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"{}":                                  "redirect leads nowhere",
		"{https: true, status: 304}":          "status 304 is no redirect's",
		"{https: true, status: 200}":          "status 200 is no redirect's",
		"{from: /a}":                          `from is there without to`,
		"{from: a, to: /b}":                   `from "a" is no path`,
		"{from: /a*, to: /b}":                 `from "/a*" is no path`,
		"{from: '/a/*/b', to: /b}":            `from "/a/*/b" is no path`,
		"{from: /a//b, to: /b}":               `from "/a//b" isn't how paths are compared, expected "/a/b"`,
		"{from: '/a?b', to: /b}":              `from "/a?b" is no path`,
		"{from: /a/../b, to: /c}":             `from "/a/../b" isn't how paths are compared, expected "/b"`,
		"{from: /a, to: b}":                   `to "b" is neither a path nor a URL`,
		"{from: /a, to: //evil.net}":          `to "//evil.net" is neither`,
		"{from: /a, to: 'ftp://evil.net'}":    `is neither`,
		"{from: /a, to: 'javascript:x'}":      `is neither`,
		"{from: /a, to: \"/b\\r\\nX: y\"}":    `is neither`,
		"{from: /a, to: 'https://u:p@a.com'}": `is neither`,
		"{from: /a, to: '/b/*'}":              `to "/b/*" has a "*", and from "/a" has none`,
		"{from: /a/*, to: '/b*'}":             `has its "*" elsewhere`,
		"{from: /a/*, to: '/b?c=*'}":          `has its "*" elsewhere`,
		"{to: /b}":                            "is itself led on, again and again",
		"{from: /a/*, to: /a/b/*}":            "is itself led on, again and again",
		"{from: /a, to: /a}":                  "is itself led on, again and again",
		"{www: ad}":                           `expected one of add, remove, got "ad"`,
	} {
		if _, err := policytest.Check("[{redirect: "+list+"}]", ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", list, err, want)
		}
	}
}

func TestAllocates0(t *testing.T) { //nolint:paralleltest // it counts allocations
	chain := policytest.Build(t, "[{redirect: {https: true, www: remove}}, {redirect: {from: /old/*, to: /new/*}}]", policy.Deps{})
	r := policytest.Request("GET /a/b HTTP/1.1\r\nHost: example.com", "192.0.2.1")
	r.Secure = true
	policytest.Allocates0(t, chain, r)
}
