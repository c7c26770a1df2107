package redirect_test

import (
	"fmt"
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
		{"{www: remove}", "http://www.example.com:22200/k", "308 http://example.com:22200/k"},
		{"{www: remove}", "https://www.example.com:443/k", "308 https://example.com/k"},
		{"{https: true}", "http://example.com:8080/k", "308 https://example.com/k"}, // TLS isn't spoken at that port
		{"{from: /old, to: /new}", "https://example.com:8443/old", "308 https://example.com:8443/new"},
		{"{from: /old, to: '/new#part'}", "http://example.com/old?a=b", "308 http://example.com/new?a=b#part"},
		{"{from: /old, to: '/new?c=d#part'}", "http://example.com/old?a=b", "308 http://example.com/new?c=d#part"},
		{"{from: /old, to: '/new#is?no=query'}", "http://example.com/old?a=b", "308 http://example.com/new?a=b#is?no=query"},
		{"{from: /old, to: 'https://a.test/new#part'}", "http://example.com/old?a", "308 https://a.test/new?a#part"},
		{"{from: /a/b/*, to: /a/*}", "http://example.com/a/b/c", "308 http://example.com/a/c"}, // shorter each time
		// What has arrived isn't led there again.
		{"{from: /l/*, to: 'https://red.test/l/m'}", "http://red.test/l/m", "308 https://red.test/l/m"},
		{"{from: /l/*, to: 'https://red.test/l/m'}", "https://red.test/l/m", ""},
		{"{from: /l/*, to: 'https://red.test/l/m'}", "https://red.test/l/n", ""},
		{"{from: /l/*, to: 'https://red.test/l/m'}", "https://other.test/l/n", "308 https://red.test/l/m"},
		{"{from: /l/*, to: 'https://RED.test.:443/%6c;x/*'}", "https://red.test/l/m", ""},
		{"{from: /l, to: 'https://red.test/l?a=1'}", "https://red.test/l", ""},
		{"{from: /l, to: 'https://red.test/m'}", "https://red.test/l", "308 https://red.test/m"},
		{"{to: 'http://example.org:8080/*'}", "http://example.org:8080/a", ""},
		{"{to: 'http://example.org:8080/*'}", "http://example.org/a", "308 http://example.org:8080/a"},
		{"{to: 'http://example.org:80/*'}", "http://example.org/a", ""},
		{"{to: 'https://a.test'}", "https://a.test/x?y", ""},
		{"{to: 'https://a.test'}", "https://b.test/x?y", "308 https://a.test?y"},
		{"{to: 'https://[2001:DB8::1]/*'}", "https://[2001:db8::1]/x", ""},
	} {
		chain := policytest.Build(t, "[{redirect: "+c.list+"}]", policy.Deps{})
		scheme, rest, _ := strings.Cut(c.url, "://")
		host, target, _ := strings.Cut(rest, "/")
		target = "/" + target
		if name, ok := strings.CutSuffix(host, "*"); ok {
			host, target = name, "*"
		}
		r := policytest.Request("GET "+target+" HTTP/1.1", "192.0.2.1")
		if name, port, ok := strings.Cut(host, ":"); ok && name[0] != '[' {
			host, r.Port = name, []byte(port)
		}
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

// TestNoHost: where a request names no host, there is nowhere to lead it to but to
// another's.
func TestNoHost(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"{https: true}":                     "400 bad_host ",
		"{from: /a, to: /b}":                "400 bad_host ",
		"{www: add}":                        "200  ",
		"{from: /a, to: 'https://a.test/'}": "308  https://a.test/",
	} {
		chain := policytest.Build(t, "[{redirect: "+list+"}]", policy.Deps{})
		o := policytest.Ask(chain, policytest.Request("GET /a HTTP/1.0", ""))
		if got := fmt.Sprint(o.Status) + " " + o.Code + " " + o.Field("Location"); got != want {
			t.Errorf("%s: got %q, want %q", list, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"{}":                                      "redirect leads nowhere",
		"{https: true, status: 304}":              "status 304 is no redirect's",
		"{https: true, status: 200}":              "status 200 is no redirect's",
		"{from: /a}":                              `from is there without to`,
		"{from: a, to: /b}":                       `from "a" is no path`,
		"{from: /a*, to: /b}":                     `from "/a*" is no path`,
		"{from: '/a/*/b', to: /b}":                `from "/a/*/b" is no path`,
		"{from: /a//b, to: /b}":                   `from "/a//b" isn't how paths are compared, expected "/a/b"`,
		"{from: '/a?b', to: /b}":                  `from "/a?b" is no path`,
		"{from: /a/../b, to: /c}":                 `from "/a/../b" isn't how paths are compared, expected "/b"`,
		"{from: /a, to: b}":                       `to "b" is neither a path nor a URL`,
		"{from: /a, to: //evil.net}":              `to "//evil.net" is neither`,
		"{from: /a, to: 'ftp://evil.net'}":        `is neither`,
		"{from: /a, to: 'javascript:x'}":          `is neither`,
		"{from: /a, to: \"/b\\r\\nX: y\"}":        `is neither`,
		"{from: /a, to: 'https://u:p@a.com'}":     `is neither`,
		"{from: /a, to: '/b/*'}":                  `to "/b/*" has a "*", and from "/a" has none`,
		"{from: /a/*, to: '/b*'}":                 `has its "*" elsewhere`,
		"{from: /a/*, to: '/b?c=*'}":              `has its "*" elsewhere`,
		"{to: /b}":                                "is itself led on, again and again",
		"{from: /a/*, to: /a/b/*}":                "is itself led on, again and again",
		"{from: /a, to: /a}":                      "is itself led on, again and again",
		"{from: /x/*, to: /x}":                    "is itself led on, again and again",
		"{from: '/*', to: /x}":                    "is itself led on, again and again",
		"{from: /q, to: '/q?a=1'}":                "is itself led on, again and again",
		"{from: /old, to: '/old#a'}":              "is itself led on, again and again",
		"{from: /old, to: '/old;x'}":              "is itself led on, again and again",
		"{from: /old/*, to: '/a/../old/b'}":       "is itself led on, again and again",
		"{from: /old/*, to: '/%6fld/*'}":          "is itself led on, again and again",
		"{from: /old/*, to: '/a%2F../b'}":         "is neither a path nor a URL",
		"{https: true, to: 'http://a.test'}":      "leads to http, and https: true away from there",
		"{www: remove, to: 'https://www.a.test'}": "leads to a host that www: remove leads away from",
		"{www: add, to: 'https://a.test'}":        "leads to a host that www: add leads away from",
		"{www: ad}":                               `expected one of add, remove, got "ad"`,
	} {
		if _, err := policytest.Check("[{redirect: "+list+"}]", ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", list, err, want)
		}
	}
	for _, list := range []string{"{www: remove, to: 'https://a.test/*'}", "{www: add, to: 'https://www.a.test/*'}", "{from: /a, to: /" + strings.Repeat("x", 1000) + "}"} {
		if _, err := policytest.Check("[{redirect: "+list+"}]", ""); err != nil {
			t.Errorf("%s: %v", list, err)
		}
	}
}

func TestAllocates0(t *testing.T) { //nolint:paralleltest // it counts allocations
	chain := policytest.Build(t, "[{redirect: {https: true, www: remove}}, {redirect: {from: /old/*, to: /new/*}}]", policy.Deps{})
	r := policytest.Request("GET /a/b HTTP/1.1\r\nHost: example.com", "192.0.2.1")
	r.Secure = true
	policytest.Allocates0(t, chain, r)
}
