package lua_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

// request is an Exchange whose pool answers at once.
type request struct {
	request  lua.Request
	response lua.Response
	header   message.Header
	target   message.Header
	fields   message.Header
	answer   message.Header
	fresh    lua.Request
}

func newRequest() *request {
	r := &request{fields: message.Header{
		{Name: []byte("Host"), Value: []byte("shop.example.com"), ID: message.Host},
		{Name: []byte("User-Agent"), Value: []byte("wrk")},
		{Name: []byte("Accept"), Value: []byte("*/*"), ID: message.Accept},
		{Name: []byte("X-Api-Key"), Value: []byte("0123456789abcdef0123456789abcdef")},
	}}
	path := []byte("/api/v2/users/42")
	r.answer = message.Header{{Name: []byte("Server"), Value: []byte("app")}, {Name: []byte("Content-Length"), Value: []byte("2"), ID: message.ContentLength}}
	r.fresh = lua.Request{
		Method: []byte("GET"), Path: path, Key: path, Below: path, Host: []byte("shop.example.com"), Scheme: "http",
		Protocol: "HTTP/1.1", ID: []byte("id"), Tenant: "shop", Header: &r.header,
	}
	r.begin()
	return r
}

// begin makes it a new request, in the same memory.
func (r *request) begin() {
	r.header, r.target = append(r.header[:0], r.fields...), append(r.target[:0], r.answer...)
	r.request = r.fresh
	r.response.Reset()
}

func (r *request) Request() *lua.Request   { return &r.request }
func (r *request) Response() *lua.Response { return &r.response }
func (r *request) Forward() error {
	r.response.Target, r.response.Status, r.response.Header = true, 200, &r.target
	return nil
}
func (r *request) Answer(error)                   { r.response.Status = 404 }
func (r *request) HasPool() bool                  { return true }
func (r *request) ReadBody(int64) ([]byte, error) { return nil, nil }
func (r *request) ReadResponse(int64) error       { r.response.Target = false; return nil }
func (r *request) Flush() error                   { return nil }
func (r *request) SetPath(string) error           { return nil }
func (r *request) SetQuery(string) error          { return nil }
func (r *request) SetHost(string) error           { return nil }
func (r *request) Choose(string) error            { return nil }
func (r *request) ChoosePool(string) error        { return nil }
func (r *request) SetBalanceKey(string) error     { return nil }
func (r *request) Unbound()                       {}
func (r *request) Restore(error) error            { return nil }
func (r *request) Watch(func()) func()            { return func() {} }
func (r *request) AppendLog(*zerolog.Event)       {}

