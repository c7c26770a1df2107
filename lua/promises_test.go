package lua_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua"
)

// TestNothingIsReturned: what has no result has none, not even nil.
func TestNothingIsReturned(t *testing.T) {
	t.Parallel()
	for _, call := range []string{
		`request:set_header("X-A", "1")`, `request:set_header("X-A", nil)`, `request:set_header("Host", "x")`, `request:add_header("X-A", "1")`, `request:remove_header("X-A")`,
		`request:set_path("/x")`, `request:set_query("x")`, `request:set_host("x")`, `request:set_method("GET")`, `request:set_body("x")`, `request:upstream("x")`, `request:set("a", 1)`,
		`request:set_context("a", 1)`, `chi_context_set(request, "a", 1)`,
		`response:status(201)`, `response:header("X-A", "1")`, `response:set_header("X-A", "1")`, `response:add_header("X-A", "1")`, `response:remove_header("X-A")`, `response:header("X-A", nil)`,
		`response:write("x")`, `response:set_body("x")`, `response:json({})`, `response:redirect("/x")`, `response:flush()`, `response:cookie({name = "a", value = "b"})`,
		`response_write(response, "x")`, `response_status(response, 201)`, `response_header(response, "X-A", "1")`, `next()`, `log("x")`,
	} {
		if got := sees(t, `local n = select("#", `+call+`) error("got " .. n, 0)`, nil); got != "got 0" {
			t.Errorf("%s: %s", call, got)
		}
	}
}

// TestDefaults are those that are promised.
func TestDefaults(t *testing.T) {
	t.Parallel()
	c := lua.DefaultConfig()
	got := fmt.Sprintln(c.MaxInstructions, c.Timeout, c.LoadTimeout, c.TotalTimeout, c.MaxMemory.Int64(), c.MaxVMMemory.Int64(), c.MaxMemoryRate.Int64(), c.MaxCoroutines, c.MaxBody.Int64(), c.MaxWaiting,
		c.OnError, c.QuarantineAfter, c.LogRate.Int64(), c.LogBurst.Int64(), c.SharedMemory.Int64(), c.HTTP.Timeout, c.HTTP.MaxResponse.Int64(), c.StrictGlobals)
	if want := "10000000 100ms 5s 1m 67108864 67108864 67108864 100 1048576 1000 fail 5 262144 1048576 16777216 5s 1048576 false\n"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestHeadIsGetWhereThatIsWanted: routes of GET answer HEAD if the script says so, and
// no other method.
func TestHeadIsGetWhereThatIsWanted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		script, method string
		want           string
	}{
		{"", "GET", "200 got"}, {"", "HEAD", "404 "}, {"chi.use(chi.get_head) ", "HEAD", "200 got"}, {"chi.use(chi.get_head) ", "GET", "200 got"}, {"chi.use(chi.get_head) ", "POST", "404 "},
		{"chi.use(chi.get_head) chi.head('/a', function(request, response) response:write('own') end) ", "HEAD", "0 own"},
		{"chi.use(chi.get_head) chi.post('/b', print) ", "HEAD", "200 got"}, {"chi.use(chi.get_head) chi.put('/a', print) ", "HEAD", "200 got"}, {"chi.put('/a', print) ", "HEAD", "404 "},
	} {
		scripts := load(t, c.script+"chi.get('/a', function(request, response) response:status(200) response:write('got') end)")
		p := newPage()
		p.fresh.Method, p.fresh.Path, p.fresh.Key, p.fresh.Below = []byte(c.method), []byte("/a"), []byte("/a"), []byte("/a")
		p.begin()
		p.poolless = true
		err := scripts.Serve(p, 0)
		if got := p.answered(err); got != c.want {
			t.Errorf("%s of %q: got %q, want %q", c.method, c.script, got, c.want)
		}
	}
}

