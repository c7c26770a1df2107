package modules_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
)

// handClock is a clock that only the test moves.
type handClock struct {
	mu  sync.Mutex
	now time.Time
}

func newHandClock() *handClock {
	return &handClock{now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) Sleep(_ context.Context, d time.Duration) { c.advance(d) }

func (c *handClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// netTenant returns a tenant with an HTTP client.
func netTenant(tb testing.TB, c fetch.Config) *modules.Tenant {
	tb.Helper()
	c.Allow = append(c.Allow, permit("127.0.0.0/8")...)
	return guardedTenant(tb, c)
}

// permit makes permissions of networks.
func permit(networks ...string) (list []fetch.Permission) {
	for _, network := range networks {
		list = append(list, fetch.Permission{Network: netip.MustParsePrefix(network)})
	}
	return list
}

// guardedTenant is a tenant that can't reach the tests' servers by default.
func guardedTenant(tb testing.TB, c fetch.Config) *modules.Tenant {
	tb.Helper()
	c.Timeout = cmp.Or(c.Timeout, time.Minute)
	client := fetch.New(c)
	tb.Cleanup(client.Close)
	return &modules.Tenant{
		Name: "t", Log: zerolog.Nop(), Clock: newHandClock(), Random: rand.Reader, HTTP: client,
		Env: func(string) (string, bool) { return "", false },
	}
}

// netVM returns a VM with the modules, base functions and some strings as globals.
func netVM(tb testing.TB, t *modules.Tenant, limits *vm.Limits, globals map[string]string) *glua.LState {
	tb.Helper()
	L, _ := vmtest.Begin(tb, limits)
	L.Push(L.NewFunction(glua.OpenBase))
	L.Call(0, 0)
	for name, table := range modules.Open(L, t) {
		L.SetGlobal(name, table)
	}
	L.SetGlobal("http_get", L.NewFunction(modules.HTTPGet(t)))
	L.SetGlobal("http_post", L.NewFunction(modules.HTTPPost(t)))
	for name, text := range globals {
		L.SetGlobal(name, glua.LString(text))
	}
	return L
}

// netEval returns what a script returns, joined with "|".
func netEval(L *glua.LState, script string) (string, error) {
	top := L.GetTop()
	defer func() { L.SetTop(top) }()
	if err := L.DoString(script); err != nil {
		return "", err
	}
	var words []string
	for i := top + 1; i <= L.GetTop(); i++ {
		words = append(words, L.Get(i).String())
	}
	return strings.Join(words, "|"), nil
}

// echo answers with what was requested.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Add("X-Two", "a")
	w.Header().Add("X-Two", "b")
	w.Header().Add("Set-Cookie", "c=1")
	w.Header().Add("Set-Cookie", "d=2")
	w.Header().Set("Date", "today")
	if r.URL.Path == "/missing" {
		w.WriteHeader(http.StatusNotFound)
	}
	var fields []string
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-") || name == "Content-Type" || name == "User-Agent" {
			fields = append(fields, name+"="+strings.Join(values, ","))
		}
	}
	sort.Strings(fields)
	host := r.Host
	if strings.HasPrefix(host, "127.") {
		host = "local"
	}
	_, _ = fmt.Fprintf(w, "%s %s %s %s [%s]", r.Method, host, r.RequestURI, strings.Join(fields, " "), body)
}

