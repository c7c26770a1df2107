package proxy_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRateLimit asks as clients at many addresses, behind a proxy that is trusted and
// behind one that isn't: nobody becomes another client by what is only said.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	up := echoing(t, "")
	tenants := tenantsOf(
		"client", "domains: [client.example.com], policies: [{rate_limit: {rate: 2/h}}], services: [{url: 'http://"+up+"'}]",
		"path", "domains: [path.example.com], policies: [{rate_limit: {rate: 2/h, by: path}}], services: [{url: 'http://"+up+"'}]",
		"key", "domains: [key.example.com], policies: [{rate_limit: {rate: 2/h, by: 'header:X-Key'}}], services: [{url: 'http://"+up+"'}]")
	trusting := serve(t, "server: {address: '127.0.0.1:0', trusted_proxies: [127.0.0.1]}\naccess_log: {enabled: false}\n"+tenants)
	direct := serve(t, "server: {address: '127.0.0.1:0'}\naccess_log: {enabled: false}\n"+tenants)
	for _, c := range []struct {
		name    string
		trusted bool
		host    string
		heads   []string // target and fields of each request
		want    string   // statuses
	}{
		{"one client", true, "client", []string{"/ X-Forwarded-For: 203.0.113.1", "/a X-Forwarded-For: 203.0.113.1", "/ X-Forwarded-For: 203.0.113.1"}, "200 200 429"},
		{"others", true, "client", []string{"/ X-Forwarded-For: 203.0.113.2", "/ X-Forwarded-For: 203.0.113.3", "/ X-Forwarded-For: 203.0.113.4"}, "200 200 200"},
		{"what stands before", true, "client", []string{"/ X-Forwarded-For: 1.1.1.1, 203.0.113.5", "/ X-Forwarded-For: 2.2.2.2, 203.0.113.5", "/ Forwarded: for=3.3.3.3, for=203.0.113.5"}, "200 200 429"},
		{"spellings", true, "client", []string{"/ X-Forwarded-For: 203.0.113.6:1", "/ X-Forwarded-For: ::ffff:203.0.113.6", "/ X-Forwarded-For: [::ffff:203.0.113.6]:2"}, "200 200 429"},
		{"one network of IPv6", true, "client", []string{"/ X-Forwarded-For: 2001:db8::1", "/ X-Forwarded-For: 2001:db8::2", "/ X-Forwarded-For: [2001:db8:0:0:ffff::3]:80"}, "200 200 429"},
		{"nobody knows who", true, "client", []string{"/ X-Forwarded-For: unknown", "/ X-Forwarded-For: _a", "/ X-Forwarded-For: _b"}, "200 200 429"},
		{"said by a stranger", false, "client", []string{"/ X-Forwarded-For: 203.0.113.1", "/ Forwarded: for=203.0.113.2", "/ X-Real-IP: 203.0.113.3"}, "200 200 429"},
		{"spellings of a path", false, "path", []string{"/a/b X: y", "/a//b X: y", "/a/%62 X: y", "/a/./b;x=1?q X: y", "/a/c X: y"}, "200 200 429 429 200"},
		{"spellings of a field", false, "key", []string{"/ X-Key: a", "/ x-KEY:  a ", "/ X_Key: a", "/ X-Key: b"}, "200 200 429 200"},
	} {
		server := direct
		if c.trusted {
			server = trusting
		}
		var got []string
		for _, head := range c.heads {
			path, fields, _ := strings.Cut(head, " ")
			answer, _ := askRaw(t, server.Addr().String(), "GET "+path+" HTTP/1.1\r\nHost: "+c.host+".example.com\r\n"+fields+"\r\n\r\n")
			got = append(got, fmt.Sprint(answer.StatusCode))
			limited := answer.StatusCode == 429
			if limited != (answer.Header.Get("X-Gateway-Error") == "rate_limited") || limited != (answer.Header.Get("Retry-After") != "") || answer.Header.Get("RateLimit-Policy") == "" || answer.Header.Get("RateLimit") == "" {
				t.Errorf("%s: %s: got %v", c.name, head, answer.Header)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %s, want %s", c.name, strings.Join(got, " "), c.want)
		}
	}
	trusting.Reload()
	if answer, _ := askRaw(t, trusting.Addr().String(), "GET / HTTP/1.1\r\nHost: client.example.com\r\nX-Forwarded-For: 203.0.113.1\r\n\r\n"); answer.StatusCode != 429 {
		t.Errorf("after a reload: got %d", answer.StatusCode)
	}
}

