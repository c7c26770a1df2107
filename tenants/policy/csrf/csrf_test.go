package csrf_test

import (
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/policytest"
)

const host = "Host: shop.example.com:8443\r\n"

func TestForeign(t *testing.T) {
	t.Parallel()
	chain := policytest.Build(t, "[{csrf: {trusted_origins: ['https://app.example.com', 'http://localhost:3000', 'https://Ports.example.com:443']}}]", policy.Deps{})
	for _, c := range []struct {
		method, fields string
		passes         bool
	}{
		{"GET", "Sec-Fetch-Site: cross-site\r\nOrigin: https://evil.net", true},
		{"HEAD", "Sec-Fetch-Site: cross-site", true},
		{"OPTIONS", "Origin: https://evil.net", true},
		{"GET", "Upgrade: websocket\r\nOrigin: https://evil.net", false},
		{"GET", "Upgrade: websocket\r\nOrigin: https://evil.net\r\nSec-Fetch-Site: cross-site", false},
		{"GET", "UPGRADE: WebSocket\r\nOrigin: https://shop.example.com:8443", true},
		{"GET", "Upgrade: websocket\r\nOrigin: https://app.example.com\r\nSec-Fetch-Site: cross-site", true},
		{"GET", "Upgrade: h2c", true},
		{"POST", "Origin: https://ports.example.com", true}, // which is how browsers write it
		{"POST", "X: y", true}, // no browser
		{"POST", "Sec-Fetch-Site: same-origin", true},
		{"POST", "Sec-Fetch-Site: none", true},
		{"POST", "Sec-Fetch-Site: same-site", false},
		{"POST", "Sec-Fetch-Site: cross-site", false},
		{"POST", "Sec-Fetch-Site: SAME-ORIGIN", false},
		{"POST", "Sec-Fetch-Site: ", false},
		{"POST", "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site", false},
		{"POST", "sec-fetch-SITE: same-origin\r\nOrigin: https://evil.net", true}, // which no page can forge
		{"POST", "Sec-Fetch-Site: cross-site\r\nOrigin: https://app.example.com", true},
		{"POST", "Sec-Fetch-Site: cross-site\r\nOrigin: https://app.example.com.evil.net", false},
		{"POST", "Sec-Fetch-Site: cross-site\r\nOrigin: http://app.example.com", false},
		{"POST", "Origin: https://shop.example.com:8443", true},
		{"POST", "Origin: https://SHOP.example.com:8443", true},
		{"POST", "Origin: https://shop.example.com", false},
		{"POST", "Origin: http://shop.example.com:8443", false}, // the request has come by TLS
		{"POST", "Origin: https://shop.example.com:8443.evil.net", false},
		{"POST", "Origin: https://evil.net", false},
		{"POST", "Origin: null", false},
		{"POST", "Origin: ", false},
		{"POST", "Origin: https://shop.example.com:8443\r\nOrigin: https://evil.net", false},
		{"PUT", "Origin: https://evil.net", false},
		{"DELETE", "Origin: http://localhost:3000", true},
		{"get", "Origin: https://evil.net", false}, // methods have a case
		{"PROPFIND", "Sec-Fetch-Site: cross-site", false},
	} {
		r := policytest.Request(c.method+" /a HTTP/1.1\r\n"+host+c.fields, "192.0.2.1")
		r.Secure = true
		o := policytest.Ask(chain, r)
		if (o.Status == 200) != c.passes || !c.passes && (o.Code != "csrf_refused" || o.Cause == "") {
			t.Errorf("%s %q: got %d %s %s", c.method, c.fields, o.Status, o.Code, o.Cause)
		}
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	chain := policytest.Build(t, "[{csrf: {token_cookie: csrf}}]", policy.Deps{})
	o := policytest.Ask(chain, policytest.Request("GET / HTTP/1.1\r\n"+host, ""))
	line := o.Field("Set-Cookie")
	token, rest, _ := strings.Cut(strings.TrimPrefix(line, "csrf="), ";")
	if len(token) < 26 || rest != " Path=/; SameSite=Lax" {
		t.Fatalf("got %q", line)
	}
	if again := policytest.Ask(chain, policytest.Request("GET / HTTP/1.1\r\n"+host, "")); again.Field("Set-Cookie") == line {
		t.Error("two clients got the same token")
	}
	for fields, want := range map[string]bool{
		"Cookie: csrf=" + token + "\r\nX-CSRF-Token: " + token:                                   true,
		"Cookie: a=b; csrf=" + token + "\r\nx-csrf-token: " + token:                              true,
		"Cookie: csrf=" + token:                                                                  false,
		"X-CSRF-Token: " + token:                                                                 false,
		"Cookie: csrf=" + token + "\r\nX-CSRF-Token: " + token[1:]:                               false,
		"Cookie: csrf=" + token + "\r\nX-CSRF-Token: " + token + "\r\nX-CSRF-Token: " + token:    false,
		"Cookie: csrf=\r\nX-CSRF-Token: ":                                                        false,
		"Cookie: csrf=a\r\nX-CSRF-Token: a":                                                      false,
		"Cookie: csrf=" + token + "\r\nX-CSRF-Token: " + token + "\r\nSec-Fetch-Site: same-site": false,
	} {
		if o := policytest.Ask(chain, policytest.Request("POST / HTTP/1.1\r\n"+host+fields, "")); (o.Status == 200) != want {
			t.Errorf("%q: got %d %s", fields, o.Status, o.Cause)
		}
	}
	if o := policytest.Ask(chain, policytest.Request("GET / HTTP/1.1\r\n"+host+"Upgrade: websocket\r\nOrigin: http://shop.example.com:8443", "")); o.Status != 200 {
		t.Errorf("a WebSocket without a token got %d %s", o.Status, o.Cause)
	}
	for says, want := range map[string]string{"": "private", "public, max-age=60": "public, max-age=60|private", "Private": "Private", "no-store": "no-store"} {
		if o := policytest.Ask(chain, policytest.Request("GET / HTTP/1.1\r\n"+host, ""), "Cache-Control", says); strings.TrimPrefix(o.Field("Cache-Control"), "|") != want {
			t.Errorf("Cache-Control %q became %q, want %q", says, o.Field("Cache-Control"), want)
		}
	}
	has := policytest.Request("GET / HTTP/1.1\r\n"+host+"Cookie: csrf="+token, "")
	if o := policytest.Ask(chain, has); o.Field("Set-Cookie") != "" {
		t.Errorf("who has a token got %q", o.Field("Set-Cookie"))
	}
	chain = policytest.Build(t, "[{csrf: {token_cookie: __Host-csrf}}]", policy.Deps{})
	for _, secure := range []bool{false, true} {
		r := policytest.Request("GET / HTTP/1.1\r\n"+host, "")
		r.Secure = secure
		if o := policytest.Ask(chain, r); strings.HasSuffix(o.Field("Set-Cookie"), "; Path=/; SameSite=Lax; Secure") != secure {
			t.Errorf("secure %v: got %q", secure, o.Field("Set-Cookie"))
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"{trusted_origins: app.example.com}":            `trusted origin "app.example.com" is none`,
		"{trusted_origins: 'https://app.example.com/'}": "is none",
		"{trusted_origins: 'https://*.example.com/a'}":  "is none",
		"{trusted_origins: 'https://*.example.com'}":    `is none, expected a scheme and a host like https://app.example.com; each by itself`,
		"{trusted_origins: 'null'}":                     "is none",
		"{token_cookie: 'a b'}":                         `token_cookie "a b" is not the name of a cookie`,
		"{token_cookie: a, token_header: ''}":           `token_header "" is not the name of a field`,
	} {
		if _, err := policytest.Check("[{csrf: "+list+"}]", ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", list, err, want)
		}
	}
}

func TestAllocates0(t *testing.T) { //nolint:paralleltest // it counts allocations
	chain := policytest.Build(t, "[{csrf: {trusted_origins: 'https://app.example.com', token_cookie: csrf}}]", policy.Deps{})
	token := strings.Repeat("t", 26)
	for _, fields := range []string{"Origin: https://app.example.com", "Sec-Fetch-Site: same-origin", "Origin: http://shop.example.com:8443"} {
		policytest.Allocates0(t, chain, policytest.Request("POST /a HTTP/1.1\r\n"+host+"Cookie: csrf="+token+"\r\nX-CSRF-Token: "+token+"\r\n"+fields, "192.0.2.1"))
	}
}
