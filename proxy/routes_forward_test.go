package proxy_test

import (
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
)

// TestRoutesForward: what routes change about requests that services get.
func TestRoutesForward(t *testing.T) {
	t.Parallel()
	services, silent := naming(t, "services"), target(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	tenant := func(name, more string) []string {
		return []string{name, "domains: [" + name + ".example.com], " + more + "request_limits: {max_body_size: 10B}, compression: {enabled: true, min_size: 1}, services: [{url: 'http://" + services + "'}], routes: [" +
			"{path: '/old/*', rewrite: '/new/{*}'}, {path: '/{year:[0-9]{4}}/{slug}', rewrite: '/posts/{slug}?year={year}'}, {path: '/deep/*', rewrite: '/{*}/x'}, " +
			"{path: '/v{n}/*', rewrite: '/api/{n}/{*}'}, {path: '/pre*', rewrite: '/static/{*}'}, {path: '/img/{w}x{h}', rewrite: '/store/{h}/{w}'}, {path: /answer, compression: false, respond: {body: xx}}, " +
			"{path: /big, max_body_size: 1KiB}, {path: /small, max_body_size: 2B}, {path: /plain, compression: false}, {path: /hot, rewrite: /x, policies: [{ip: {deny: 127.0.0.1}}]}]"}
	}
	list := append(tenant("a", ""), tenant("b", "lua_routes: pass.lua, lua: {timeout: 20s}, ")...)
	list = append(list, "c", "domains: [c.example.com], services: [{url: 'http://"+silent+"'}], routes: [{path: /total, timeouts: {total: 100ms}}, {path: /head, timeouts: {response_header: 100ms}}]")
	list = append(list, "d", "domains: [d.example.com], path_prefix: /app, strip_prefix: true, services: [{url: 'http://"+services+"'}], routes: [{path: '/r/{x}', rewrite: '/app/{x}'}]")
	list = append(list, "e", "domains: [e.example.com], lua_routes: read.lua, lua: {timeout: 20s}, services: [{url: 'http://"+services+"'}], routes: [{path: /small, max_body_size: 2B}]")
	list = append(list, "f", "domains: [f.example.com], lua_routes: pass.lua, lua: {timeout: 1s, total_timeout: 1s}, services: [{url: 'http://"+silent+"'}], routes: [{path: /total, timeouts: {total: 1h}}]")
	w := newWorkshop(t, "scripts/read.lua", "chi_middleware(function(request, response, next) request:body() next() end)", "scripts/pass.lua", "chi_middleware(function(request, response, next) next() end)", "c.yaml", tenantsOf(list...))
	w.strict = true
	w.run()
	for _, host := range []string{"a", "b"} {
		for _, c := range []struct{ line, body, want string }{
			{"GET /old/a/b?q=1", "", "GET /new/a/b?q=1"},
			{"GET /old/", "", "GET /new/"},
			{"GET /old/a%2Fb;x", "", "GET /new/a%2Fb"},
			{"GET /x/..//old/%7Euser", "", "GET /new/~user"},
			{"GET /2026/a-b?page=2", "", "GET /posts/a-b?year=2026"},
			{"GET /2026/a&b=c", "", "GET /posts/a&b=c?year=2026"},
			{"GET /20266/a?page=2", "", "GET /20266/a?page=2"},
			{"GET /deep/%2F%2Fevil.net", "", "GET /evil.net/x"},
			{"GET /deep/", "", "GET /x"},
			{"GET /v1/a", "", "GET /api/1/a"},
			{"GET /v.../..a", "", "GET /api/.../..a"},
			{"GET /v../admin", "", "400"},
			{"GET /v./admin", "", "400"},
			{"GET /v..;a/admin", "", "400"},
			{"GET /v..%2Fx/admin", "", "400"},
			{"GET /v%2E%2e/admin", "", "400"},
			{"GET /pre../admin", "", "400"},
			{"GET /pre..%5Cadmin", "", "400"},
			{"GET /pre..", "", "400"},
			{"GET /pre.%2E%3Badmin", "", "400"},
			{"GET /pre...", "", "GET /static/..."},
			{"GET /img/1x..", "", "400"},
			{"GET /img/..x2", "", "400"},
			{"POST /big", strings.Repeat("x", 1024), "POST /big"},
			{"POST /big", strings.Repeat("x", 1025), "413"},
			{"POST /small", "xx", "POST /small"},
			{"POST /small", "xxx", "413"},
			{"POST /other", strings.Repeat("x", 11), "413"},
			{"GET /hot", "", "403"},
		} {
			fields := ""
			if c.body != "" {
				fields = "Content-Length: " + strconv.Itoa(len(c.body)) + "\r\n"
			}
			answer, body := askRaw(t, w.server.Addr().String(), c.line+" HTTP/1.1\r\nHost: "+host+".example.com\r\n"+fields+"\r\n"+c.body)
			_, got, _ := strings.Cut(body, "\n")
			if answer.StatusCode != 200 {
				got = strconv.Itoa(answer.StatusCode)
			}
			if strings.TrimSpace(got) != c.want {
				t.Errorf("%s: %s: got %q, want %q", host, c.line, got, c.want)
			}
		}
		for path, want := range map[string]string{"/plain": "", "/answer": "", "/": "gzip"} {
			if answer, _ := askRaw(t, w.server.Addr().String(), "GET "+path+" HTTP/1.1\r\nHost: "+host+".example.com\r\nAccept-Encoding: gzip\r\n\r\n"); answer.Header.Get("Content-Encoding") != want {
				t.Errorf("%s%s is %v, want %q", host, path, answer.Header, want)
			}
		}
	}
	w.tell("c", [3]string{"GET /total", "", "504 upstream_timeout"})
	w.tell("e", [3]string{"POST /small", "Content-Length: 2\r\n\r\nxx", "200 services"})
	w.tell("e", [3]string{"POST /small", "Content-Length: 3\r\n\r\nxxx", "413 body_too_large"})
	w.tell("f", [3]string{"GET /total", "", "504 upstream_timeout"}) // scripts run no longer than lua.total_timeout says
	w.tell("c", [3]string{"GET /head", "", "504 upstream_timeout"})
	if _, body := w.speak("GET /app/r/y HTTP/1.1\r\nHost: d.example.com\r\n\r\n"); !strings.Contains(body, "GET /app/y ") {
		t.Errorf("behind a prefix: %q", body)
	}
}
