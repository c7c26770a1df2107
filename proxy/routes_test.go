package proxy_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// routed is what of an answer the tests of routes compare: status, error, location, and
// the beginning of the body's first line.
func routed(answer *http.Response, body string) string {
	line, _, _ := strings.Cut(body, "\n")
	line = strings.TrimSpace(line)
	words := []string{fmt.Sprint(answer.StatusCode)}
	if code := answer.Header.Get("X-Gateway-Error"); code != "" {
		return words[0] + " " + code
	}
	if to := answer.Header.Get("Location"); to != "" {
		words = append(words, to)
	}
	if line != "" {
		words = append(words, line)
	}
	return strings.Join(words, " ")
}

// TestRoutes: which route a request takes, and what it gets.
func TestRoutes(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "scripts/none.lua", "", "page.html", "<h1>from the file</h1>", "c.yaml", `tenants:
  - name: shop
    domains: [shop.example.com]
    services: [{url: "http://`+naming(t, "services")+`"}]
    routes:
      - {path: /methods, methods: [POST, GET], respond: {body: post or get}}
      - {path: /methods, methods: PUT, respond: {body: put}}
      - {path: /headers, headers: {X-Version: "2"}, respond: {body: two}}
      - {path: /headers, headers: {x-version: "3*"}, respond: {body: three}}
      - {path: /headers, headers: {X-Version: "*", X-Other: "*"}, respond: {body: any}}
      - {path: /query, query: {v: "2", "a b": "x&y"}, respond: {body: both}}
      - {path: /query, query: {v: "2"}, respond: {body: two}}
      - {path: /query, query: {v: "*"}, respond: {body: any}}
      - {path: /cookies, cookies: {beta: "1"}, respond: {body: beta}}
      - {path: /clients, clients: 10.0.0.0/8, respond: {body: inside}}
      - {path: /clients, respond: {status: 403, body: outside}}
      - {path: "/users/{id:[0-9]+}", respond: {body: a number}}
      - {path: "/users/{id}", redirect: {to: "/people/{id}?id={id}", status: 301}}
      - {path: [/old, "/old/*"], redirect: {to: /new/}}
      - {path: "/moved/*", redirect: {to: "https://new.example.com/{*}#top", status: 302}}
      - {path: "/cdn*", redirect: {to: "https://cdn.example.com/tenant/{*}"}}
      - {path: "/two/{a}/{b}", redirect: {to: "/{b}/{a}", status: 307}}
      - {path: "/deep/*", redirect: {to: "/{*}/x", status: 303}}
      - {path: /page, respond: {status: 503, headers: {Retry-After: "120", X-Own: "a b"}, file: `+filepath.Join("page.html")+`}}
      - {path: /empty, respond: {status: 204}}
      - {path: /typed, respond: {body: "{}", content_type: application/json}}
      - {path: /passed, policies: [{headers: {request: {set: {X-Route: "yes"}}, response: {set: {X-Amended: "yes"}}}}]}
  - name: bare
    domains: [bare.example.com]
    path_prefix: /app
    strip_slashes: true
    routes:
      - {path: /a, methods: [GET], respond: {body: below}}
      - {path: /app/b, respond: {body: whole}}
      - {path: "/c/{x}", redirect: {to: "/app/{x}"}}
`)
	w.replace("c.yaml", "server: {address: '127.0.0.1:0'}", "server: {address: '127.0.0.1:0', trusted_proxies: [127.0.0.1]}")
	w.strict = true
	w.run()
	for _, c := range [][3]string{
		{"GET /", "", "200 services"},
		{"GET /methods", "", "200 post or get"},
		{"HEAD /methods", "", "200"},
		{"POST /methods", "Content-Length: 3\r\n\r\nabc", "200 post or get"},
		{"PUT /methods", "", "200 put"},
		{"DELETE /methods", "", "200 services"},
		{"GET /headers", "X-Version: 2", "200 two"},
		{"GET /headers", "X-Version: 1\r\nX-VERSION: 2", "200 two"},
		{"GET /headers", "X-Version: 3.1", "200 three"},
		{"GET /headers", "X-Version: 22", "200 services"},
		{"GET /headers", "X-Version: 9\r\nX-Other:", "200 any"},
		{"GET /headers", "", "200 services"},
		{"GET /query?v=2", "", "200 two"},
		{"GET /query?%76=%32", "", "200 two"},
		{"GET /query?v=1&v=2", "", "200 two"},
		{"GET /query?a+b=x%26y&v=2", "", "200 both"},
		{"GET /query?v", "", "200 any"},
		{"GET /query?vv=2", "", "200 services"},
		{"GET /query?v=%zz", "", "200 any"},
		{"GET /cookies", "Cookie: a=b; beta=1", "200 beta"},
		{"GET /cookies", "Cookie: beta=0; beta=1", "200 beta"},
		{"GET /cookies", "Cookie: beta=0\r\nCookie: beta=\"1\"", "200 beta"},
		{"GET /cookies", "Cookie: beta=11", "200 services"},
		{"GET /clients", "X-Forwarded-For: 10.1.1.1", "200 inside"},
		{"GET /clients", "X-Forwarded-For: 10.1.1.1, 11.1.1.1", "403 outside"},
		{"GET /clients", "X-Forwarded-For: unknown", "403 outside"},
		{"GET /users/7", "", "200 a number"},
		{"GET /users/seven?q=1", "", "301 /people/seven?id=seven"},
		{"GET /users/a%26b=c", "", "301 /people/a%26b=c?id=a%26b%3Dc"},
		{"GET /users/a;x=1", "", "301 /people/a?id=a"},
		{"GET /old?q=1", "", "308 /new/?q=1"},
		{"GET /old/x", "", "308 /new/"},
		{"GET /moved/a%2Fb//c?d=e", "", "302 https://new.example.com/a%2Fb/c?d=e#top"},
		{"GET /moved/", "", "302 https://new.example.com/#top"},
		{"GET /moved/%2Fevil.net", "", "302 https://new.example.com/evil.net#top"},
		{"GET /moved/..%2Fevil.net", "", "400 bad_path"},
		{"GET /cdn/a", "", "308 https://cdn.example.com/tenant/a"},
		{"GET /cdn../other", "", "400 bad_path"},
		{"GET /cdn..;/x", "", "400 bad_path"},
		{"GET /cdn..%2Fother", "", "400 bad_path"},
		{"GET /two/a/b", "", "307 /b/a"},
		{"GET /two/a/%2F%2Fevil.net", "", "307 /evil.net/a"},
		{"GET /deep/", "", "303 /x"},
		{"GET /deep/%5C%5Cevil.net", "", "303 /evil.net/x"},
		{"GET /page", "", "503 <h1>from the file</h1>"},
		{"GET /empty", "", "204"},
		{"GET /typed", "", "200 {}"},
		{"GET /passed", "", "200 services"},
	} {
		w.tell("shop", c)
	}
	for _, c := range [][3]string{
		{"GET /app/a", "", "200 below"},
		{"GET /app/a/", "", "200 below"},
		{"GET /app/b", "", "200 whole"},
		{"GET /app/a%2F?x", "", "200 below"},
		{"GET /app/c/d%40e", "", "308 /app/d%40e"},
		{"GET /app/none", "", "404 no_route"},
		{"POST /app/a", "", "405 method_not_allowed"},
	} {
		w.tell("bare", c)
	}
	answer, _ := w.speak("GET /page HTTP/1.1\r\nHost: shop.example.com\r\n\r\n")
	if got := answer.Header; got.Get("Retry-After") != "120" || got.Get("X-Own") != "a b" || got.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("the page's fields are %v", got)
	}
	if answer, _ = w.speak("GET /typed HTTP/1.1\r\nHost: shop.example.com\r\n\r\n"); answer.Header.Get("Content-Type") != "application/json" {
		t.Errorf("the type is %v", answer.Header)
	}
	if answer, _ = w.speak("POST /app/a HTTP/1.1\r\nHost: bare.example.com\r\n\r\n"); answer.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("allowed is %v", answer.Header)
	}
	if answer, _ = w.speak("GET /passed HTTP/1.1\r\nHost: shop.example.com\r\n\r\n"); answer.Header.Get("X-Amended") != "yes" {
		t.Errorf("not amended: %v", answer.Header)
	}
	if answer, _ = w.speak("GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n"); answer.Header.Get("X-Amended") != "" {
		t.Errorf("amended by a route that wasn't taken: %v", answer.Header)
	}
}