func TestHTTP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(echo))
	defer server.Close()
	L := netVM(t, netTenant(t, fetch.Config{}), vmtest.Limits(), map[string]string{"u": server.URL})
	const ua = "User-Agent=keystone-gateway"
	for _, c := range []struct{ name, script, want string }{
		{"get", `local r = http.get(u.."/a?x=1") return r.status, r.body`, "200|GET local /a?x=1 " + ua + " []"},
		{"status", `return http.get(u.."/missing").status`, "404"},
		{"url", `return http.get(u.."/a#b").url == u.."/a"`, "true"},
		{"password is not shown", `return http.get("http://a:b@"..u:gsub("http://", "").."/").url == u.."/"`, "true"},
		{"query", `return http.get(u.."/?z=0", {query = {b = "x y", a = {"1", 2}}}).body`, "GET local /?z=0&a=1&a=2&b=x+y " + ua + " []"},
		{"raw query", `return http.get(u.."/?a b\"").body`, "GET local /?a%20b%22 " + ua + " []"},
		{"headers", `return http.get(u, {headers = {["x-a"] = 1, ["X-B"] = {"1", "2"}, ["user-agent"] = "me"}}).body`, "GET local / User-Agent=me X-A=1 X-B=1,2 []"},
		{"host", `return http.get(u, {headers = {Host = "example.com"}}).body`, "GET example.com / " + ua + " []"},
		{"post", `return http.post(u, "text", {headers = {["content-type"] = "text/plain"}}).body`, "POST local / Content-Type=text/plain " + ua + " [text]"},
		{"json", `return http.put(u, nil, {json = {a = 1}}).body`, `PUT local / Content-Type=application/json ` + ua + ` [{"a":1}]`},
		{"patch", `return http.patch(u, "").body`, "PATCH local / " + ua + " []"},
		{"head", `local r = http.head(u) return r.status, r.body`, "200|"},
		{"delete", `return http.delete(u.."/x").body`, "DELETE local /x " + ua + " []"},
		{"request", `return http.request{method = "options", url = u, body = "b"}.body`, "OPTIONS local / " + ua + " [b]"},
		{"request with a body", `return http.request{url = u, body = "b"}.body`, "POST local / " + ua + " [b]"},
		{"response fields", `local h = http.get(u).headers return h["X-TWO"], h["x-two"], h.absent, h[1], rawget(h, "x-two")`, "a, b|a, b|nil|nil|a, b"},
		{"all response fields", `local h = http.get(u).headers_all return #h["Set-Cookie"], h["set-cookie"][2]`, "2|d=2"},
		{"metatable", `return getmetatable(http.get(u)), getmetatable(http.get(u).headers)`, "false|false"},
		{"all", `local r = http.all{u.."/1", {url = u.."/2", method = "PUT"}, "nonsense"} return #r, r[1].body, r[2].body, r[3].error`,
			"3|GET local /1 " + ua + " []|PUT local /2 " + ua + ` []|URL "nonsense" does not begin with http:// or https://`},
		{"all of nothing", `return #http.all{}`, "0"},
		{"bad scheme", `return http.get("file:///etc/passwd")`, `nil|URL "file:///etc/passwd" does not begin with http:// or https://`},
		{"no host", `return http.get("http:///x")`, `nil|URL "http:///x" has no valid host`},
		{"control characters", `return http.get(u.."/a\r\nX: y") == nil`, "true"},
		{"flat get", `local b, s, h = http_get(u.."/f", {["X-A"] = "1", Connection = "close"}) return b, s, h["x-two"], h["Set-Cookie"]`,
			"GET local /f " + ua + " X-A=1 []|200|a|c=1"},
		{"flat post", `local b, s = http_post(u, "body") return b, s`, "POST local / " + ua + " [body]|200"},
		{"flat failure", `local b, s, h, m = http_get("gopher://x") return b, s, next(h), m`, `|0|nil|URL "gopher://x" does not begin with http:// or https://`},
	} {
		t.Run(c.name, func(t *testing.T) {
			script := strings.ReplaceAll(c.script, `u:gsub("http://", "")`, `"`+strings.TrimPrefix(server.URL, "http://")+`"`)
			got, err := netEval(L, script)
			if err != nil || got != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestHTTPMisuse(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(echo))
	defer server.Close()
	L := netVM(t, netTenant(t, fetch.Config{MaxResponse: 1000}), vmtest.Limits(), map[string]string{"u": server.URL})
	for _, c := range []struct{ script, want string }{
		{`http.get()`, "string expected"},
		{`http.get(u, 5)`, "table expected"},
		{`http.get(u, {timout = 1})`, `no option "timout"`},
		{`http.get(u, {method = "PUT"})`, `no option "method"`},
		{`http.get(u, {1})`, "options have names"},
		{`http.get(u, {timeout = 0/0})`, "timeout must be from"},
		{`http.get(u, {timeout = -1})`, "timeout must be from"},
		{`http.get(u, {timeout = 1e300})`, "timeout must be from"},
		{`http.get(u, {timeout = {}})`, "timeout must be a number"},
		{`http.get(u, {redirects = 1.5})`, "whole number"},
		{`http.get(u, {redirects = 11})`, "redirects must be from 0 to 10"},
		{`http.get(u, {max_response = 1001})`, "max_response must be from 1 to 1000"},
		{`http.get(u, {decompress = 1})`, "decompress must be a boolean"},
		{`http.get(u, {headers = {["X-A"] = "a\r\nX-B: b"}})`, "line break"},
		{`http.get(u, {headers = {["X-A"] = "a\0"}})`, "line break"},
		{`http.get(u, {headers = {["X-A: b\r\nX"] = "a"}})`, "not the name of a header"},
		{`http.get(u, {headers = {[""] = "a"}})`, "not the name of a header"},
		{`http.get(u, {headers = {"a"}})`, "strings as keys"},
		{`http.get(u, {headers = {a = {{}}}})`, "must hold strings"},
		{`http.get(u, {headers = {a = print}})`, "must be a string"},
		{`http.get(u, {headers = {["transfer-encoding"] = "chunked"}})`, "belongs to the connection"},
		{`http.get(u, {headers = {["content-length"] = "3"}})`, "belongs to the connection"},
		{`http.get(u, {headers = {host = "a b"}})`, "not a host"},
		{`http_get(u, {["X-A"] = "a\nb"})`, "line break"},
		{`http.post(u, {})`, "string expected"},
		{`http.post(u, "a", {json = 1})`, "body beside json"},
		{`http.post(u, nil, {json = print})`, "json"},
		{`http.request{}`, "url is missing"},
		{`http.request{url = u, method = "A B"}`, "is not a method"},
		{`http.request{url = u, method = "connect"}`, "not supported"},
		{`http.all(1)`, "table expected"},
		{`http.all{u, 5}`, "request 2: a table of options or a URL"},
		{`local t = {} for i = 1, 65 do t[i] = u end http.all(t)`, "more than 64"},
		{`local q = {} for i = 1, 1000 do q["k"..i] = "v" end http.get(u, {query = q})`, "more than 200"},
		{`local l = {} for i = 1, 1000 do l[i] = "v" end http.get(u, {query = {a = l}})`, "more than 200"},
		{`http.get(u).json({})`, "a response expected"},
		{`local t = {} t.a = t http.post(u, nil, {json = t})`, "json"},
	} {
		if _, err := netEval(L, c.script); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.script, err, c.want)
		}
	}
}

