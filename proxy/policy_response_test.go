package proxy_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// responding is a target that answers by the path.
func responding(t *testing.T) (address string) {
	t.Helper()
	answers := map[string]string{
		"/plain":   "HTTP/1.1 200 OK\r\nServer: old\r\nserver: older\r\nX-Frame-Options: DENY\r\nVary: Origin\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
		"/chunked": "HTTP/1.1 200 OK\r\nServer: old\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"/304":     "HTTP/1.1 304 Not Modified\r\nServer: old\r\nETag: \"1\"\r\n\r\n",
		"/204":     "HTTP/1.1 204 No Content\r\nServer: old\r\n\r\n",
		"/500":     "HTTP/1.1 500 Oops\r\nServer: old\r\nContent-Length: 5\r\n\r\nhello",
		"/broken":  "HTTP/1.1 what\r\n\r\n",
		"/hints":   "HTTP/1.1 103 Early Hints\r\nServer: old\r\n\r\nHTTP/1.1 200 OK\r\nServer: old\r\nContent-Length: 5\r\n\r\nhello",
		"/large":   "HTTP/1.1 200 OK\r\nServer: old\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n" + strings.Repeat("hello", 200),
	}
	return target(t, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		for {
			request, err := http.ReadRequest(reader)
			if err != nil {
				return
			}
			answer := answers[request.URL.Path]
			if request.URL.Path == "/upgrade" {
				answer = "HTTP/1.1 101 Switching Protocols\r\nServer: old\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nhello"
			} else if request.Method == http.MethodHead {
				answer, _, _ = strings.Cut(answer, "\r\n\r\n")
				answer += "\r\n\r\n"
			}
			if _, err := conn.Write([]byte(answer)); err != nil {
				return
			}
		}
	})
}

const answeringScript = `
chi_route("GET", "/lua", function(request, response) response:header("Server", "script") response:write("hello") end)
chi_route("GET", "/lua/flush", function(request, response)
  response:header("Server", "script") response:write("hel") response:flush() response:write("lo") end)
chi_route("GET", "/lua/fail", function() error("no") end)
chi_route("GET", "/lua/304", function(request, response) response:status(304) end)
`

