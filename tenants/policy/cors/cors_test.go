package cors_test

import (
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/policytest"
)

const list = "[{cors: {origins: ['https://app.example.com', 'https://*.example.org', 'http://localhost:3000'], credentials: true, expose: [X-Total, ETag], private_network: true}}]"

// TestOrigins: which origins' scripts may read a response, in whatever spelling; what
// a target says of that is replaced.
func TestOrigins(t *testing.T) {
	t.Parallel()
	chain := policytest.Build(t, list, policy.Deps{})
	for origin, want := range map[string]bool{
		"https://app.example.com":          true,
		"https://a.example.org":            true,
		"https://a.b.example.org":          true,
		"http://localhost:3000":            true,
		"":                                 false, // no Origin at all
		"null":                             false,
		"http://app.example.com":           false,
		"https://app.example.com:8443":     false,
		"https://app.example.com.evil.net": false,
		"https://example.org":              false,
		"https://evilexample.org":          false,
		"https://.example.org":             false,
		"https://a..example.org":           false,
		"https://a..b.example.org":         false,
		"https://evil.net/.example.org":    false,
		"https://evil.net:1.example.org":   false,
		"https://x@a.example.org":          false,
		"https://a.example.org.":           false,
		"HTTPS://app.example.com":          false, // no browser writes it so
		"https://app.example.com, x":       false,
		"https://app.example.com\r\nOrigin: https://app.example.com": false, // which of them?
	} {
		head := "GET /a HTTP/1.1\r\nHost: api.example.com\r\n"
		if origin != "" {
			head += "Origin: " + origin
		}
		o := policytest.Ask(chain, policytest.Request(head, "192.0.2.1"), "access-control-allow-ORIGIN", "*", "Access-Control-Allow-Credentials", "true", "Vary", "Accept")
		allowed, credentials, expose := "", "", ""
		if want {
			allowed, credentials, expose = origin, "true", "X-Total, ETag"
		}
		if o.Status != 200 || o.Field("Access-Control-Allow-Origin") != allowed || o.Field("Access-Control-Allow-Credentials") != credentials ||
			o.Field("Access-Control-Expose-Headers") != expose || o.Field("Vary") != "Accept|Origin" {
			t.Errorf("%q: got %d %q %q %q %q", origin, o.Status, o.Field("Access-Control-Allow-Origin"), o.Field("Access-Control-Allow-Credentials"), o.Field("Access-Control-Expose-Headers"), o.Field("Vary"))
		}
	}
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	chain := policytest.Build(t, list, policy.Deps{})
	const head = "OPTIONS /a HTTP/1.1\r\nHost: api.example.com\r\nOrigin: https://app.example.com\r\nAccess-Control-Request-Method: PUT\r\n"
	o := policytest.Ask(chain, policytest.Request(head+"Access-Control-Request-Headers: x-one, content-type\r\nAccess-Control-Request-Private-Network: true", ""))
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "https://app.example.com", "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
		"Access-Control-Allow-Headers": "x-one, content-type", "Access-Control-Max-Age": "600", "Access-Control-Allow-Credentials": "true",
		"Access-Control-Allow-Private-Network": "true", "Access-Control-Expose-Headers": "",
		"Vary": "Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network|Origin",
	} {
		if got := o.Field(name); o.Status != 204 || o.By != "cors" || got != want {
			t.Errorf("%s: got %q (%d), want %q", name, got, o.Status, want)
		}
	}
	for fields, want := range map[string]string{
		"X: y": "", "Access-Control-Request-Headers: a b": "", "Access-Control-Request-Headers: a,\x01": "", "Access-Control-Request-Headers: ": "",
		"Access-Control-Request-Headers: a\r\nAccess-Control-Request-Headers: b": "", "Access-Control-Request-Headers: *": "*",
	} {
		if o := policytest.Ask(chain, policytest.Request(head+fields, "")); o.Status != 204 || o.Field("Access-Control-Allow-Headers") != want {
			t.Errorf("%q: got %d %q", fields, o.Status, o.Field("Access-Control-Allow-Headers"))
		}
	}
	o = policytest.Ask(chain, policytest.Request(strings.Replace(head, "app.example.com", "evil.net", 1), ""))
	if o.Status != 403 || o.Code != "cors_denied" || o.Field("Access-Control-Allow-Origin") != "" || o.Field("Access-Control-Allow-Methods") != "" || o.Cause != `origin "https://evil.net" is not in origins` {
		t.Errorf("a foreign origin got %+v", o)
	}
	for _, passes := range []string{"OPTIONS /a HTTP/1.1\r\nOrigin: https://evil.net", "OPTIONS /a HTTP/1.1\r\nAccess-Control-Request-Method: PUT", "options /a HTTP/1.1\r\nOrigin: x\r\nAccess-Control-Request-Method: PUT"} {
		if o := policytest.Ask(chain, policytest.Request(passes, "")); o.Status != 200 {
			t.Errorf("%q is no preflight, and got %d", passes, o.Status)
		}
	}
	chain = policytest.Build(t, "[{cors: {origins: '*', methods: [GET], headers: [X-One], max_age: 0}}]", policy.Deps{})
	o = policytest.Ask(chain, policytest.Request(head, ""))
	if o.Field("Access-Control-Allow-Origin") != "*" || o.Field("Access-Control-Allow-Methods") != "GET" || o.Field("Access-Control-Allow-Headers") != "X-One" || o.Field("Access-Control-Max-Age") != "0" || strings.Contains(o.Field("Vary"), "Origin") {
		t.Errorf("any origin got %+v", o.Header)
	}
}