// load loads one script.
func load(tb testing.TB, source string) *lua.Scripts {
	tb.Helper()
	dir := tb.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(source), 0o600); err != nil {
		tb.Fatal(err)
	}
	scripts, err := lua.Load(options(dir, "a.lua"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(scripts.Close)
	return scripts
}

func options(dir string, names ...string) lua.Options {
	config := lua.DefaultConfig()
	config.Timeout, config.LoadTimeout = 20e9, 60e9 // which no script uses up on a busy machine
	return lua.Options{
		Tenant: "shop", Dir: dir, Scripts: names, Config: config, Log: zerolog.Nop(),
		Cache: lua.NewCache(), Clock: systemClock{},
	}
}

// typical is the middleware that the speed of the shim is measured with.
const typical = `
chi_middleware(function(request, response, next)
  local key = request:header("X-Api-Key")
  if key == nil then request:set_header("X-Anon", "1") end
  request:set_header("X-Tenant", "t1")
  request:set_header("X-Edge", "keystone")
  next()
  response:header("X-Gateway", "keystone")
end)`

func TestTypicalMiddlewareAllocatesNothing(t *testing.T) {
	scripts, r := load(t, typical), newRequest()
	serve := func() {
		r.begin()
		if err := scripts.Serve(r, 0); err != nil {
			t.Fatal(err)
		}
	}
	serve()
	if n := measure.Allocations(1000, serve); n != 0 {
		t.Errorf("%d allocations in 1000 runs, expected 0", n)
	}
	if got := string(r.target.Value([]byte("x-gateway"))); got != "keystone" {
		t.Errorf("X-Gateway is %q on the response", got)
	}
	if got := string(r.header.Value([]byte("x-tenant"))); got != "t1" {
		t.Errorf("X-Tenant is %q on the request", got)
	}
}

func BenchmarkTypicalMiddleware(b *testing.B) {
	scripts, r := load(b, typical), newRequest()
	b.ReportAllocs()
	for b.Loop() {
		r.begin()
		if err := scripts.Serve(r, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRoute(b *testing.B) {
	scripts, r := load(b, `chi_route("GET", "/api/v2/users/{id}", function(request, response)
		response:header("Content-Type", "text/plain")
		response:write("hello\n")
	end)`), newRequest()
	b.ReportAllocs()
	for b.Loop() {
		r.begin()
		if err := scripts.Serve(r, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// TestSlowPatternsHideNoGuard: where a pattern takes all the steps that a request
// has for matching, nobody gets past what guards the path: neither by a route's
// pattern nor by a group's, before the guard of a route for another method.
func TestSlowPatternsHideNoGuard(t *testing.T) {
	const pass, guard = `chi_middleware(function(request, response, next) next() end)`, `chi_middleware(function(request, response) response:status(403) end)`
	for name, source := range map[string]string{
		"group": `chi_group("/{x:(.*a){100}b}", function() ` + pass + ` end)
			chi_group(function() ` + guard + ` chi_route("GET", "/*", function() end) end)`,
		"route": `chi_group("/{any}", function() ` + pass + ` end)
			chi_group(function() ` + guard + ` chi_route("POST", "/{x:(.*a){100}b}", function() end) chi_route("POST", "/*", function() end) end)`,
	} {
		scripts := load(t, source)
		for _, path := range []string{"/short", "/" + strings.Repeat("a", 16<<10)} {
			r := newRequest()
			r.fresh.Method = []byte("POST")
			r.fresh.Path, r.fresh.Key, r.fresh.Below = []byte(path), []byte(path), []byte(path)
			r.begin()
			if err := scripts.Serve(r, 0); err != nil {
				t.Error(err)
			}
			if r.response.Target {
				t.Errorf("%s: %.10q… has got past the guard", name, path)
			}
		}
	}
}

// TestSlowPatternsHideNoHead: where the route of GET would answer HEAD, and whether it is
// the one takes too long to find out, nobody else answers either.
func TestSlowPatternsHideNoHead(t *testing.T) {
	scripts := load(t, `chi.use(chi.get_head) chi.get("/{x:(.*a){100}b}", function() end)`)
	for path, want := range map[string]string{"/short": "pool", "/" + strings.Repeat("a", 16<<10): "matching the path with the routes' patterns took too long"} {
		if got := visited(t, scripts, "HEAD "+path, false); got != want {
			t.Errorf("%.10q…: %q, want %q", path, got, want)
		}
	}
}

// poolless is a request to a tenant that has no services.
type poolless struct {
	*request
	answered error
}

func (x *poolless) HasPool() bool    { return false }
func (x *poolless) Answer(err error) { x.answered = err }

// TestGroupsAreCalledWithNothing: what stands in a group is called once, with no
// arguments.
func TestGroupsAreCalledWithNothing(t *testing.T) {
	load(t, `local called = 0
	local function count(...) called = called + 1; assert(select("#", ...) == 0) end
	chi_group("/a", count)
	chi.route("/b", count)
	chi.group(count)
	assert(called == 3)
	chi_middleware(function(request, response, next) next() end)`)
}

// TestMissingBehindGroups: a group's middleware that goes on comes to the answer
// that there is no such route, or none for the method, as without it.
func TestMissingBehindGroups(t *testing.T) {
	scripts := load(t, `chi_group("/api", function()
		chi_middleware(function(request, response, next) next() end)
		chi_route("POST", "/v2/users/42", function() end)
	end)
	chi_group("/lost", function() chi_middleware(function(request, response, next) next() end) end)`)
	for path, want := range map[string]error{"/api/v2/users/42": &lua.MethodError{Allow: "POST"}, "/lost/x": lua.ErrNotFound} {
		x := &poolless{request: newRequest()}
		x.fresh.Path, x.fresh.Key, x.fresh.Below = []byte(path), []byte(path), []byte(path)
		x.begin()
		if err := scripts.Serve(x, 0); err != nil {
			t.Error(err)
		}
		if fmt.Sprintf("%T %v", x.answered, x.answered) != fmt.Sprintf("%T %v", want, want) {
			t.Errorf("%s: %v is answered, expected %v", path, x.answered, want)
		}
	}
}
