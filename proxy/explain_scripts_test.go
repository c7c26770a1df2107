package proxy_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const readingScript = `
chi_middleware(function(request, response, next)
  next()
  if request.path == "/caught" then
    local _, message = pcall(function() return response.body end)
    response:set_body(tostring(message))
  elseif request.path == "/read" then
    response:header("X-Length", #response.body)
  elseif request.path == "/replaced" then
    response:set_body("whole")
    response:flush()
  end
end)`

// TestCausesUnderScripts: what goes wrong while a script waits for its target is
// logged as it is without one, whether or not the script has asked for the
// response's body. Scripts and clients are told the fault only.
func TestCausesUnderScripts(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 1)
	says := func(answer string, then func(conn net.Conn)) string {
		return target(t, func(conn net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, answer)
			then(conn)
		})
	}
	ends := func(net.Conn) {}
	waits := func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
	tells := func(conn net.Conn) { asked <- struct{}{}; waits(conn) }
	begun := "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"
	large := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n401\r\n" + strings.Repeat("x", 1025) + "\r\n0\r\n\r\n"
	cases := []struct {
		name, path, target, idle string
		status                   int // 499: the client leaves
		code, cause              string
	}{
		{"cut", "/read", says(begun, ends), "1m", 502, "upstream_bad_response", `target "one": it ended too early`},
		{"pausing", "/read", says(begun, waits), "100ms", 504, "upstream_timeout", `target "one": it has sent nothing for timeouts.idle (100ms)`},
		{"large", "/read", says(large, ends), "1m", 502, "upstream_bad_response", "the response's body is larger than lua.max_body, 1024 bytes"},
		{"caught", "/caught", says(begun, ends), "1m", 502, "", ""},
		{"left before the head", "/left", says("", tells), "1m", 499, "client_gone", `target "one": given up: the client went away`},
		{"left before the body", "/read", says(begun, tells), "1m", 499, "client_gone", `target "one": the client went away`},
	}
	w := newWorkshop(t, "scripts/reading.lua", readingScript)
	log := filepath.Join(w.dir, "access.log")
	var tenants []string
	for i, c := range cases {
		tenants = append(tenants, fmt.Sprint("t", i), fmt.Sprintf("domains: [t%d.example.com], lua_routes: reading, lua: {timeout: 20s, max_body: 1KiB}, timeouts: {idle: %s}, services: [{name: one, url: 'http://%s'}]", i, c.idle, c.target))
	}
	w.write("c.yaml", tenantsOf(tenants...))
	w.replace("c.yaml", "access_log: {enabled: false}", fmt.Sprintf("access_log: {output: %q}", log))
	w.run()
	for i, c := range cases {
		request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: t%d.example.com\r\n\r\n", c.path, i)
		if c.status == 499 {
			conn, err := net.Dial("tcp", w.server.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			send(t, conn, request)
			<-asked
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
			continue
		}
		answer, body := w.speak(request)
		if answer.StatusCode != c.status || strings.Contains(body, "one") || c.path == "/caught" && body != "the target's answer is malformed" {
			t.Errorf("%s: got %d, %q", c.name, answer.StatusCode, body)
		}
	}
	lines := map[string]string{}
	eventually(t, "there is a line for each request", func() bool {
		text, _ := os.ReadFile(log) // #nosec G304 -- of this test
		for l := range strings.Lines(string(text)) {
			var one struct {
				Tenant, Error, Cause string
				Status               int
			}
			if json.Unmarshal([]byte(l), &one) == nil {
				lines[one.Tenant] = fmt.Sprint(one.Status, " ", one.Error, ": ", one.Cause)
			}
		}
		return len(lines) == len(cases)
	})
	for i, c := range cases {
		if got, want := lines[fmt.Sprint("t", i)], fmt.Sprint(c.status, " ", c.code, ": ", c.cause); got != want {
			t.Errorf("%s: %s\nwant %s", c.name, got, want)
		}
	}
	for tenant := range w.server.Tenants() {
		want := uint64(1)
		if i := numberOf(tenant.Name); cases[i].status == 499 || cases[i].name == "large" {
			want = 0
		}
		if got := tenant.Pool.Targets()[0].Failures.Load(); got != want {
			t.Errorf("%s: the target has %d failures, want %d", tenant.Name, got, want)
		}
	}
}

// TestReplacedBodyHasNoTrailer: a body that a script puts in the place of a
// target's has no trailer section, and doesn't announce one.
func TestReplacedBodyHasNoTrailer(t *testing.T) {
	t.Parallel()
	up := answering(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n")
	w := newWorkshop(t, "scripts/reading.lua", readingScript, "c.yaml", tenantsOf("a", "domains: [a.example.com], lua_routes: reading, services: [{url: 'http://"+up+"'}]"))
	w.run()
	for path, want := range map[string]bool{"/replaced": false, "/": true} {
		answer, body := w.speak("GET " + path + " HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
		if _, announced := answer.Trailer["X-Sum"]; announced != want || answer.StatusCode != 200 {
			t.Errorf("%s: got %d %q with the trailer %v", path, answer.StatusCode, body, answer.Trailer)
		}
	}
}

// TestNothingIsCutOfHeads: a script that fails after it has begun a response
// without content takes nothing away from it, so the connection ends in order: a
// reset could destroy what came before it on the connection.
func TestNothingIsCutOfHeads(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "scripts/failing.lua", `
chi_middleware(function(request, response)
  response:status(tonumber(request:query_param("status")))
  response:flush()
  error("too late")
end)`, "c.yaml", tenantsOf("a", "domains: [a.example.com], lua_routes: failing, lua: {timeout: 20s}"))
	w.run()
	for request, whole := range map[string]bool{
		"HEAD /?status=200 HTTP/1.1": true, "HEAD /?status=200 HTTP/1.0": true, "GET /?status=204 HTTP/1.1": true,
		"GET /?status=205 HTTP/1.1": true, "GET /?status=304 HTTP/1.1": true, "GET /?status=200 HTTP/1.0": false,
	} {
		conn, err := net.Dial("tcp", w.server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		send(t, conn, request+"\r\nHost: a.example.com\r\n\r\n")
		got, err := io.ReadAll(conn)
		_ = conn.Close()
		if errors.Is(err, syscall.ECONNRESET) == whole || whole && (err != nil || !strings.HasSuffix(string(got), "\r\n\r\n")) {
			t.Errorf("%s: %q, then %v", request, got, err)
		}
	}
}