// TestSwitchedConnections: a target's 101 has no body that a script could replace,
// unless it gives the answer another status.
func TestSwitchedConnections(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code string
		want string
	}{
		{`next() response:set_body("x")`, "the connection is about to become a tunnel: set another status before its body"},
		{`next() response:status(403) response:set_body("x")`, "403 x"},
		{`next() response.status_code = 403 response.body = "x"`, "403 x"},
	} {
		got := switched(t, c.code)
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.code, got, c.want)
		}
	}
}

// switching is a page whose target switches protocols.
type switching struct{ *page }

func (s switching) Forward() error {
	err := s.page.Forward()
	s.response.Status = http.StatusSwitchingProtocols
	return err
}

func switched(t *testing.T, body string) string {
	t.Helper()
	scripts := load(t, "chi_middleware(function(request, response, next) "+body+" end)")
	p := newPage()
	return p.answered(scripts.Serve(switching{p}, 0))
}

// TestCurrent: scripts are what is asked for only if every option is the same.
func TestCurrent(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	for _, d := range []string{dir, other} {
		put(t, d, "a.lua", "local a = 1")
		put(t, d, "b.lua", "local a = 1")
	}
	asked := options(dir, "a.lua")
	scripts, err := lua.Load(asked)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scripts.Close)
	for name, change := range map[string]func(*lua.Options){
		"":             func(*lua.Options) {},
		"tenant":       func(o *lua.Options) { o.Tenant = "other" },
		"directory":    func(o *lua.Options) { o.Dir = other },
		"scripts":      func(o *lua.Options) { o.Scripts = []string{"b.lua"} },
		"more scripts": func(o *lua.Options) { o.Scripts = []string{"a.lua", "b.lua"} },
		"global":       func(o *lua.Options) { o.Global++ },
		"slashes":      func(o *lua.Options) { o.StripSlashes = !o.StripSlashes },
		"a limit":      func(o *lua.Options) { o.Config.MaxInstructions++ },
	} {
		o := asked
		change(&o)
		o.Cache.Begin(nil)
		if got := scripts.Current(&o); got != (name == "") {
			t.Errorf("with another %q they are current: %v", name, got)
		}
		if scripts.Unchanged(&o) && name != "" {
			t.Errorf("with another %q they are unchanged", name)
		}
	}
}

// TestWarningsOfTheFirstVM: what is said of a script is said once, however many VMs it
// runs on.
func TestWarningsOfTheFirstVM(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "a.lua", "chi.get('/users/:id', function() end)")
	o := options(dir, "a.lua")
	o.Shards = 3
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scripts.Close)
	for range 6 {
		_ = scripts.Serve(newRequest(), 0)
	}
	if got := scripts.Warnings(true); len(got) != 1 || !strings.Contains(got[0], `did you mean "/users/{id}"`) {
		t.Errorf("got %q", got)
	}
}

// TestFailuresNameTheirFile: an ask that fails in a module is that module's failure, one
// that is out of its budget the script's; both say in which function it was.
func TestFailuresNameTheirFile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ module, script, message string }{
		{"error('no')", "lib.lua", "lib.lua:1: no"}, {"while true do end", "a.lua", "is used up"}, {"local x = nil + 1", "lib.lua", "lib.lua:1: attempt"},
	} {
		dir := t.TempDir()
		put(t, dir, "a.lua", "local lib = require 'lib' chi.tls_ask(function(name) lib() return true end)")
		put(t, dir, "shop/lib.lua", "return function() "+c.module+" end")
		o := options(dir, "a.lua")
		o.Config.MaxInstructions = 10_000
		scripts, err := lua.Load(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(scripts.Close)
		_, err = scripts.TLSAsk(t.Context(), "a.example.com")
		failed, ok := errors.AsType[*lua.Error](err)
		if !ok {
			t.Fatalf("%s: %v", c.module, err)
		}
		if !strings.HasSuffix(failed.Script, c.script) || !strings.Contains(failed.Message, c.message) || !strings.HasSuffix(failed.Stack, ": in the function of chi_tls_ask") {
			t.Errorf("%s: got %q of %q with %q", c.module, failed.Message, failed.Script, failed.Stack)
		}
	}
}
