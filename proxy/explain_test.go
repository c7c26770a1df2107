package proxy_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/test/port"
)

var nothing = stdlog.New(io.Discard, "", 0)

// foreign are words of libraries that nobody who runs a gateway is to see.
var foreign = []string{"tls:", "x509", "fasthttp", "dial tcp", "read tcp", "write tcp", "connect:", "i/o timeout", "deadline", "EOF", "no such host", "lookup"}

// TestCauses sends each target of a kind a request, and demands of the access
// log what went wrong: the target, the setting with its value, and no library's
// words.
func TestCauses(t *testing.T) {
	t.Parallel()
	hang := target(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	says := func(answer string) string {
		return "http://" + target(t, func(conn net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, answer)
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, conn)
		})
	}
	pausing := target(t, func(conn net.Conn) {
		_, _ = http.ReadRequest(bufio.NewReader(conn))
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
		_, _ = io.Copy(io.Discard, conn)
	})
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = nothing
	secure.StartTLS()
	t.Cleanup(secure.Close)
	dead := port.Reserve(t)
	cases := []struct{ name, url, more, code, cause string }{
		{"refused", "http://" + dead, "", "upstream_connect_failed", `cannot connect to target "one" at ` + dead + `: refused the connection: nothing listens there`},
		{"unresolved", "http://none.invalid", "", "no_healthy_target", `no target is healthy: "one" is down: `},
		{"silent", "http://" + hang, "timeouts: {response_header: 100ms}", "upstream_timeout", `target "one": no response within timeouts.response_header (100ms)`},
		{"total", "http://" + hang, "timeouts: {total: 100ms}", "upstream_timeout", `target "one": no complete response within timeouts.total (100ms)`},
		{"pausing", "http://" + pausing, "timeouts: {idle: 100ms}", "upstream_idle_timeout", `after 3 bytes: target "one": it has sent nothing for timeouts.idle (100ms)`},
		{"cut", says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), "", "upstream_response_cut", `after 3 bytes: target "one": it ended too early`},
		{"noise", says("what?\r\n\r\n"), "", "upstream_bad_response", `target "one": malformed response: the status line is not`},
		{"quiet", says(""), "", "upstream_closed", `target "one": the connection ended before a response: `},
		{"wants TLS, quietly", says(""), "", "upstream_closed", `; if it speaks TLS, its url should begin with https://`},
		{"resets", "http://" + target(t, func(conn net.Conn) { _, _ = conn.Read(make([]byte, 1)) }), "", "upstream_closed", `reset the connection; if it speaks TLS, its url should begin with https://`},
		{"alert", says("\x15\x03\x03\x00\x02\x02\x0a"), "", "upstream_bad_response", `it speaks TLS, and was spoken to without: its url should begin with https://`},
		{"https as http", "http://" + secure.Listener.Addr().String(), "", "upstream_bad_response", `it speaks TLS, and was spoken to without: its url should begin with https://`},
		{"untrusted", secure.URL, "", "upstream_connect_failed", `is of no authority that the system trusts`},
		{"http as https", strings.Replace(says("HTTP/1.1 400 Bad Request\r\n\r\n"), "http:", "https:", 1), "", "upstream_connect_failed", `it speaks HTTP without TLS: its url should begin with http://`},
		{"closes handshakes", "https://" + target(t, func(conn net.Conn) { _, _ = conn.Read(make([]byte, 1<<10)) }), "", "upstream_connect_failed", `during the TLS handshake`},
		{"body", "http://" + hang, "", "body_too_large", "more than request_limits.max_body_size (1KiB)"},
	}
	log := filepath.Join(t.TempDir(), "access.log")
	config := fmt.Sprintf("request_limits: {max_body_size: 1KiB}\naccess_log: {output: %q}\ntenants:\n", log)
	for i, c := range cases {
		if c.more != "" {
			c.more += ", "
		}
		config += fmt.Sprintf("  - {name: t%d, domains: [t%d.example.com], %sservices: [{name: one, url: %q}]}\n", i, i, c.more, c.url)
	}
	server := start(t, config)
	for i := range cases {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+server.Addr().String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if cases[i].name == "body" {
			request.Method, request.Body = http.MethodPost, io.NopCloser(strings.NewReader(strings.Repeat("x", 2<<10)))
			request.ContentLength = 2 << 10
		}
		request.Host = fmt.Sprintf("t%d.example.com", i)
		if response, err := http.DefaultTransport.RoundTrip(request); err == nil {
			body, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if strings.Contains(string(body), dead) || strings.Contains(string(body), "100ms") {
				t.Errorf("%s: the client is told %s", cases[i].name, body)
			}
		}
	}
	lines := map[string]struct{ Tenant, Error, Cause string }{}
	eventually(t, "there is a line for each request", func() bool {
		text, _ := os.ReadFile(log)
		for line := range strings.Lines(string(text)) {
			var one struct{ Tenant, Error, Cause string }
			if json.Unmarshal([]byte(line), &one) == nil {
				lines[one.Tenant] = one
			}
		}
		return len(lines) == len(cases)
	})
	for i, c := range cases {
		got := lines[fmt.Sprintf("t%d", i)]
		if got.Error != c.code || !strings.Contains(got.Cause, c.cause) {
			t.Errorf("%s: %s: %s\nwant %s: %s", c.name, got.Error, got.Cause, c.code, c.cause)
		}
		for _, word := range foreign {
			if strings.Contains(got.Cause, word) {
				t.Errorf("%s: %q has a library's word, %q", c.name, got.Cause, word)
			}
		}
	}
	for t2 := range server.Tenants() {
		for _, target := range t2.Pool.Targets() {
			want := uint64(1)
			if name := cases[numberOf(t2.Name)].name; name == "body" || name == "unresolved" {
				want = 0
			}
			if got := target.Failures.Load(); got != want {
				t.Errorf("%s: the target has %d failures, want %d", cases[numberOf(t2.Name)].name, got, want)
			}
		}
	}
}

