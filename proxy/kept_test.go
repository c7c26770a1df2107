package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestKeptReadsNoOthers has a tenant's script keep all that it gets of requests
// that end in all ways, and use it in later ones, while others' requests, with
// secrets, go through the same pools.
func TestKeptReadsNoOthers(t *testing.T) {
	t.Parallel()
	to := answering(t, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")
	dir := t.TempDir()
	keeper, err := os.ReadFile(filepath.Join("..", "lua", "testdata", "keeper.lua"))
	if err != nil {
		t.Fatal(err)
	}
	good := "chi_middleware(function(request, response, next) request:set('a', request:header('Cookie')) next() end)\n"
	for name, text := range map[string]string{"keeper.lua": string(keeper), "good.lua": good} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	limits := "max_instructions: 1000000, max_memory: 32MiB, max_memory_rate: 0, max_coroutines: 1000, quarantine_after: 0, timeout: 30s"
	services := "services: [{url: 'http://" + to + "'}]"
	address := start(t, "access_log: {enabled: false}\nlua_routing: {enabled: true, scripts_dir: \""+dir+"\"}\ntenants:\n"+
		"  - {name: evil, domains: [evil.example.com], lua_routes: [keeper.lua], "+services+", lua: {"+limits+"}}\n"+
		"  - {name: open, domains: [open.example.com], lua_routes: [keeper.lua], "+services+", lua: {"+limits+", on_error: continue}}\n"+
		"  - {name: plain, domains: [plain.example.com], "+services+"}\n"+
		"  - {name: scripted, domains: [scripted.example.com], lua_routes: [good.lua], "+services+"}\n").Addr().String()

	var stop atomic.Bool
	var others sync.WaitGroup
	for n := range 2 {
		others.Go(func() { beOther(t, address, n, &stop) })
	}
	attack(t, address, "evil.example.com", "/error", "/whole", "/budget", "/coroutine", "/write", "/again", "/behind", "/gone", "/error")
	attack(t, address, "open.example.com", "/error", "/gone")
	stop.Store(true)
	others.Wait()
}

// beOther sends requests with secrets until it is told to stop.
func beOther(t *testing.T, address string, n int, stop *atomic.Bool) {
	host := []string{"plain", "scripted"}[n%2]
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	for i := 0; !stop.Load(); i++ {
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, err := fmt.Fprintf(conn, "GET /foreign?foreign HTTP/1.1\r\nHost: %s.example.com\r\nAuthorization: foreign %d\r\nCookie: session=foreign\r\n\r\n", host, i)
		if err == nil {
			err = answered(in)
		}
		if err != nil {
			t.Errorf("another tenant's request: %v", err)
			return
		}
	}
}

// attack keeps and uses what it can.
func attack(t *testing.T, address, host string, paths ...string) {
	t.Helper()
	most := 0
	for _, path := range paths {
		attempt(t, address, host, path, "body of a request", path == "/gone")
		response, body := attempt(t, address, host, "/use", "", false)
		if response == nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s%s: /use was answered with %v %q", host, path, response, body)
		}
		if len(body) > 0 {
			t.Errorf("%s%s: what was kept works in another request:\n%s", host, path, body)
		}
		kept := 0
		_, _ = fmt.Sscan(response.Header.Get("X-Kept"), &kept)
		most = max(most, kept)
	}
	if most < 100 {
		t.Errorf("%s: %d things were kept at the most, expected hundreds", host, most)
	}
}

// attempt sends a request of the attacker's; gone leaves before its end.
func attempt(t *testing.T, address, host, path, body string, gone bool) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	length := len(body)
	if gone {
		length++
	}
	send(t, conn, fmt.Sprintf("POST %s?q=own HTTP/1.1\r\nHost: %s\r\nAuthorization: own of %s\r\nCookie: session=own\r\nContent-Length: %d\r\n\r\n%s", path, host, path, length, body))
	if gone {
		return nil, ""
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	answer, _ := io.ReadAll(response.Body)
	if text := fmt.Sprint(response.Header, string(answer)); strings.Contains(text, "foreign") {
		t.Errorf("%s%s: the answer has another's secret: %s", host, path, text)
	}
	return response, string(answer)
}