func TestHTTPResponseJSON(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.URL.Query().Get("body"))
	}))
	defer server.Close()
	L := netVM(t, netTenant(t, fetch.Config{}), vmtest.Limits(), map[string]string{"u": server.URL})
	got, err := netEval(L, `
		local value = http.get(u, {query = {body = '{"a":[1,2]}'}}):json()
		local nothing, message = http.get(u, {query = {body = '{"a":'}}):json()
		return value.a[2], nothing, type(message)`)
	if err != nil || got != "2|nil|string" {
		t.Errorf("got %q, %v", got, err)
	}
}

// A body is charged before there is memory for it, and the error can't be
// caught.
func TestHTTPMemory(t *testing.T) {
	ended := make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { ended <- struct{}{} }()
		evil(w, r)
	}))
	defer server.Close()
	for _, script := range []string{
		`http.get(u.."/endless")`,
		`http.all{u.."/endless", u.."/endless"}`,
	} {
		limits := vmtest.Limits()
		limits.Memory = 300 << 10
		L := netVM(t, netTenant(t, fetch.Config{}), limits, map[string]string{"u": server.URL})
		_, err := netEval(L, script)
		if err == nil || !strings.Contains(err.Error(), "lua.max_memory") || vm.RunOf(L).Exhausted() == nil {
			t.Errorf("%s: error %v, want lua.max_memory", script, err)
		}
		<-ended // what was under way is cancelled
	}
}

