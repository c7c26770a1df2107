package admin_test

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/test/raw"
)

// asking is a script that makes the requests that its client names.
const asking = `
chi.get("/ask", function(request, response)
  local url = require "keystone.url"
  local ok, answer, message = pcall(http.request, {
    url = url.unescape(request:query_param("url")), method = request:query_param("method"), redirects = 5, timeout = 3,
    headers = { Host = request:query_param("host"), ["X-Forwarded-Admin"] = "1" },
  })
  response:write(ok and answer and (answer.status .. " " .. answer.body) or "refused: " .. tostring(ok and message or answer))
end)
chi.get("/nest", function(request, response)
  local answer = assert(http.get(request:header("X-Relay") .. "/nest", { headers = { Host = "evil.example.com", ["X-Relay"] = request:header("X-Relay") } }))
  response:write(answer.status == 200 and answer.body or "508 at ", answer.status == 200 and "." or answer.body, "")
end)
chi.get("/hello", function(_, response) response:write("hello") end)
`

// startAuthority runs a gateway whose tenant evil may connect to all of
// loopback; relay is the URL of a program that passes every connection on to
// where it points.
func startAuthority(t *testing.T) (g *gateway, relay string, to *atomic.Pointer[string]) {
	t.Helper()
	relay, to = startRelay(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "evil.lua"), []byte(asking), 0o600); err != nil {
		t.Fatal(err)
	}
	g = start(t, fmt.Sprintf(`lua_routing: {enabled: true, scripts_dir: %q}
tenants:
  - name: evil
    domains: [evil.example.com]
    lua_routes: [evil.lua]
    lua: { http: { allow: ["127.0.0.0/8", "::1", "0.0.0.0/8", "localhost"] } }
  - name: good
    domains: [good.example.com]
    services: [{url: %q}]
`, dir, target(t)))
	return g, relay, to
}

// startRelay listens, and passes connections on to the address that it is
// told: a load balancer before the gateway, or a port that leads to it.
func startRelay(t *testing.T) (string, *atomic.Pointer[string]) {
	t.Helper()
	to := &atomic.Pointer[string]{}
	address := raw.Serve(t, func(near net.Conn) {
		far, err := net.Dial("tcp", *to.Load())
		if err != nil {
			return
		}
		defer func() { _ = far.Close() }()
		go func() { _, _ = io.Copy(far, near) }()
		_, _ = io.Copy(near, far)
	})
	return "http://" + address, to
}

// spellings are the ways to name an address of this machine with a port. Which
// of them the system understands differs.
func spellings(port string) (list []string) {
	for _, host := range []string{
		"127.0.0.1", "127.1", "127.0.1", "0x7f.1", "0177.0.0.1", "2130706433", "0x7f000001", "127.9.9.9", "localhost", "LocalHost", "localhost.",
		"[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "0.0.0.0", "0",
	} {
		list = append(list, "http://"+host+":"+port)
	}
	addresses, _ := net.InterfaceAddrs()
	for _, a := range addresses {
		if network, ok := a.(*net.IPNet); ok {
			list = append(list, "http://"+net.JoinHostPort(network.IP.String(), port))
		}
	}
	return list
}

