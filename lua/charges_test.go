package lua_test

import (
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// charged is how much memory a middleware of this body is charged: the least
// lua.max_memory with which it doesn't fail.
func charged(t *testing.T, body string, change func(*page)) int {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "a.lua", "local long, kept = ('v'):rep(1000), nil chi_middleware(function(request, response, next) "+body+" end)")
	o := options(dir, "a.lua")
	o.Shards, o.Config.QuarantineAfter, o.Config.MaxMemoryRate = 1, 0, 0
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	defer scripts.Close()
	serve := func() error {
		p := newPage()
		p.fields = append(p.fields, message.Field{Name: []byte("X-Long"), Value: []byte(strings.Repeat("v", 1000))}, message.Field{Name: []byte("Cookie"), Value: []byte("long=" + strings.Repeat("v", 1000))})
		p.fresh.Query = []byte("?short=1&long=" + strings.Repeat("v", 1000))
		p.body, p.reply = strings.Repeat("b", 1000), strings.Repeat("r", 2000)
		p.begin()
		if change != nil {
			change(p)
		}
		return scripts.Serve(p, 0)
	}
	if err := serve(); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return sort.Search(100_000, func(n int) bool {
		scripts.LimitMemory(int64(n) + 1) // 0 is no limit
		return serve() == nil
	}) + 1
}

// TestCharges: what each use of a request or a response is charged.
func TestCharges(t *testing.T) {
	t.Parallel()
	certified := func(p *page) {
		p.request.request.Certificate = &message.Certificate{
			Subject: "CN=a", NotBefore: time.Unix(5, 0), NotAfter: time.Unix(7, 0),
			DNSNames: []string{"a.example", "b.example", "c.example"}, Emails: []string{"a@example.com", "b@example.com"}, URIs: []string{"urn:a"}, IPs: []string{"::1", "::2", "::3", "::4"},
		}
	}
	p := newPage()
	certified(p)
	for body, want := range map[string]int{
		``:                                           0,
		`local v = request.method`:                   0,
		`local v = request:header("x-own")`:          0,
		`local v = request:header("x-long")`:         1016,
		`local v = request.headers["x-long"]`:        1016,
		`local v = request:cookie("long")`:           1016,
		`local v = request:query_param("short")`:     17,
		`local v = request:query_param("long")`:      1016,
		`local v = request:headers_all("accept")`:    2048,
		`local v = request:headers_all("x-long")`:    2048 + 1016,
		`local v = request.body`:                     1016,
		`local v = request.body v = request.body`:    1016,
		`local v = request.params`:                   2048,
		`local v = request.client_certificate`:       2048 + p.request.request.Certificate.Size() + 64*10,
		`local v = request_headers(request)`:         4096 + 1016,
		`local v = pairs(request.headers)`:           256,
		`local v = pairs(response.headers)`:          256,
		`request:set("a", 1)`:                        64,
		`request:set("a", 1) request:set("a", nil)`:  64,
		`request:set_header("X-A", "12345")`:         16,
		`request:set_header("X-A", long)`:            2 * 1003,
		`request:add_header("X-A", long)`:            2 * 1003,
		`response:set_header("X-A", long)`:           2 * 1003,
		`response:add_header("X-A", long)`:           2 * 1003,
		`response:header("Content-Length", long)`:    0,
		`request:set_header("Content-Length", long)`: 0,
		`response:set_body(long)`:                    1000,
		`response.body = long`:                       1000,
		`response:write(long)`:                       1000,
		`response:write(long, long)`:                 1000 + 2000,
		`next() local v = response.body`:             2016,
		`next() response:set_body(long)`:             1000,
	} {
		if got := charged(t, body, certified); got != max(want, 1) {
			t.Errorf("%s is charged %d bytes, want %d", body, got, want)
		}
	}
}
