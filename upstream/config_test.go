package upstream_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// findings collects what Check methods report.
type findings struct {
	fields []any
	texts  []string
}

func (f *findings) Errorf(field any, format string, args ...any) {
	f.fields = append(f.fields, field)
	f.texts = append(f.texts, fmt.Sprintf(format, args...))
}

func TestParseAddress(t *testing.T) {
	for _, c := range []struct{ url, canonical, authority, server string }{
		{"http://10.0.0.1", "http://10.0.0.1:80", "10.0.0.1", ""},
		{"http://10.0.0.1:8080/", "http://10.0.0.1:8080", "10.0.0.1:8080", ""},
		{"HTTP://Example.COM:80/base/", "http://example.com:80/base", "example.com", ""},
		{"https://example.com", "https://example.com:443", "example.com", "example.com"},
		{"https://example.com.:8443/a/b", "https://example.com.:8443/a/b", "example.com:8443", "example.com"},
		{"http://localhost:3000", "http://localhost:3000", "localhost:3000", ""},
		{"http://under_score:1", "http://under_score:1", "under_score:1", ""},
		{"http://[::1]:8080", "http://[::1]:8080", "[::1]:8080", ""},
		{"https://[2001:DB8::1]", "https://[2001:db8::1]:443", "[2001:db8::1]", "2001:db8::1"},
		{"http://[::ffff:10.0.0.1]", "http://10.0.0.1:80", "10.0.0.1", ""},
		{"http://[fe80::1%25eth0]:80", "http://[fe80::1%eth0]:80", "[fe80::1]", ""},
		{"http://h/a%20b", "http://h:80/a%20b", "h", ""},
		{"unix:///run/app.sock", "unix:///run/app.sock", "localhost", ""},
		{"unix:/run/./app.sock", "unix:///run/app.sock", "localhost", ""},
	} {
		a, err := upstream.ParseAddress(c.url)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		if a.String() != c.canonical || a.Authority != c.authority || a.ServerName != c.server {
			t.Errorf("%s: got %q, Host %q, certificate for %q; expected %q, %q, %q",
				c.url, a, a.Authority, a.ServerName, c.canonical, c.authority, c.server)
		}
		_, dialled, _ := strings.Cut(c.canonical, "://")
		if slash := strings.IndexByte(dialled, '/'); slash > 0 {
			dialled = dialled[:slash]
		}
		if got := a.HostPort(); got != dialled {
			t.Errorf("%s: dials %q, expected %q", c.url, got, dialled)
		}
	}
}

func TestParseAddressRefuses(t *testing.T) {
	for url, expected := range map[string]string{
		"":                          "url is empty",
		"10.0.0.1":                  "no scheme",
		"10.0.0.1:8080":             "write http://10.0.0.1:8080",
		"app:8080/base":             "write http://app:8080/base",
		"localhost:3000":            "write http://localhost:3000",
		"//h":                       "no scheme",
		"ftp://h":                   `scheme "ftp", expected http, https, h2, h2c, grpc, grpcs or unix`,
		"http://":                   "has no host",
		"http:///path":              "has no host",
		"http:h":                    "has no host",
		"http://user:pw@h":          "contains a user",
		"http://h?q":                "query or a fragment",
		"http://h?":                 "query or a fragment",
		"http://h#f":                "query or a fragment",
		"http://h#":                 "query or a fragment",
		"http://h:":                 "colon without a port",
		"http://h:0":                "port 0, expected 1 to 65535",
		"http://h:65536":            "port 65536",
		"http://h:x":                "cannot be parsed",
		"http://a..b":               "empty label",
		"http://.a":                 "empty label",
		"http://a b":                "cannot be parsed",
		"http://bücher.example":     "xn--",
		"http://10.0.0.256":         "neither a DNS name nor an IP address",
		"http://1":                  "neither a DNS name nor an IP address",
		"http://[::g]":              "cannot be parsed",
		"http://h,i":                "in its host",
		"http://h/a/../b":           `segment ".."`,
		"http://h/a//b":             `segment ""`,
		"http://h/a%2fb":            `segment "a%2fb"`,
		"http://h/%2e%2e/b":         `segment "%2e%2e"`,
		"http://h/a;b":              `segment "a;b"`,
		"unix://run/app.sock":       "not the path of a socket",
		"unix:app.sock":             "not the path of a socket",
		"unix:///run/":              "not the path of a socket",
		"unix:///" + long(200, 'a'): "201 bytes",
		"http://" + long(64, 'a'):   "more than 63 bytes",
	} {
		_, err := upstream.ParseAddress(url)
		if err == nil || !strings.Contains(err.Error(), expected) {
			t.Errorf("%s: got %v, expected an error with %q", url, err, expected)
		}
		if err != nil && strings.Contains(err.Error(), "pw") {
			t.Errorf("%s: the error shows the password: %v", url, err)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"http://[::1%25lo]:80/a", "unix:/x", "https://a.b:1/%41"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := upstream.ParseAddress(raw)
		if err != nil {
			return
		}
		if strings.ContainsAny(a.Authority+a.BasePath, " \r\n\t\x00?#") {
			t.Fatalf("%q: Host %q and base %q can't stand in a request", raw, a.Authority, a.BasePath)
		}
	})
}