// TestDryRun: nobody is refused, and the log says who would be.
func TestDryRun(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "access.log")
	server := start(t, fmt.Sprintf("access_log: {output: %q}\ntenants:\n  - {name: a, domains: [example.com], policies: [{rate_limit: {rate: 1/h, dry_run: true}}], services: [{url: 'http://%s'}]}\n", log, echoing(t, "")))
	for _, path := range []string{"/first", "/second"} {
		if answer, _ := askRaw(t, server.Addr().String(), "GET "+path+" HTTP/1.1\r\nHost: example.com\r\n\r\n"); answer.StatusCode != 200 || answer.Header.Get("RateLimit") != `"client";r=0;t=3600` {
			t.Errorf("%s: got %d %v", path, answer.StatusCode, answer.Header)
		}
	}
	eventually(t, "the log has both", func() bool {
		text, _ := os.ReadFile(log) // #nosec G304 -- of this test
		first, second := "", ""
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, `"path":"/first"`) {
				first = line
			} else if strings.Contains(line, `"path":"/second"`) {
				second = line
			}
		}
		return first != "" && !strings.Contains(first, "would_answer") && strings.Contains(second, `"would_answer":"rate_limit"`) && strings.Contains(second, `"status":200`)
	})
}

// TestConcurrency: while one is in progress at a target, the next waits, and another
// one is refused; who waited is served when the first has ended, or gone.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}, 8), make(chan struct{})
	up := target(t, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		for {
			request, err := http.ReadRequest(reader)
			if err != nil {
				return
			}
			arrived <- struct{}{}
			if request.URL.Path == "/slow" {
				<-release
			}
			if _, err := conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")); err != nil {
				return
			}
		}
	})
	server := start(t, "access_log: {enabled: false}\ntenants:\n  - {name: a, domains: [example.com], policies: [{concurrency: {max: 1, queue: 1, queue_timeout: 10m}}], services: [{url: 'http://"+up+"'}]}\n")
	open := func(path string) *bufio.Reader {
		conn := dial(t, server)
		send(t, conn, "GET "+path+" HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
		return bufio.NewReader(conn)
	}
	status := func(r *bufio.Reader) int {
		t.Helper()
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode
	}
	first := open("/slow")
	<-arrived
	second := open("/next")
	eventually(t, "a second is in flight", func() bool { return server.InFlight() == 2 })
	var refused int
	eventually(t, "a third is refused", func() bool { // the second may not have come to the policy yet
		answer, _ := askRaw(t, server.Addr().String(), "GET /third HTTP/1.1\r\nHost: example.com\r\n\r\n")
		refused = answer.StatusCode
		return refused == 503 && answer.Header.Get("X-Gateway-Error") == "concurrency_exceeded" && answer.Header.Get("Retry-After") == "1"
	})
	close(release)
	if got := []int{status(first), status(second)}; got[0] != 200 || got[1] != 200 {
		t.Errorf("got %v", got)
	}
	eventually(t, "there is room again", func() bool {
		answer, _ := askRaw(t, server.Addr().String(), "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
		return answer.StatusCode == 200
	})
}

// TestOnOwnAnswers: what policies add to responses is on the gateway's own too, and
// errors are worded as the tenant says.
func TestOnOwnAnswers(t *testing.T) {
	t.Parallel()
	dir, log := t.TempDir(), filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(filepath.Join(dir, "502.html"), []byte("<h1>{status} {reason} {code}</h1>"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := start(t, fmt.Sprintf("access_log: {output: %q}\ntenants:\n", log)+
		"  - {name: dead, domains: [dead.example.com], policies: [{cors: {origins: 'https://app.example.com'}}, {security_headers: {}}, {errors: {problem: true, pages: {5xx: {file: '"+dir+"/502.html'}}}}], services: [{url: 'http://127.0.0.1:1'}], health: {interval: 1h}}\n"+
		"  - {name: away, domains: [away.example.com], policies: [{maintenance: {text: <h1>Back soon</h1>, status: 599}}, {errors: {pages: {5xx: {text: never}}}}], services: [{url: 'http://127.0.0.1:1'}], health: {interval: 1h}}\n"+
		"  - {name: moved, domains: [moved.example.com, www.moved.example.com], policies: [{redirect: {https: true, www: remove}}], services: [{url: 'http://127.0.0.1:1'}], health: {interval: 1h}}\n"+
		"  - {name: bare, domains: [bare.example.com], policies: [{maintenance: {}}], services: [{url: 'http://127.0.0.1:1'}], health: {interval: 1h}}\n"+
		"  - {name: path, path_prefix: /path, policies: [{redirect: {www: remove, from: /path/old, to: /path/new}}], services: [{url: 'http://127.0.0.1:1'}], health: {interval: 1h}}\n")
	for _, c := range []struct {
		request    string
		status     int
		code, body string
		fields     map[string]string
	}{
		{"GET / HTTP/1.1\r\nHost: dead.example.com\r\nOrigin: https://app.example.com", 502, "upstream_connect_failed", "<h1>502 Bad Gateway upstream_connect_failed</h1>",
			map[string]string{"Access-Control-Allow-Origin": "https://app.example.com", "Vary": "Origin", "X-Content-Type-Options": "nosniff", "Strict-Transport-Security": "", "Content-Type": "text/html; charset=utf-8"}},
		{"GET / HTTP/1.1\r\nHost: dead.example.com\r\nAccept: application/json", 503, "no_healthy_target", `"detail":"no target is healthy","code":"no_healthy_target"`,
			map[string]string{"Content-Type": "application/problem+json"}},
		{"HEAD / HTTP/1.1\r\nHost: dead.example.com", 503, "no_healthy_target", "", map[string]string{"Content-Type": "text/html; charset=utf-8"}},
		{"OPTIONS / HTTP/1.1\r\nHost: dead.example.com\r\nOrigin: https://app.example.com\r\nAccess-Control-Request-Method: PUT", 204, "", "", map[string]string{"Access-Control-Allow-Origin": "https://app.example.com", "Access-Control-Max-Age": "600"}},
		{"OPTIONS / HTTP/1.1\r\nHost: dead.example.com\r\nOrigin: https://evil.net\r\nAccess-Control-Request-Method: PUT", 403, "cors_denied", "cors_denied", map[string]string{"Access-Control-Allow-Origin": ""}},
		{"GET / HTTP/1.1\r\nHost: away.example.com\r\nAccept: application/json", 599, "maintenance", "<h1>Back soon</h1>", map[string]string{"Content-Type": "text/html; charset=utf-8", "Retry-After": "300", "Cache-Control": "no-store"}},
		{"POST / HTTP/1.1\r\nHost: away.example.com\r\nContent-Length: 4\r\n\r\nbody", 599, "maintenance", "<h1>Back soon</h1>", nil},
		{"GET / HTTP/1.1\r\nHost: bare.example.com", 503, "maintenance", "code: maintenance", map[string]string{"Content-Type": "text/plain; charset=utf-8"}},
		{"GET /path/a HTTP/1.1\r\nHost: www.any.test:8080", 308, "", "", map[string]string{"Location": "http://any.test:8080/path/a"}},
		{"GET http://www.any.test:8080/path/a HTTP/1.0\r\n", 308, "", "", map[string]string{"Location": "http://any.test:8080/path/a"}},
		{"GET /path/old HTTP/1.1\r\nHost: [2001:db8::1]", 308, "", "", map[string]string{"Location": "http://[2001:db8::1]/path/new"}},
		{"GET /path/old HTTP/1.0\r\n", 400, "bad_host", "code: bad_host", nil},
		{"GET /a//b?c HTTP/1.1\r\nHost: www.moved.example.com:8080", 308, "", "", map[string]string{"Location": "https://moved.example.com/a/b?c"}},
		{"GET http://www.moved.example.com/a HTTP/1.1\r\nHost: www.moved.example.com", 308, "", "", map[string]string{"Location": "https://moved.example.com/a"}},
	} {
		request := c.request
		if !strings.Contains(request, "\r\n\r\n") {
			request += "\r\n\r\n"
		}
		answer, body := askRaw(t, server.Addr().String(), request)
		if answer.StatusCode != c.status || answer.Header.Get("X-Gateway-Error") != c.code || !strings.Contains(body, c.body) || c.body == "" && body != "" {
			t.Errorf("%q: got %d %q %q", c.request, answer.StatusCode, answer.Header.Get("X-Gateway-Error"), body)
		}
		for name, want := range c.fields {
			if got := strings.Join(answer.Header.Values(name), "|"); got != want {
				t.Errorf("%q: %s is %q, want %q", c.request, name, got, want)
			}
		}
	}
	eventually(t, "the log has the codes", func() bool {
		text, _ := os.ReadFile(log) // #nosec G304 -- of this test
		return strings.Contains(string(text), `"error":"maintenance"`) && strings.Contains(string(text), `"cause":"origin \"https://evil.net\" is not in origins"`)
	})
}