// tell demands what a request is told: its line, fields, and what routed makes of the answer.
func (w *workshop) tell(tenant string, c [3]string) {
	w.t.Helper()
	fields := c[1]
	if fields != "" && !strings.Contains(fields, "\r\n\r\n") {
		fields += "\r\n"
	}
	raw := c[0] + " HTTP/1.1\r\nHost: " + tenant + ".example.com\r\n" + fields
	if !strings.Contains(raw, "\r\n\r\n") {
		raw += "\r\n"
	}
	answer, body := askRaw(w.t, w.server.Addr().String(), raw)
	if got := routed(answer, body); strings.TrimSpace(got) != c[2] {
		w.t.Errorf("%s %q: got %q, want %q", c[0], c[1], got, c[2])
	}
}

// spellings reads the table of docs/paths.md: the ways to write a path, with the path
// that it is compared as; "400" is none.
func spellings(t *testing.T) (list [][2]string) {
	t.Helper()
	for line := range strings.Lines(read(t, "../docs/paths.md")) {
		cells := regexp.MustCompile("^\\| `([^`]+)` \\| `?([^`|]+)`? \\| `?([^`|]*)`? ?\\|").FindStringSubmatch(line)
		if cells == nil {
			continue
		}
		as := strings.TrimSpace(cells[3])
		if as == "" {
			as = strings.TrimSpace(cells[2])
		}
		list = append(list, [2]string{cells[1], as})
	}
	if len(list) < 60 {
		t.Fatalf("only %d spellings", len(list))
	}
	return list
}

