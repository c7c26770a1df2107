package proxy_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

// TestRequestAllocates0 counts the allocations of the whole process over many
// requests from socket to socket, with the access log on.
func TestRequestAllocates0(t *testing.T) {
	target := answering(t, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "edge.lua"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "access.log")
	server := start(t, "access_log: {output: \""+log+"\"}\nlua_routing: {enabled: true, scripts_dir: \""+dir+"\"}\ntenants:\n"+
		"  - {name: a, domains: [example.com], services: [{url: \"http://"+target+"\"}]}\n"+
		"  - {name: b, domains: [scripted.example.com], lua_routes: [edge.lua], lua: {timeout: 20s}, services: [{url: \"http://"+target+"\"}]}\n"+
		"  - {name: c, domains: [resilient.example.com], resilience: standard, services: [{url: \"http://"+target+"\"}, {name: two, url: \"http://"+target+"/x\"}]}\n")
	for name, request := range map[string]string{
		"resilience":     "GET /path?q=1 HTTP/1.1\r\nHost: resilient.example.com\r\n\r\n",
		"GET":            "GET /path?q=1 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: x\r\nAccept: */*\r\nCookie: a=b\r\n\r\n",
		"POST":           "POST /path HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\n\r\nbody",
		"Lua middleware": "GET /path?q=1 HTTP/1.1\r\nHost: scripted.example.com\r\nUser-Agent: x\r\nX-Api-Key: k\r\n\r\n",
		"Lua route":      "GET /lua/7 HTTP/1.1\r\nHost: scripted.example.com\r\nUser-Agent: x\r\n\r\n",
		"Lua and a body": "POST /path HTTP/1.1\r\nHost: scripted.example.com\r\nContent-Length: 4\r\n\r\nbody",
	} {
		if n := allocationsOf(t, server, request); n > 0 {
			t.Errorf("a %s allocates: %d times in %d requests at best, want 0", name, n, window)
		}
	}
	eventually(t, "the access log is written", func() bool {
		lines, err := os.ReadFile(log) // #nosec G304 -- of this test
		return err == nil && bytes.Contains(lines, []byte(`"status":200`))
	})
}

// TestProxiedRequestAllocates0 is the same behind a trusted proxy, with what
// targets say of their connections and paths that aren't canonical.
func TestProxiedRequestAllocates0(t *testing.T) {
	target := answering(t, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nKeep-Alive: timeout=60, max=100\r\nETag: \"1\"\r\nContent-Length: 5\r\n\r\nhello")
	server := serve(t, "server: {address: \"127.0.0.1:0\", trusted_proxies: [127.0.0.1], add_date: true}\naccess_log: {enabled: false}\ntenants:\n"+
		"  - {name: a, domains: [example.com], normalize_path: {merge_slashes: false}, services: [{url: \"http://"+target+"\"}]}\n")
	for name, request := range map[string]string{
		"X-Forwarded-For": "GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.9:1234\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 203.0.113.9\r\n\r\n",
		"Forwarded":       "GET / HTTP/1.1\r\nHost: example.com\r\nForwarded: for=203.0.113.9;proto=https;host=x\r\n\r\n",
		"spelled path":    "GET /%3f//%7e HTTP/1.1\r\nHost: example.com\r\nTE: trailers\r\n\r\n",
	} {
		if n := allocationsOf(t, server, request); n > 0 {
			t.Errorf("a request with %s allocates: %d times in %d requests at best, want 0", name, n, window)
		}
	}
}

