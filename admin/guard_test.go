package admin_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const token = "0123456789-token"

func TestToken(t *testing.T) {
	t.Parallel()
	g := start(t, "admin:\n  token: "+token+"\n"+twoTenants(t))
	for _, path := range []string{"/health", "/tenants", "/tenants/up/health", "/config", "/snapshot", "/metrics", "//metrics", "//debug/pprof/heap", "/nothing"} {
		for _, field := range []string{"X: y", "Authorization: Bearer", "Authorization: Bearer " + token + "x", "Authorization: Bearer " + token[1:], "Authorization: Basic " + token, "Authorization: " + token} {
			a := g.ask("GET", path, field)
			a.refused(t, 401, "unauthorized")
			if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer ") {
				t.Errorf("%s with %q: WWW-Authenticate %q, want Bearer", path, field, got)
			}
		}
	}
	g.ask("POST", "/reload").refused(t, 401, "unauthorized")
	g.ask("POST", "/reload", "Authorization: Bearer "+token, "X-Gateway-Hops: 1").refused(t, 403, "script_refused")
	g.ask("POST", "/reload", "Authorization: Bearer "+token, "X-Gateway-Admin: ").json(t, 200) // the token says enough
	for _, c := range []struct {
		method, path string
		status       int
		contentType  string
	}{
		{"GET", "/health", 200, "application/json"},
		{"POST", "/reload", 200, "application/json"},
		{"GET", "//debug/pprof/heap", 200, "application/octet-stream"},
		{"GET", "//debug/pprof/goroutine?debug=1", 200, "text/plain; charset=utf-8"},
		{"GET", "//debug/pprof", 200, "text/html; charset=utf-8"},
		{"GET", "//debug/pprof/profile?seconds=9999", 400, "application/json"},
	} {
		// Whoever has the token may come by any name.
		a := g.ask(c.method, c.path, "Authorization: bearer "+token, "Host: gateway.example.com")
		if a.status != c.status || a.header.Get("Content-Type") != c.contentType {
			t.Errorf("%s %s: got %d %s, want %d %s", c.method, c.path, a.status, a.header.Get("Content-Type"), c.status, c.contentType)
		}
	}
}

func TestReloadOfToken(t *testing.T) {
	t.Parallel()
	rest := twoTenants(t)
	g := start(t, "admin:\n  token: "+token+"\n"+rest)
	g.write("admin:\n  token: another-" + token + "\n" + rest)
	g.ask("POST", "/reload", "Authorization: Bearer "+token).json(t, 200)
	g.ask("GET", "/health", "Authorization: Bearer "+token).refused(t, 401, "unauthorized")
	g.ask("GET", "/health", "Authorization: Bearer another-"+token).json(t, 200)
	g.write(rest)
	g.ask("POST", "/reload", "Authorization: Bearer another-"+token).json(t, 200)
	g.ask("GET", "/health").json(t, 200)
}

// A reload can't move the listener, so it must not open it to everybody.
func TestTokenOfExposedListenerIsDropped(t *testing.T) {
	t.Parallel()
	rest := twoTenants(t)
	g := start(t, "admin:\n  address: '0.0.0.0:0'\n  token: "+token+"\n"+rest)
	if !strings.HasPrefix(g.base, "http://localhost:") {
		t.Errorf("Addr is %q, want a URL that works from this machine", g.base)
	}
	g.ask("GET", "/health", "Authorization: Bearer "+token).json(t, 200)
	g.write(rest)
	g.ask("POST", "/reload", "Authorization: Bearer "+token).json(t, 200)
	g.ask("GET", "/health").refused(t, 403, "token_missing")
	g.ask("GET", "/health", "Authorization: Bearer "+token).refused(t, 403, "token_missing")
}