// TestRoutesHoldForEverySpelling: whoever may not have /admin has it by no other way to
// write it, over HTTP/1 and HTTP/2, with and without scripts.
func TestRoutesHoldForEverySpelling(t *testing.T) {
	t.Parallel()
	services := naming(t, "services")
	routes := "routes: [{path: [/admin, '/admin/*'], policies: [{ip: {deny: ['127.0.0.0/8', '::1']}}]}], services: [{url: 'http://" + services + "'}]"
	w := newWorkshop(t, "scripts/edge.lua", script, "c.yaml", tenantsOf(
		"plain", "domains: [plain.example.com], "+routes, "scripted", "domains: [scripted.example.com], lua_routes: [edge.lua], lua: {timeout: 20s}, "+routes,
		"root", "domains: [root.example.com], "+strings.ReplaceAll(routes, "path: [/admin, '/admin/*'], ", "")))
	w.replace("c.yaml", "server: {address: '127.0.0.1:0'}", "listeners: [{address: '127.0.0.1:0', protocols: [h2c, http/1.1]}]")
	w.strict = true
	w.run()
	address := w.server.Addr().String()
	for _, s := range spellings(t) {
		for _, host := range []string{"plain", "scripted", "root"} {
			want := 200
			switch guarded := s[1] == "/admin" || strings.HasPrefix(s[1], "/admin/"); {
			case s[1] == "400":
				want = 400
			case guarded || host == "root":
				want = 403
			}
			answer, _ := askRaw(t, address, "GET "+s[0]+" HTTP/1.1\r\nHost: "+host+".example.com\r\n\r\n")
			if answer.StatusCode != want {
				t.Errorf("%s, HTTP/1.1: GET %s: got %d, want %d", host, s[0], answer.StatusCode, want)
			}
			if got := http2Status(t, address, host+".example.com", s[0]); got != want {
				t.Errorf("%s, HTTP/2: GET %s: got %d, want %d", host, s[0], got, want)
			}
		}
	}
	for _, c := range [][3]string{ // forms of HTTP/1 that name the path otherwise
		{"GET http://plain.example.com/admin", "", "403 ip_denied"},
		{"GET http://plain.example.com/x/%2e%2e/admin?q", "", "403 ip_denied"},
		{"HEAD /admin", "", "403 ip_denied"},
		{"OPTIONS /admin", "Max-Forwards: 1", "403 ip_denied"},
		{"get /admin", "", "403 ip_denied"},
		{"GET /admin", "X-HTTP-Method-Override: PUT\r\nX-Original-URL: /\r\nX-Rewrite-URL: /", "403 ip_denied"},
	} {
		w.tell("plain", c)
	}
}