// TestOverflowIsNoFailure: what a limit of the gateway's own refuses is logged
// with the limit, and doesn't count against the target.
func TestOverflowIsNoFailure(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}, 1), make(chan struct{})
	busy := target(t, func(conn net.Conn) {
		_, _ = http.ReadRequest(bufio.NewReader(conn))
		arrived <- struct{}{}
		<-release
	})
	log := filepath.Join(t.TempDir(), "access.log")
	server := start(t, fmt.Sprintf("access_log: {output: %q}\ntenants: [{name: a, path_prefix: /, connections: {max_per_target: 1, max_pending: 0}, services: [{name: one, url: \"http://%s\"}]}]\n", log, busy))
	first, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Close() }()
	send(t, first, "GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
	<-arrived
	response, err := http.Get("http://" + server.Addr().String() + "/second")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if code := response.Header.Get("X-Gateway-Error"); code != "upstream_overflow" {
		t.Errorf("got %s", code)
	}
	for tenant := range server.Tenants() {
		if n := tenant.Pool.Targets()[0].Failures.Load(); n != 0 {
			t.Errorf("the target has %d failures", n)
		}
		tenant.Stats.Errors(func(code string, requests uint64) {
			if code != "upstream_overflow" || requests != 1 {
				t.Errorf("%d requests with %s", requests, code)
			}
		})
	}
	close(release)
	eventually(t, "the log names the limits", func() bool {
		text, _ := os.ReadFile(log)
		return strings.Contains(string(text), `target \"one\": connections.max_per_target (1) are in use, and connections.max_pending (0) requests wait for one`)
	})
}

// TestProbesSayTheProtocol: probes recognise a url with the wrong scheme.
func TestProbesSayTheProtocol(t *testing.T) {
	t.Parallel()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = nothing
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	server := start(t, fmt.Sprintf("tenants:\n"+
		"  - {name: a, path_prefix: /a, health: {path: /, interval: 100ms}, services: [{url: %q}]}\n"+
		"  - {name: b, path_prefix: /b, health: {path: /, interval: 100ms}, services: [{url: %q}]}\n",
		strings.Replace(secure.URL, "https", "http", 1), strings.Replace(plain.URL, "http", "https", 1)))
	for tenant := range server.Tenants() {
		want := map[string]string{"a": "begin with https://", "b": "begin with http://"}[tenant.Name]
		eventually(t, want, func() bool { return strings.Contains(tenant.Pool.Targets()[0].State().LastError, want) })
	}
}

func numberOf(tenant string) (n int) {
	_, _ = fmt.Sscanf(tenant, "t%d", &n)
	return n
}