func TestBrowsers(t *testing.T) {
	t.Parallel()
	g := start(t, twoTenants(t))
	port := g.root[strings.LastIndexByte(g.root, ':'):]
	for _, c := range []struct {
		method, path string
		fields       string // separated by commas
		code         string // "" admits
	}{
		{"GET", "/health", "Host: localhost", ""},
		{"GET", "/health", "Host: LOCALHOST.:80", ""},
		{"GET", "/health", "Host: 127.0.0.1", ""},
		{"GET", "/health", "Host: 127.9.9.9:1", ""},
		{"GET", "/health", "Host: [::1]" + port, ""},
		{"GET", "/health", "Host: [::ffff:127.0.0.1]", ""},
		{"GET", "/health", "Host: evil.example.com", "host_refused"},
		{"GET", "/metrics", "Host: localhost.example.com" + port, "host_refused"},
		{"GET", "//metrics", "Host: 127.0.0.1.example.com", "host_refused"},
		{"GET", "/config", "Host: 0.0.0.0" + port, "host_refused"},
		{"GET", "/config", "Host: 192.0.2.1", "host_refused"},
		{"GET", "/nothing", "Host: [::2]", "host_refused"},
		{"POST", "/reload", "Host: evil.example.com", "host_refused"},
		{"POST", "/reload", "Origin: http://evil.example.com", "cross_site"},
		{"POST", "/reload", "Origin: null", "cross_site"},
		{"POST", "/reload", "Origin: http://localhost:1", "cross_site"},
		{"POST", "/reload", "Sec-Fetch-Site: cross-site", "cross_site"},
		{"POST", "/reload", "Sec-Fetch-Site: same-site", "cross_site"},
		{"POST", "/reload", "Sec-Fetch-Site: same-origin,Origin: http://evil.example.com", "cross_site"},
		{"POST", "/reload", "Sec-Fetch-Site: same-origin,Origin: " + g.root, ""},
		{"POST", "/reload", "Origin: " + g.root + ",Origin: http://evil.example.com", "cross_site"},
		{"POST", "/reload", "Origin: " + g.root + ",Origin: " + g.root, "cross_site"},
		{"POST", "/reload", "Sec-Fetch-Site: none", ""},
		{"GET", "/health", "Sec-Fetch-Site: cross-site", ""},
		{"POST", "/reload", "X-Gateway-Admin: ", "header_missing"},
		{"POST", "/reload", "X-Gateway-Admin: 0", "header_missing"},
		{"DELETE", "/reload", "X-Gateway-Admin: true", "header_missing"},
		{"PUT", "/nothing", "X-Gateway-Admin: ", "header_missing"},
		{"POST", "/reload", "X-Gateway-Hops: ", "script_refused"},
		{"POST", "/reload", "x-gateway-hops: 1", "script_refused"},
		{"GET", "/health", "X-Gateway-Hops: a-1-b", "script_refused"},
		{"GET", "//metrics", "X-Gateway-Hops: a", "script_refused"},
	} {
		a := g.ask(c.method, c.path, strings.Split(c.fields, ",")...)
		if c.code != "" {
			a.refused(t, 403, c.code)
		} else if a.status != 200 {
			t.Errorf("%s %s with %s: got %d %s, want 200", c.method, c.path, c.fields, a.status, a.text)
		}
		if a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: no nosniff", c.method, c.path)
		}
	}
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.sock")
	g := start(t, "admin:\n  address: 'unix:"+path+"'\n"+twoTenants(t))
	if want := "http://unix:" + path + ":/admin"; g.base != want {
		t.Errorf("Addr is %q, want %q", g.base, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode is %v (%v), want 0600", info.Mode(), err)
	}
	g.base, g.root = "http://gateway/admin", "http://gateway" // any name will do
	g.client.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	g.ask("GET", "/health").json(t, 200)
	g.ask("POST", "/reload").json(t, 200)
	g.ask("POST", "/reload", "X-Gateway-Admin: ").refused(t, 403, "header_missing")
	g.ask("POST", "/reload", "Origin: http://elsewhere").refused(t, 403, "cross_site")
}

// What fasthttp refuses before a handler sees it is JSON too.
func TestMalformed(t *testing.T) {
	t.Parallel()
	g := start(t, twoTenants(t))
	for _, c := range []struct {
		text   string
		status int
	}{
		{"GET\r\n\r\n", 400},
		{"GET /admin/health HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 20<<10) + "\r\n\r\n", 431},
		{fmt.Sprintf("POST /admin/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", 1<<20), 413},
		{"GET /admin/health HTTP/1.1\r\nHost:\r\n\r\n", 400},
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.root, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(c.text)); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%.40q: %v", c.text, err)
		}
		if got := response.Header.Get("Content-Type"); response.StatusCode != c.status || got != "application/json" {
			t.Errorf("%.40q: got %d %s, want %d application/json", c.text, response.StatusCode, got, c.status)
		}
		_ = response.Body.Close()
		_ = conn.Close()
	}
}

func TestBasePath(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"/ops/v1", "/metrics", "/debug", "/debug/pprof", "/debug/pprof/x"} {
		t.Run(base, func(t *testing.T) {
			t.Parallel()
			g := start(t, "admin_base_path: "+base+"\n"+twoTenants(t))
			if !strings.HasSuffix(g.base, base) {
				t.Errorf("Addr is %q, want it to end with %s", g.base, base)
			}
			g.ask("GET", "/health").json(t, 200)
			g.ask("GET", "/tenants/up/health").json(t, 200)
			if got := g.ask("GET", "//metrics").status; got != 200 {
				t.Errorf("/metrics: %d, want 200", got)
			}
		})
	}
}

func TestDisabled(t *testing.T) {
	t.Parallel()
	g := start(t, "admin:\n  enabled: false\n  on_public: true\n"+twoTenants(t))
	if g.base != "" {
		t.Errorf("Addr is %q, want none", g.base)
	}
	g.send("GET", g.public+"/admin/health").json(t, 200)
}