// TestHeadersOfResponses looks at every kind of response that a client of the
// tenant can get: each is amended once.
func TestHeadersOfResponses(t *testing.T) {
	t.Parallel()
	up := responding(t)
	const policies = "[{headers: {response: {remove: [X-Frame-Options], set: {Server: 'keystone for ${client_address}'}, add: {Vary: X-A, X-Added: ['1', '2']}}}}]"
	tenant := func(name, more string) []string {
		return []string{name, "domains: [" + name + ".example.com], policies: " + policies + ", " + more}
	}
	w := newWorkshop(t, "scripts/answering.lua", answeringScript, "c.yaml", "compression: {enabled: true}\nrequest_limits: {max_body_size: 10B}\n"+tenantsOf(slices.Concat(
		tenant("a", "services: [{url: 'http://"+up+"'}]"),
		tenant("b", "lua_routes: answering, lua: {timeout: 20s}, services: [{url: 'http://"+up+"'}]"),
		tenant("dead", "services: [{url: 'http://127.0.0.1:1'}], health: {interval: 1h}"),
		tenant("empty", "lua_routes: answering, lua: {timeout: 20s}"),
	)...))
	w.run()
	for _, c := range []struct {
		request string // method, host and path, and perhaps fields
		status  int
		body    string
	}{
		{"GET a/plain", 200, "hello"},
		{"HEAD a/plain", 200, ""},
		{"GET a/chunked", 200, "hello"},
		{"GET a/304", 304, ""},
		{"GET a/204", 204, ""},
		{"GET a/500", 500, "hello"},
		{"GET a/broken", 502, "upstream_bad_response"},
		{"HEAD a/broken", 502, ""},
		{"POST a/plain Content-Length: 11", 413, "body_too_large"},
		{"GET a/%00", 400, "bad_path"},
		{"OPTIONS a/plain Max-Forwards: 0", 200, ""},
		{"GET a/large Accept-Encoding: gzip", 200, "\x1f\x8b"},
		{"GET dead/", 502, "upstream_connect_failed"},
		{"GET b/plain", 200, "hello"},
		{"GET b/lua", 200, "hello"},
		{"HEAD empty/lua", 405, ""},
		{"GET b/lua/flush", 200, "hello"},
		{"GET b/lua/fail", 500, "script_error"},
		{"GET b/lua/304", 304, ""},
		{"GET b/broken", 502, "upstream_bad_response"},
		{"GET empty/none", 404, "no_route"},
		{"POST empty/lua", 405, "method_not_allowed"},
	} {
		method, rest, _ := strings.Cut(c.request, " ")
		rest, fields, _ := strings.Cut(rest, " ")
		host, path, _ := strings.Cut(rest, "/")
		request := fmt.Sprintf("%s /%s HTTP/1.1\r\nHost: %s.example.com\r\n%s\r\n\r\n", method, path, host, strings.TrimSuffix(fields+"\r\n", "\r\n"))
		if fields == "" {
			request = fmt.Sprintf("%s /%s HTTP/1.1\r\nHost: %s.example.com\r\n\r\n", method, path, host)
		}
		answer, body := askRaw(t, w.server.Addr().String(), request)
		if answer.StatusCode != c.status || !strings.Contains(body, c.body) || c.body == "" && body != "" {
			t.Errorf("%s: got %d %q, want %d with %q", c.request, answer.StatusCode, body, c.status, c.body)
		}
		if path == "%00" {
			continue // no tenant was known
		}
		for name, want := range map[string]string{"Server": "keystone for 127.0.0.1", "X-Added": "1|2", "X-Frame-Options": ""} {
			if got := strings.Join(answer.Header.Values(name), "|"); got != want {
				t.Errorf("%s: %s is %q, want %q", c.request, name, got, want)
			}
		}
		if vary := strings.Join(answer.Header.Values("Vary"), ", "); strings.Count(vary, "X-A") != 1 || path == "large" && !strings.Contains(vary, "Accept-Encoding") {
			t.Errorf("%s: Vary is %q", c.request, vary)
		}
		if len(answer.Header.Values("X-Request-Id")) != 1 || len(answer.Header.Values("Content-Type")) > 1 || len(answer.Header.Values("Content-Length")) > 1 {
			t.Errorf("%s: fields stand twice: %v", c.request, answer.Header)
		}
	}
}

// dialAmended connects to a gateway whose responses all get a field Server.
func dialAmended(t *testing.T) net.Conn {
	t.Helper()
	server := start(t, "access_log: {enabled: false}\ntenants:\n  - {name: a, domains: [example.com], policies: [{headers: {response: {set: {Server: keystone}}}}], services: [{url: 'http://"+responding(t)+"'}]}\n")
	conn, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestHeadersOfTunnels: a 101 is amended, and the tunnel works.
func TestHeadersOfTunnels(t *testing.T) {
	t.Parallel()
	conn := dialAmended(t)
	send(t, conn, "GET /upgrade HTTP/1.1\r\nHost: example.com\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
	reader := bufio.NewReader(conn)
	answer, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != 101 || strings.Join(answer.Header.Values("Server"), "|") != "keystone" {
		t.Errorf("got %d with %v", answer.StatusCode, answer.Header)
	}
	if hello, err := reader.Peek(5); string(hello) != "hello" {
		t.Errorf("got %q %v through the tunnel", hello, err)
	}
}

// TestInterimIsNotAmended: what the policy does is for final responses.
func TestInterimIsNotAmended(t *testing.T) {
	t.Parallel()
	conn := dialAmended(t)
	send(t, conn, "GET /hints HTTP/1.1\r\nHost: example.com\r\n\r\n")
	reader := bufio.NewReader(conn)
	head := ""
	for strings.Count(head, "\r\n\r\n") < 2 {
		line, err := reader.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		head += line
	}
	interim, final, _ := strings.Cut(head, "\r\n\r\n")
	if !strings.Contains(interim, "Server: old") || !strings.Contains(final, "Server: keystone") || strings.Contains(final, "old") {
		t.Errorf("got %q", head)
	}
}