func TestStatusSet(t *testing.T) {
	for _, c := range []struct{ text, canonical, failure string }{
		{"200-399", "200-399", ""},
		{" 404, 200 - 299 ", "200-299,404", ""},
		{"200,201,202,204", "200-202,204", ""},
		{"100-599", "100-599", ""},
		{"", "", "not a status"},
		{"200,", "", "not a status"},
		{"2xx", "", "not a status"},
		{"300-200", "", "not a status"},
		{"99", "", "from 100 to 599"},
		{"600", "", "from 100 to 599"},
		{"-200", "", "not a status"},
	} {
		var s upstream.StatusSet
		err := s.UnmarshalText([]byte(c.text))
		if c.failure != "" {
			if err == nil || !strings.Contains(err.Error(), c.failure) {
				t.Errorf("%q: got %v, expected an error with %q", c.text, err, c.failure)
			}
			continue
		}
		if err != nil || s.String() != c.canonical {
			t.Errorf("%q: got %q, %v; expected %q", c.text, s, err, c.canonical)
		}
	}
	s := upstream.DefaultHealth().ExpectStatus
	for _, code := range []int{-1, 0, 199, 400, 600, 1 << 40} {
		if s.Contains(code) {
			t.Errorf("%s contains %d", s, code)
		}
	}
}

func TestDefaultsPassTheirChecks(t *testing.T) {
	health, timeouts, conns := upstream.DefaultHealth(), upstream.DefaultTimeouts(), upstream.DefaultConnections()
	var f findings
	health.Check(&f)
	timeouts.Check(&f)
	conns.Check(&f)
	upstream.CheckServices(services("http://10.0.0.1", "http://10.0.0.2", "unix:///run/app.sock"), &f)
	if len(f.texts) != 0 {
		t.Errorf("the defaults are refused: %q", f.texts)
	}
}

