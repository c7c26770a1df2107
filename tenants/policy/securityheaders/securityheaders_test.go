package securityheaders_test

import (
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/policytest"
)

const get = "GET /a HTTP/1.1\r\nHost: example.com\r\n"

func TestFields(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		list   string
		secure bool
		want   map[string]string
	}{
		{"{}", true, map[string]string{
			"Strict-Transport-Security": "max-age=31536000", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "strict-origin-when-cross-origin",
			"Cross-Origin-Opener-Policy": "same-origin-allow-popups", "Content-Security-Policy": "", "Server": "", "X-Powered-By": ""}},
		{"{}", false, map[string]string{"Strict-Transport-Security": "", "X-Content-Type-Options": "nosniff"}},
		{"{override: true, hide: [], hsts_subdomains: true, hsts_preload: true, content_security_policy: \"default-src 'self'\"}", true, map[string]string{
			"Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload", "X-Frame-Options": "SAMEORIGIN", "Content-Security-Policy": "default-src 'self'", "Server": "nginx"}},
		{"{hsts_max_age: 0, frame_options: '', referrer_policy: no-referrer, permissions_policy: camera=(), cross_origin_resource_policy: same-site, hide: server}", true, map[string]string{
			"Strict-Transport-Security": "", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Permissions-Policy": "camera=()", "Cross-Origin-Resource-Policy": "same-site", "Server": "", "X-Powered-By": "PHP"}},
	} {
		chain := policytest.Build(t, "[{security_headers: "+c.list+"}]", policy.Deps{})
		r := policytest.Request(get, "192.0.2.1")
		r.Secure = c.secure
		o := policytest.Ask(chain, r, "x-frame-OPTIONS", "DENY", "Server", "nginx", "X-Powered-By", "PHP")
		for name, want := range c.want {
			if got := o.Field(name); got != want {
				t.Errorf("%s: %s is %q, want %q", c.list, name, got, want)
			}
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"{content_security_policy: \"a\\r\\nb\"}":              "Content-Security-Policy is no value of a field",
		"{frame_options: ' DENY'}":                             "X-Frame-Options is no value of a field",
		"{referrer_policy: " + strings.Repeat("a", 8193) + "}": "Referrer-Policy of 8193 bytes is too long",
		"{hsts_max_age: 900000h}":                              "hsts_max_age 900000h is out of range",
		"{hsts_preload: true}":                                 "hsts_preload needs hsts_subdomains",
		"{hide: [Content-Length]}":                             `field "Content-Length" can't be hidden`,
		"{hide: ['a b']}":                                      `hide has "a b"`,
	} {
		if _, err := policytest.Check("[{security_headers: "+list+"}]", ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", list, err, want)
		}
	}
}

func TestAllocates0(t *testing.T) { //nolint:paralleltest // it counts allocations
	policytest.Allocates0(t, policytest.Build(t, "[{security_headers: {content_security_policy: \"default-src 'self'\"}}]", policy.Deps{}), policytest.Request(get, "192.0.2.1"))
}