// No spelling of the gateway's own listeners leads a script to them, nor does a
// redirect, nor another program that passes its requests on.
func TestScriptsCannotReachTheGateway(t *testing.T) {
	t.Parallel()
	g, relay, to := startAuthority(t)
	ask := func(method, target, host string) string {
		t.Helper()
		query := url.Values{"url": {target}, "method": {method}, "host": {host}}
		return g.send("GET", g.public+"/ask?"+query.Encode(), "Host: evil.example.com").text
	}
	_, adminPort, _ := net.SplitHostPort(strings.TrimPrefix(g.root, "http://"))
	_, publicPort, _ := net.SplitHostPort(strings.TrimPrefix(g.public, "http://"))
	generation := g.ask("GET", "/snapshot").json(t, 200)["generation"]
	for _, base := range spellings(adminPort) {
		for _, c := range [][2]string{{"GET", "/admin/config"}, {"POST", "/admin/reload"}, {"GET", "/metrics"}} {
			if got := ask(c[0], base+c[1], "localhost"); !strings.HasPrefix(got, "refused: ") {
				t.Errorf("%s %s%s: %.200s", c[0], base, c[1], got)
			}
		}
	}
	for _, base := range spellings(publicPort) {
		if got := ask("GET", base+"/", "good.example.com"); !strings.HasPrefix(got, "refused: ") {
			t.Errorf("GET %s: %.200s", base, got)
		}
	}
	for _, elsewhere := range []string{"http+unix://%2Ftmp%2Fa.sock/", "unix:/tmp/a.sock", "http://unix:/tmp/a.sock", "http:///tmp/a.sock", "http://%2Ftmp%2Fa.sock/"} {
		if got := ask("GET", elsewhere, "localhost"); !strings.HasPrefix(got, "refused: ") {
			t.Errorf("GET %s: %.200s", elsewhere, got)
		}
	}
	address := strings.TrimPrefix(g.root, "http://")
	to.Store(&address)
	for _, c := range [][2]string{{"GET", "/admin/config"}, {"POST", "/admin/reload"}} {
		if got := ask(c[0], relay+c[1], "localhost"); !strings.HasPrefix(got, "403 ") || !strings.Contains(got, "script_refused") {
			t.Errorf("%s through another program: %.200s", c[1], got)
		}
	}
	if now := g.ask("GET", "/snapshot").json(t, 200)["generation"]; now != generation {
		t.Errorf("a script has reloaded the gateway: generation %v, want %v", now, generation)
	}
}

// A script that calls itself, through something that leads back to the gateway,
// ends after some rounds. What clients say of rounds is not believed.
func TestScriptsThatCallThemselvesEnd(t *testing.T) {
	t.Parallel()
	g, relay, to := startAuthority(t)
	address := strings.TrimPrefix(g.public, "http://")
	to.Store(&address)
	before := requestsOf(t, g, "evil")
	got := g.send("GET", g.public+"/nest", "Host: evil.example.com", "X-Relay: "+relay)
	if got.status != 200 || !strings.Contains(got.text, "script_loop") {
		t.Errorf("got %d %s, want the code script_loop", got.status, got.text)
	}
	g.settle()
	if rounds := requestsOf(t, g, "evil") - before; rounds > 8 {
		t.Errorf("%v requests have been nested, want few", rounds)
	}
	process := captureHops(t, g)
	for _, field := range []string{
		"1", "99", process + "-99-00", process + "-6-" + strings.Repeat("0", 32), process + "-6-", process, "-", ",,,", strings.Repeat("a-1-b,", 500),
		process + "-" + strings.Repeat("9", 100) + "-aa",
	} {
		if got := g.send("GET", g.public+"/hello", "Host: evil.example.com", "X-Gateway-Hops: "+field); got.status != 200 || got.text != "hello" {
			t.Errorf("a client that sends %.60q: %d %s, want 200", field, got.status, got.text)
		}
	}
}

// requestsOf returns how many requests the tenant has had.
func requestsOf(t *testing.T, g *gateway, tenant string) int {
	t.Helper()
	n, _ := at(t, g.ask("GET", "/tenants/"+tenant).json(t, 200), "lua", "runs").(float64)
	return int(n)
}

// captureHops returns how the elements of the gateway's process begin.
func captureHops(t *testing.T, g *gateway) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	head := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		buf := make([]byte, 4096)
		n, _ := conn.Read(buf)
		head <- string(buf[:n])
		_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	}()
	query := url.Values{"url": {"http://" + listener.Addr().String()}, "method": {"GET"}, "host": {"x"}}
	if got := g.send("GET", g.public+"/ask?"+query.Encode(), "Host: evil.example.com").text; !strings.HasPrefix(got, "204") {
		t.Fatalf("the script didn't reach another server of this machine, which is allowed: %s", got)
	}
	_, field, _ := strings.Cut(<-head, "X-Gateway-Hops: ")
	parts := strings.Split(field, "-")
	if n, err := strconv.Atoi(parts[min(1, len(parts)-1)]); err != nil || n != 1 {
		t.Fatalf("X-Gateway-Hops: %.100q, want a first element", field)
	}
	return parts[0]
}