func TestCheckReports(t *testing.T) {
	list := services("http://10.0.0.1", "http://10.0.0.1:80/", "ftp://x", "http://10.0.0.4", "http://10.0.0.5")
	list[3].Name, list[3].Health, list[3].Weight = "10.0.0.1:80", "health", 1001
	list[4].Name, list[4].Health = "a\nb", "/a b"
	health := upstream.HealthConfig{Path: "/#", Interval: settings.Duration(time.Millisecond), HealthyAfter: 1001}
	timeouts := upstream.TimeoutsConfig{Total: -1}
	conns := upstream.ConnectionsConfig{MaxPending: -1, MaxAge: -1}
	var f findings
	upstream.CheckServices(list, &f)
	health.Check(&f)
	timeouts.Check(&f)
	conns.Check(&f)
	expected := []struct {
		field any
		text  string
	}{
		{&list[1].URL, "already services[0]"},
		{&list[2].URL, "expected http, https, h2, h2c"},
		{&list[3].Health, "starts with /"},
		{&list[3].Weight, "expected 0 to 1000"},
		{&list[3].Name, "already the name of services[0]"},
		{&list[4].Name, "expected printable"},
		{&list[4].Health, "percent-encoded"},
		{&health.Path, "percent-encoded"},
		{&health.Interval, "expected at least 100ms"},
		{&health.Timeout, "expected a duration"},
		{&health.HealthyAfter, "expected 1 to 1000"},
		{&health.UnhealthyAfter, "expected 1 to 1000"},
		{&health.ExpectStatus, "expected codes"},
		{&timeouts.Connect, "expected a duration"},
		{&timeouts.ResponseHeader, "expected a duration"},
		{&timeouts.Idle, "expected a duration"},
		{&timeouts.Total, "0 for no limit"},
		{&conns.MaxPerTarget, "expected 1 to 1000000"},
		{&conns.MaxPending, "expected 0 to 1000000"},
		{&conns.PendingTimeout, "expected a duration"},
		{&conns.IdleTimeout, "expected a duration"},
		{&conns.MaxStreams, "expected 1 to 10000"},
		{&conns.MaxAge, "expected a duration like 10m, or 0"},
	}
	if len(f.texts) != len(expected) {
		t.Fatalf("got %d findings, expected %d: %q", len(f.texts), len(expected), f.texts)
	}
	for i, e := range expected {
		if f.fields[i] != e.field || !strings.Contains(f.texts[i], e.text) {
			t.Errorf("finding %d: got %q (right field: %v), expected %q", i, f.texts[i], f.fields[i] == e.field, e.text)
		}
	}
}

// TestChecksToTheLast: the largest and the smallest that may be are taken, and
// what is one beyond isn't.
func TestChecksToTheLast(t *testing.T) {
	t.Parallel()
	wrong := func(health func(*upstream.HealthConfig), conns func(*upstream.ConnectionsConfig), service func(*upstream.ServiceConfig)) int {
		var f findings
		h, c, list := upstream.DefaultHealth(), upstream.DefaultConnections(), services("http://10.0.0.1")
		if health != nil {
			health(&h)
		}
		if conns != nil {
			conns(&c)
		}
		if service != nil {
			service(&list[0])
		}
		h.Check(&f)
		c.Check(&f)
		upstream.CheckServices(list, &f)
		return len(f.texts)
	}
	counts := func(low, high int, set func(n int) int) {
		t.Helper()
		for n, want := range map[int]int{low - 1: 1, low: 0, high: 0, high + 1: 1} {
			if got := set(n); got != want {
				t.Errorf("%d of %d to %d: %d findings, want %d", n, low, high, got, want)
			}
		}
	}
	counts(1, 1_000_000, func(n int) int { return wrong(nil, func(c *upstream.ConnectionsConfig) { c.MaxPerTarget = n }, nil) })
	counts(0, 1_000_000, func(n int) int { return wrong(nil, func(c *upstream.ConnectionsConfig) { c.MaxPending = n }, nil) })
	counts(1, 1000, func(n int) int { return wrong(func(h *upstream.HealthConfig) { h.HealthyAfter = n }, nil, nil) })
	counts(0, 1000, func(n int) int { return wrong(nil, nil, func(s *upstream.ServiceConfig) { s.Weight = n }) })
	for c := range 256 {
		path := "/a" + string([]byte{byte(c)})
		want := 0
		if c <= ' ' || c >= 0x7f || c == '#' || c == '\\' {
			want = 1
		}
		if got := wrong(func(h *upstream.HealthConfig) { h.Path = path }, nil, nil); got != want {
			t.Errorf("the path %q: %d findings, want %d", path, got, want)
		}
	}
}

func long(n int, c rune) string { return strings.Repeat(string(c), n) }
