package referer_test

import (
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/policytest"
)

func TestSites(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		list, fields string
		passes       bool
	}{
		{"{allow: [example.org, '*.example.org']}", "Referer: https://example.org/page?x", true},
		{"{allow: [example.org, '*.example.org']}", "referer: HTTP://A.Example.ORG:8080/", true},
		{"{allow: [example.org, '*.example.org']}", "Referer: https://shop.example.com/", true}, // its own
		{"{allow: [example.org, '*.example.org']}", "Referer: https://evil.net/example.org", false},
		{"{allow: [example.org, '*.example.org']}", "Referer: https://evil.net?a.example.org", false},
		{"{allow: [example.org, '*.example.org']}", "Referer: https://example.org@evil.net/", false},
		{"{allow: [example.org, '*.example.org']}", "Referer: https://example.org.evil.net/", false},
		{"{allow: [example.org, '*.example.org']}", "Referer: https://evil.net#.example.org", false},
		{"{allow: [example.org, '*.example.org']}", "Referer: https://evil.net\\.example.org/", false},
		{"{allow: [example.org, '*.example.org']}", "Referer: example.org", false},
		{"{allow: [example.org, '*.example.org']}", "Referer: file:///example.org", false},
		{"{allow: [example.org, '*.example.org']}", "Referer: https:///", false},
		{"{allow: [example.org, '*.example.org']}", "Referer: https://example.org/\r\nReferer: https://evil.net/", false},
		{"{allow: [example.org, '*.example.org']}", "X: y", true},
		{"{allow: example.org, deny_missing: true}", "X: y", false},
		{"{allow: example.org, deny_missing: true}", "Referer: ", false},
		{"{deny: '*evil.net'}", "Referer: https://www.EVIL.net/", false},
		{"{deny: '*evil.net'}", "Referer: https://other.net/", true},
		{"{deny: '*evil.net'}", strings.Repeat("Referer: https://other.net/\r\n", 8), true},
		{"{deny: '*evil.net'}", strings.Repeat("Referer: https://other.net/\r\n", 9), false},
		{"{allow: '*.example.org', deny: 'bad.*'}", "Referer: https://bad.example.org/", false},
	} {
		o := policytest.Ask(policytest.Build(t, "[{referer: "+c.list+"}]", policy.Deps{}), policytest.Request("GET /a HTTP/1.1\r\nHost: shop.example.com\r\n"+c.fields, ""))
		if (o.Status == 200) != c.passes || !c.passes && (o.Code != "referer_denied" || o.Cause == "") {
			t.Errorf("%s of %q: got %d %s %s", c.list, c.fields, o.Status, o.Code, o.Cause)
		}
	}
	for list, want := range map[string]string{
		"{}":                              "referer refuses nobody",
		"{allow: 'https://example.org/'}": `allow has "https://example.org/", expected a host like example.com`,
	} {
		if _, err := policytest.Check("[{referer: "+list+"}]", ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", list, err, want)
		}
	}
}

func TestAllocates0(t *testing.T) { //nolint:paralleltest // it counts allocations
	policytest.Allocates0(t, policytest.Build(t, "[{referer: {allow: '*.example.org', deny: 'bad.*'}}]", policy.Deps{}),
		policytest.Request("GET /a HTTP/1.1\r\nHost: shop.example.com\r\nReferer: https://A.Example.ORG/page", ""))
}