// http2Status asks over HTTP/2 for a path as it is written, and returns the status; 400
// is also that the stream was reset, for a path that is none.
func http2Status(t *testing.T, address, host, path string) int {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	send(t, conn, http2.ClientPreface)
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", host}, {":path", path}} {
		_ = encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	_ = framer.WriteSettings()
	if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatalf("GET %s over HTTP/2: %v", path, err)
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			status, _ := strconv.Atoi(f.PseudoValue("status"))
			return status
		case *http2.RSTStreamFrame:
			return 400
		}
	}
}

// TestRoutesAndScripts: middleware stands around routes, scripts' routes come first, and
// routes see what middleware has changed.
func TestRoutesAndScripts(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "scripts/edge.lua", `
chi_middleware(function(request, response, next)
  if request:header("X-Stop") then response:status(418) response:write("stopped") return end
  if request:header("X-Path") then request:set_path(request:header("X-Path")) end
  if request:header("X-Method") then request.method = request:header("X-Method") end
  response:header("X-Before", "1")
  next()
  response:header("X-After", tostring(response.status_code))
end)
chi_route("GET", "/lua", function(request, response) response:write("lua") end)
chi_route("GET", "/both", function(request, response) response:write("lua") end)
chi_group("/group", function()
  chi_middleware(function(request, response, next) response:status(401) end)
end)
`, "c.yaml", tenantsOf("a", `domains: [a.example.com], lua_routes: edge.lua, lua: {timeout: 20s}, routes: [
      {path: /yaml, respond: {status: 203, body: yaml}},
      {path: /both, respond: {body: yaml}},
      {path: /group/x, respond: {body: yaml}},
      {path: "/lead/{to}", redirect: {to: "/{to}"}},
      {path: /denied, policies: [{ip: {deny: 127.0.0.1}}], respond: {body: yaml}}]`))
	w.strict = true
	w.run()
	for _, c := range [][3]string{
		{"GET /yaml", "", "203 yaml"},
		{"GET /yaml", "X-Stop: 1", "418 stopped"},
		{"GET /lua", "", "200 lua"},
		{"GET /both", "", "200 lua"},
		{"POST /both", "", "200 yaml"},
		{"GET /group/x", "", "401"},
		{"GET /none", "", "404 no_route"},
		{"GET /none", "X-Path: /yaml", "203 yaml"},
		{"GET /yaml", "X-Path: /denied", "403 ip_denied"},
		{"GET /x", "X-Path: /lead/a%2Fb", "404 no_route"}, // an encoded slash counts as one
		{"GET /x", "X-Path: /lead/a%3Fb", "308 /a%3Fb"},
		{"GET /lead/%2Fx", "", "308 /x"},
		{"POST /lua", "", "405 method_not_allowed"},
	} {
		w.tell("a", c)
	}
	answer, _ := w.speak("GET /yaml HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
	if answer.Header.Get("X-Before") != "1" || answer.Header.Get("X-After") != "203" {
		t.Errorf("middleware isn't around: %v", answer.Header)
	}
}