// TestPoliciesAllocate0 is the same with a policy of each kind that lets requests
// pass, with and without scripts.
func TestPoliciesAllocate0(t *testing.T) {
	const policies = "policies: [{ip: {allow: [127.0.0.0/8, '::1'], deny: [10.0.0.0/8]}}, {rate_limit: {rate: 1000000/s, burst: 1000000000, by: [client, path, 'header:X-Api-Key', 'cookie:a']}}, " +
		"{rate_limit: {rate: 1000000/s, by: tenant}}, {concurrency: {max: 100, queue: 10, by: client}}, {user_agent: {deny: ['*bot*'], allow: '*'}}, {referer: {allow: '*.example.org'}}, " +
		"{maintenance: {enabled: false}}, {redirect: {www: remove, from: /old/*, to: /new/*}}, {cors: {origins: 'https://*.example.org', credentials: true, expose: X-Id}}, " +
		"{csrf: {trusted_origins: 'https://a.example.org'}}, {security_headers: {}}, {errors: {problem: true}}, {headers: {" +
		"request: {remove: [X-Old, Cookie], set: {X-Real-IP: '${client_address}', X-All: 'for ${tenant} at ${host}, ${request_id}'}, add: {X-More: [a, '${host}']}}, " +
		"response: {remove: [Server], set: {Strict-Transport-Security: max-age=31536000, X-Id: '${request_id}'}, add: {Vary: Origin}}}}]"
	target := answering(t, "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "edge.lua"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	server := start(t, "access_log: {enabled: false}\nlua_routing: {enabled: true, scripts_dir: \""+dir+"\"}\ntenants:\n"+
		"  - {name: a, domains: [example.com], "+policies+", services: [{url: \"http://"+target+"\"}]}\n"+
		"  - {name: b, domains: [scripted.example.com], "+policies+", lua_routes: [edge.lua], lua: {timeout: 20s}, services: [{url: \"http://"+target+"\"}]}\n")
	for name, request := range map[string]string{
		"GET":            "GET /path?q=1 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: X/1\r\nX-Old: 1\r\nX-Real-IP: 6.6.6.6\r\nCookie: a=b\r\nReferer: https://A.example.org/b\r\n\r\n",
		"POST":           "POST /path HTTP/1.1\r\nHost: example.com\r\nUser-Agent: x\r\nOrigin: https://a.example.org\r\nContent-Length: 4\r\n\r\nbody",
		"Lua middleware": "GET /path?q=1 HTTP/1.1\r\nHost: scripted.example.com\r\nUser-Agent: x\r\nX-Api-Key: k\r\n\r\n",
		"Lua route":      "GET /lua/7 HTTP/1.1\r\nHost: scripted.example.com\r\nUser-Agent: x\r\n\r\n",
	} {
		if n := allocationsOf(t, server, request); n > 0 {
			t.Errorf("a %s allocates: %d times in %d requests at best, want 0", name, n, window)
		}
	}
}

// allocationsOf counts what a window of that request allocates, at best.
func allocationsOf(t *testing.T, server *proxy.Server, request string) uint64 {
	t.Helper()
	conn, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	out := []byte(request)
	return measure.Allocations(window, func() { ask(t, conn, out) })
}

const script = `
chi_middleware(function(request, response, next)
  local key = request:header("X-Api-Key")
  if key == nil then request:set_header("X-Anon", "1") end
  request:set_header("X-Tenant", "b")
  next()
  response:header("X-Gateway", "keystone")
end)
chi_route("GET", "/lua/{id}", function(request, response)
  response:header("X-Id", request:param("id"))
  response:write("hello")
end)`

var answerBuf = make([]byte, 4096)

// ask sends a request and reads its answer, which ends with hello.
func ask(t *testing.T, conn net.Conn, request []byte) {
	if _, err := conn.Write(request); err != nil {
		t.Fatal(err)
	}
	for got := 0; !bytes.HasSuffix(answerBuf[:got], []byte("\r\n\r\nhello")); {
		n, err := conn.Read(answerBuf[got:])
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
}

// window is how many runs allocations are counted over at once.
const window = 100

// BenchmarkRequest measures a request from socket to socket.
func BenchmarkRequest(b *testing.B) {
	target := answering(b, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "edge.lua"), []byte(script), 0o600); err != nil {
		b.Fatal(err)
	}
	services := "services: [{url: \"http://" + target + "\"}]}\n"
	server := start(b, "access_log: {enabled: false}\nlua_routing: {enabled: true, scripts_dir: \""+dir+"\"}\ntenants:\n"+
		"  - {name: a, domains: [plain.example.com], "+services+
		"  - {name: b, domains: [scripted.example.com], lua_routes: [edge.lua], lua: {timeout: 20s}, "+services)
	for name, request := range map[string]string{
		"plain":          "GET /path?q=1 HTTP/1.1\r\nHost: plain.example.com\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n",
		"Lua middleware": "GET /path?q=1 HTTP/1.1\r\nHost: scripted.example.com\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n",
		"Lua route":      "GET /lua/7 HTTP/1.1\r\nHost: scripted.example.com\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			conn, err := net.Dial("tcp", server.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			out, in := []byte(request), make([]byte, 4096)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := conn.Write(out); err != nil {
					b.Fatal(err)
				}
				if n, err := conn.Read(in); err != nil || !bytes.HasSuffix(in[:n], []byte("hello")) {
					b.Fatal(io.ErrUnexpectedEOF)
				}
			}
		})
	}
}
