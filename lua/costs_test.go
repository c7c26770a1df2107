package lua_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// costly has a middleware do something a thousand times within a budget of 300 KiB, and
// returns what came of it.
func costly(t *testing.T, body string, change func(*page)) error {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "a.lua", "chi_middleware(function(request, response, next) for i = 1, 1000 do "+body+" end end)")
	o := options(dir, "a.lua")
	o.Config.MaxMemory = 300 << 10
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	defer scripts.Close()
	p := newPage()
	long := strings.Repeat("v", 1000)
	p.fields = append(p.fields, message.Field{Name: []byte("X-Long"), Value: []byte(long)})
	p.fresh.Query = []byte("?long=" + strings.Repeat("%20", 500))
	p.body = `"` + long + `"`
	p.begin()
	if change != nil {
		change(p)
	}
	return scripts.Serve(p, 0)
}

// TestWhatScriptsGetIsCharged: whatever scripts get from the gateway, or have it keep,
// is counted.
func TestWhatScriptsGetIsCharged(t *testing.T) {
	t.Parallel()
	certified := func(p *page) {
		p.request.request.Certificate = &message.Certificate{Subject: "CN=a", NotBefore: time.Unix(5, 0), NotAfter: time.Unix(7, 0)}
	}
	for _, body := range []string{
		`local c = request.client_certificate`, `local h = request:headers_all("accept")`, `local h = request_headers(request)`,
		`request:set_header("X-A", request:header("X-Long"))`, `request.headers["X-A"] = request:header("X-Long")`, `local v = request:query_param("long")`,
		`response:write(request:header("X-Long"))`, `response:set_body(request:header("X-Long"))`, `response.body = request:header("X-Long")`, `response:set_header("X-A", request:header("X-Long"))`,
		`response:json({request:header("X-Long")})`, `pcall(request.set_header, request, "X-A", "\n")`, `local v = request:json()`, `local p = request.params`,
		`response:cookie({name = "a", value = ("v"):rep(1000)})`, `local c = request:cookie("c") .. request:header("X-Long")`,
	} {
		failed, ok := errors.AsType[*lua.Error](costly(t, body, certified))
		if !ok || !failed.Limited() || !strings.Contains(failed.Message, "lua.max_memory") {
			t.Errorf("a thousand times %s: %v", body, failed)
		}
	}
	if failed, ok := errors.AsType[*lua.Error](costlyParam(t)); !ok || !failed.Limited() {
		t.Errorf("a thousand times request:param: %v", failed)
	}
	for _, body := range []string{`local m = request.method`, `local b = request.body`, `response:status(200)`, `local v = request:header("none")`} {
		if err := costly(t, body, certified); err != nil {
			t.Errorf("a thousand times %s: %v", body, err)
		}
	}
}

// costlyParam has a route read a long parameter with an escape a thousand times.
func costlyParam(t *testing.T) error {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "a.lua", "chi.get('/{a}', function(request) for i = 1, 1000 do local v = request:param('a') end end)")
	o := options(dir, "a.lua")
	o.Config.MaxMemory = 300 << 10
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	defer scripts.Close()
	p := newPage()
	path := []byte("/" + strings.Repeat("v", 1000) + "%25")
	p.fresh.Method, p.fresh.Path, p.fresh.Key, p.fresh.Below = []byte("GET"), path, path, path
	p.begin()
	return scripts.Serve(p, 0)
}