// TestBeforeAuthentication: a preflight is answered though a policy before asks who
// somebody is, after those that don't; the gateway's own refusals can be read.
func TestBeforeAuthentication(t *testing.T) {
	t.Parallel()
	list := []policy.Named{{Name: "ip", Section: section(t, "[{ip: {deny: 10.0.0.1}}]")}, {Name: "auth", Section: authenticating{}}, {Name: "cors", Section: section(t, "[{cors: {origins: 'https://app.example.com'}}]")}}
	counters := map[string]*policy.Counter{}
	chain, err := policy.Build(list, policy.Deps{}, func(name string) *policy.Counter {
		if counters[name] == nil {
			counters[name] = &policy.Counter{}
		}
		return counters[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	const origin = "Origin: https://app.example.com\r\n"
	for _, c := range []struct {
		head, client string
		status       int
		by, allowed  string
	}{
		{"OPTIONS /a HTTP/1.1\r\nAccess-Control-Request-Method: PUT\r\n" + origin, "192.0.2.1", 204, "cors", "https://app.example.com"},
		{"OPTIONS /a HTTP/1.1\r\nAccess-Control-Request-Method: PUT\r\nOrigin: https://evil.net", "192.0.2.1", 403, "cors", ""},
		{"OPTIONS /a HTTP/1.1\r\nAccess-Control-Request-Method: PUT\r\n" + origin, "10.0.0.1", 403, "ip", "https://app.example.com"},
		{"OPTIONS /a HTTP/1.1\r\n" + origin, "192.0.2.1", 401, "auth", "https://app.example.com"},
		{"GET /a HTTP/1.1\r\n" + origin, "192.0.2.1", 401, "auth", "https://app.example.com"},
		{"PUT /a HTTP/1.1\r\nAccess-Control-Request-Method: PUT\r\n" + origin, "192.0.2.1", 401, "auth", "https://app.example.com"},
	} {
		o := policytest.Ask(chain, policytest.Request(c.head, c.client))
		if o.Status != c.status || o.By != c.by || o.Field("Access-Control-Allow-Origin") != c.allowed {
			t.Errorf("%q: got %d by %q %q, want %d by %q", c.head, o.Status, o.By, o.Field("Access-Control-Allow-Origin"), c.status, c.by)
		}
	}
	if got := counters["cors"].Answered.Load(); got != 2 {
		t.Errorf("%d were counted as answered by cors, want 2", got)
	}
}

func section(t *testing.T, list string) policy.Section {
	t.Helper()
	config, err := policytest.Check(list, "")
	if err != nil {
		t.Fatal(err)
	}
	return policy.Of(&config.Policies[0])[0].Section
}

// authenticating refuses everybody.
type authenticating struct{ policy.Section }

func (authenticating) Authenticates()                           {}
func (a authenticating) New(policy.Deps) (policy.Policy, error) { return a, nil }
func (authenticating) Judge(*policy.Request) (*policy.Answer, error) {
	return &policy.Answer{Refusal: &policy.Refusal{Status: 401, Code: "who"}}, nil
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"{}":                                                          "cors has 0 origins, expected 1 to 1000 in origins",
		"{origins: '*', credentials: true}":                           `origin "*" can't be together with credentials`,
		"{origins: 'null'}":                                           `origin "null" is none, expected a scheme and a host like https://app.example.com; "null" is what every sandboxed page and file has`,
		"{origins: app.example.com}":                                  `origin "app.example.com" is none, expected a scheme and a host like https://app.example.com; write it with https://`,
		"{origins: 'https://app.example.com/'}":                       `; write it without a path`,
		"{origins: 'https://u@app.example.com'}":                      `; write it without a path`,
		"{origins: 'https://a*.example.com'}":                         `; "*" stands for whole labels`,
		"{origins: 'https://*'}":                                      `origin "https://*" is none`,
		"{origins: 'https://*.*.example.com'}":                        `origin "https://*.*.example.com" is none`,
		"{origins: 'https://a b'}":                                    `origin "https://a b" is none`,
		"{origins: 'https://a.com:x'}":                                `origin "https://a.com:x" is none`,
		"{origins: '*', methods: [G T]}":                              `methods has "G T"`,
		"{origins: '*', methods: '*'}":                                `methods has "*"`,
		"{origins: 'https://a.com', headers: '*', credentials: true}": `headers has "*", expected the name of one: browsers take "*" for a name here`,
		"{origins: '*', expose: []}":                                  "expose has 0 names",
		"{origins: '*', max_age: 25h}":                                "max_age 25h is out of range",
	} {
		if _, err := policytest.Check("[{cors: "+list+"}]", ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", list, err, want)
		}
	}
	if _, err := policytest.Check("[{cors: {origins: '*', max_age: 24h}}]", ""); err != nil {
		t.Error(err)
	}
	// What is written otherwise than browsers do is understood.
	chain := policytest.Build(t, "[{cors: {origins: ['HTTPS://App.Example.com:443', 'http://[2001:DB8::1]:8080']}}]", policy.Deps{})
	for _, origin := range []string{"https://app.example.com", "http://[2001:db8::1]:8080"} {
		if o := policytest.Ask(chain, policytest.Request("GET / HTTP/1.1\r\nOrigin: "+origin, "")); o.Field("Access-Control-Allow-Origin") != origin {
			t.Errorf("%s isn't allowed", origin)
		}
	}
}

func TestAllocates0(t *testing.T) { //nolint:paralleltest // it counts allocations
	chain := policytest.Build(t, list, policy.Deps{})
	for _, origin := range []string{"https://a.example.org", "https://app.example.com", "https://evil.net"} {
		policytest.Allocates0(t, chain, policytest.Request("GET /a HTTP/1.1\r\nHost: api.example.com\r\nOrigin: "+origin, "192.0.2.1"))
	}
}

// FuzzOrigin: whatever a request says, only an origin that is one is allowed.
func FuzzOrigin(f *testing.F) {
	for _, origin := range []string{"https://app.example.com", "https://a.example.org", "https://evil.net/.example.org", "https://a.example.org:1", "null"} {
		f.Add(origin)
	}
	f.Fuzz(func(t *testing.T, origin string) {
		if strings.ContainsAny(origin, "\r\n") {
			return
		}
		chain := policytest.Build(t, list, policy.Deps{})
		r := policytest.Request("GET /a HTTP/1.1\r\nHost: api.example.com\r\nOrigin: x", "")
		(*r.Header)[1].Value = []byte(origin)
		o := policytest.Ask(chain, r)
		switch got := o.Field("Access-Control-Allow-Origin"); {
		case got == "", got == "https://app.example.com", got == "http://localhost:3000":
		case got != origin || !strings.HasPrefix(got, "https://") || !strings.HasSuffix(got, ".example.org") || strings.ContainsAny(got[8:], "/:@?#\\ "):
			t.Errorf("%q was allowed as %q", origin, got)
		}
	})
}