// Tables with many keys that were removed are slow to go through: that is
// counted, though nothing says how many there are.
func TestHTTPOptionsAreCounted(t *testing.T) {
	const keys = 100_000
	for _, script := range []string{
		`for i = 1, 1000 do http.get("x", t) end`,
		`for i = 1, 1000 do http.get("x", {headers = t}) end`,
		`for i = 1, 1000 do pcall(http.get, "x", {query = {a = t}}) end`,
	} {
		limits := vmtest.Limits()
		limits.Instructions = 1_000_000
		L := netVM(t, netTenant(t, fetch.Config{}), limits, nil)
		table := L.NewTable()
		for i := range keys {
			table.RawSetString(fmt.Sprint(i), glua.LTrue)
		}
		for i := range keys {
			table.RawSetString(fmt.Sprint(i), glua.LNil)
		}
		table.RawSetString("timeout", glua.LNumber(1)) // an empty table is seen to be
		L.SetGlobal("t", table)
		if _, err := netEval(L, script); err == nil || !strings.Contains(err.Error(), "lua.max_instructions") {
			t.Errorf("%s: error %v, want lua.max_instructions", script, err)
		}
	}
}

func TestHTTPRunEnds(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(evil))
	defer server.Close()
	defer server.CloseClientConnections()
	limits := vmtest.Limits()
	limits.TotalTimeout = time.Nanosecond
	L := netVM(t, netTenant(t, fetch.Config{}), limits, map[string]string{"u": server.URL})
	if _, err := netEval(L, `http.get(u.."/silent")`); err == nil || !strings.Contains(err.Error(), "lua.total_timeout") {
		t.Errorf("error %v, want lua.total_timeout", err)
	}
}

// Requests of http.all are on their way together, but not more than allowed.
func TestHTTPAllIsParallel(t *testing.T) {
	const most = 4
	for _, c := range []struct {
		meet int // how many must be there at once for any to be answered
		want string
	}{{most, "true"}, {most + 1, "false"}} {
		var mu sync.Mutex
		now, met := 0, make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			mu.Lock()
			if now++; now == c.meet {
				close(met)
			}
			mu.Unlock()
			select {
			case <-met:
			case <-r.Context().Done():
				mu.Lock()
				now--
				mu.Unlock()
			}
		}))
		L := netVM(t, netTenant(t, fetch.Config{MaxParallel: most}), vmtest.Limits(), map[string]string{"u": server.URL})
		L.SetGlobal("n", glua.LNumber(c.meet))
		got, err := netEval(L, `
			local list = {}
			for i = 1, n do list[i] = {url = u, timeout = n == 4 and 60 or 0.1} end
			local ok = 0
			for _, r in ipairs(http.all(list)) do if r.status == 200 then ok = ok + 1 end end
			return ok == n`)
		server.Close()
		if err != nil || got != c.want {
			t.Errorf("%d requests that wait for one another: all answered: %q, %v; want %s", c.meet, got, err, c.want)
		}
	}
}

func FuzzHTTPURL(f *testing.F) {
	for _, seed := range []string{"http://a/", "https://[::1%25x]:80/?a b", "http://a:b@c/#d", "http:a", "//x", "http://\x00", "http://a/%zz", "http://a\r\n/"} {
		f.Add(seed, "X-A", "b", "GET")
	}
	tenant := guardedTenant(f, fetch.Config{
		Deny: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
		Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, io.ErrClosedPipe
		}},
	})
	f.Fuzz(func(t *testing.T, target, name, value, method string) {
		L := netVM(t, tenant, vmtest.Limits(), map[string]string{"u": target, "n": name, "v": value, "m": method})
		got, err := netEval(L, `return http.request{url = u, method = m, headers = {[n] = v}, query = {[n] = v}, timeout = 0.5}`)
		if err == nil && !strings.HasPrefix(got, "nil|") {
			t.Errorf("a response from nowhere: %q", got)
		}
	})
}