// TestOwnedFieldsOfRoutes: what a policy of one route writes, clients can't send on
// another; and what the tenant's policies have found out, those of routes know.
func TestOwnedFieldsOfRoutes(t *testing.T) {
	t.Parallel()
	up := echoing(t, "")
	keys := "keys: ['" + keyLine("one", "k-one", "consumer=one") + "', '" + keyLine("two", "k-two", "consumer=two") + "']"
	guarded := "routes: [{path: /in, policies: [{api_key: {" + keys + ", fields: {X-Consumer: consumer}}}]}], services: [{url: 'http://" + up + "'}]"
	outer := "policies: [{api_key: {" + keys + "}}], routes: [{path: /in, policies: [{rate_limit: {rate: 1/h, by: api_key.consumer}}]}], services: [{url: 'http://" + up + "'}]"
	w := newWorkshop(t, "scripts/pass.lua", "chi_middleware(function(request, response, next) next() end)", "c.yaml", tenantsOf(
		"a", "domains: [a.example.com], "+guarded, "b", "domains: [b.example.com], lua_routes: pass.lua, lua: {timeout: 20s}, "+guarded,
		"c", "domains: [c.example.com], "+outer))
	w.strict = true
	w.run()
	for _, host := range []string{"a", "b"} {
		for _, c := range []struct{ path, fields, want string }{
			{"/out", "X-Consumer: evil\r\nx_consumer: evil\r\n", ""},
			{"/in", "X-API-Key: k-one\r\nX-Consumer: evil\r\n", "X-Consumer: one"},
			{"/in", "X-Consumer: evil\r\n", "401"},
			{"/%2Fin;x", "X-Consumer: evil\r\n", "401"},
		} {
			answer, body := askRaw(t, w.server.Addr().String(), "GET "+c.path+" HTTP/1.1\r\nHost: "+host+".example.com\r\n"+c.fields+"\r\n")
			if c.want == "401" && answer.StatusCode == 401 {
				continue
			}
			if answer.StatusCode != 200 || strings.Contains(body, "evil") || !strings.Contains(body, c.want) {
				t.Errorf("%s%s with %q: got %d %q, want %q", host, c.path, c.fields, answer.StatusCode, body, c.want)
			}
		}
	}
	for _, c := range [][3]string{
		{"GET /in", "X-API-Key: k-one", "200 GET /in HTTP/1.1"},
		{"GET /in", "X-API-Key: k-one", "429 rate_limited"},
		{"GET /in", "X-API-Key: k-two", "200 GET /in HTTP/1.1"},
		{"GET /out", "X-API-Key: k-one", "200 GET /out HTTP/1.1"},
	} {
		w.tell("c", c)
	}
}

// TestRoutesAllocate0: routes that are passed by, and one that passes on, allocate
// nothing, with and without scripts.
func TestRoutesAllocate0(t *testing.T) { //nolint:paralleltest // it counts allocations
	target := answering(t, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "edge.lua"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	var routes bytes.Buffer
	for i := range 20 {
		fmt.Fprintf(&routes, "{path: '/r%d/{id:[0-9]+}/*', methods: [GET], respond: {}}, ", i)
	}
	routes.WriteString("{path: /taken, headers: {X-A-Long-Name-Of-A-Field-Of-Forty-Characters-And-More: 'a*'}, query: {q: '1*'}, cookies: {a: b}, clients: [127.0.0.0/8], " +
		"policies: [{ip: {allow: 127.0.0.1}}, {headers: {request: {set: {X-Id: '${request_id}'}}, response: {remove: [Server]}}}]}")
	tenant := "routes: [" + routes.String() + "], services: [{url: \"http://" + target + "\"}]}\n"
	server := start(t, "access_log: {enabled: false}\nlua_routing: {enabled: true, scripts_dir: \""+dir+"\"}\ntenants:\n"+
		"  - {name: a, domains: [example.com], policies: [{ip: {allow: 127.0.0.1}}], "+tenant+
		"  - {name: b, domains: [scripted.example.com], lua_routes: [edge.lua], lua: {timeout: 20s}, "+tenant)
	for _, host := range []string{"example.com", "scripted.example.com"} {
		for _, path := range []string{"/taken?q=%31", "/r7/x/", "/%2Ftaken;x?q=1"} {
			request := "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nCookie: x=y; a=b\r\nX-A-Long-Name-Of-A-Field-Of-Forty-Characters-And-More: abc\r\nX-Api-Key: k\r\n\r\n"
			if n := allocationsOf(t, server, request); n > 0 {
				t.Errorf("%s%s allocates: %d times in %d requests at best, want 0", host, path, n, window)
			}
		}
	}
}
