package lua_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"weak"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
)

// keeper keeps all that a script gets of a request, everywhere where a script
// can, and then ends as the path says.
const keeper = `
K = {}
local upvalues = {}
local time = require "keystone.time"

local function keep(name, value)
	if value == nil then return end
	K[#K + 1] = value                                          -- a table in a global
	_G["kept " .. name] = value                                -- a global
	upvalues[#upvalues + 1] = function() return value end      -- an upvalue
	K[#K + 1] = setmetatable({}, {__index = value, __call = value, __metatable = value})
	local co = coroutine.create(function(v) local mine = v while true do coroutine.yield(mine) end end)
	coroutine.resume(co, value)                                -- the stack of a coroutine
	K[#K + 1] = co
	K[#K + 1] = coroutine.wrap(function() coroutine.yield(value) end)
	if value == value then K[value] = name end                 -- a key
end

local function keepAll(request, response, next)
	keep("request", request)
	keep("response", response)
	keep("next", next)
	keep("params", request.params)
	keep("headers", request.headers)
	keep("fields", response.headers)
	keep("iterator", (pairs(request.headers)))
	keep("iterator of the response", (pairs(response.headers)))
	local begun = pairs(request.headers)
	begun()
	keep("iterator under way", begun)
	for _, name in ipairs{"header", "cookie", "query_param", "set", "get", "json"} do keep(name, request[name]) end
	for _, name in ipairs{"write", "flush", "cookie", "header"} do keep("response's " .. name, response[name]) end
	keep("closure", function() return request:header("Authorization") end)
	keep("path", request.path) keep("query", request.query) keep("id", request.id) keep("url", request.url)
	keep("method", request.method) keep("host", request.host) keep("body", request.body)
	keep("field", request:header("Authorization")) keep("all", request:headers_all("Cookie"))
	keep("cookie", request:cookie("session")) keep("parameter", request:query_param("q"))
	keep("flat", request_headers(request))
	for name, value in pairs(request.headers) do keep(name, value) end
	request:set("request", request)
	request:set("iterator", (pairs(request.headers)))
	local co
	co = coroutine.wrap(function()
		keep("running", coroutine.running())
		keep("wrap", co)
		coroutine.yield()
		request:header("Authorization")
	end)
	co()
	pcall(function()
		keep("iterator of a thread that failed", (pairs(request.headers)))
		keep("closure of a thread that failed", function() return request.path end)
		error(request)
	end)
end

local function finish(path, request, response, next)
	if path == "/error" then error("keep") end
	if path == "/value" then error(request) end
	if path == "/iterator" then error((pairs(request.headers))) end
	if path == "/budget" then while true do end end
	if path == "/memory" then local t = {} while true do t[#t + 1] = string.rep("x", 1000) .. #t end end
	if path == "/stack" then local function f() return 1 + f() end f() end
	if path == "/coroutine" then coroutine.wrap(function() error(response) end)() end
	if path == "/sleep" then time.sleep(0.0001) error("late") end
	if path == "/nested" then pcall(function() pcall(function() while true do end end) end) end
	if path == "/write" or path == "/flush panics" then response:write("x") response:flush() error("later") end
	local ok, failure = pcall(next)
	keep("error", failure)
	if path == "/again" or path == "/again panics" then error(failure) end
	if path == "/caught" then pcall(error, request) end
	if path == "/answer" then keep("answer", response.body) end
end

chi_middleware(function(request, response, next)
	keepAll(request, response, next)
	finish(request.path, request, response, next)
end)
chi_middleware(function(request, response, next)
	keepAll(request, response, next)
	next()
	if request.path == "/behind" or request.path == "/again" then error("behind") end
end)
`

// endings are the ways in which keeper's requests end, and with what error.
var endings = map[string]string{
	"/whole": "", "/error": "keep", "/value": "a userdata value", "/iterator": "a function value", "/budget": "lua.max_instructions",
	"/memory": "lua.max_memory", "/stack": "stack overflow", "/coroutine": "a userdata value", "/sleep": "late",
	"/nested": "lua.max_instructions", "/write": "later", "/again": "behind", "/caught": "", "/answer": "", "/behind": "",
	"/gone": "the client went away", "/panic": "", "/again panics": "boom", "/ending": "the body can't be read",
	"/flush panics": "boom", "/body panics": "boom", "/missing": "",
}

// watched is an Exchange whose memory the test sees go.
type watched struct {
	request  *lua.Request
	response *lua.Response
	path     string
	target   *http1.Header
	pool     bool
	memory   map[string]func() bool // whether it is still there
}

func newWatched(path string) *watched {
	x := &watched{path: path, pool: path != "/missing", memory: map[string]func() bool{}}
	header := &http1.Header{}
	for _, f := range [][2]string{{"Authorization", "Bearer secret"}, {"Cookie", "session=secret; q=1"}, {"X-Id", strings.Repeat("long", 50)}} {
		*header = append(*header, http1.Field{Name: x.bytes("name of "+f[0], f[0]), Value: x.bytes("value of "+f[0], f[1])})
	}
	x.target = &http1.Header{{Name: x.bytes("the target's field", "Server"), Value: x.bytes("the target's value", "app")}}
	where := x.bytes("path", path)
	x.request = &lua.Request{
		Method: x.bytes("method", "GET"), Path: where, Key: where, Below: where, Query: x.bytes("query", "?q=1"), Host: x.bytes("host", "a.example"),
		Scheme: "http", Protocol: "HTTP/1.1", ID: x.bytes("id", "id of the request"), Tenant: "shop", Header: header,
	}
	x.response = &lua.Response{}
	x.response.Reset()
	watch(x, "request", x.request)
	watch(x, "response", x.response)
	watch(x, "header", header)
	watch(x, "the target's header", x.target)
	return x
}

// bytes are memory of the exchange's, large enough to be an object of its own.
func (x *watched) bytes(what, text string) []byte {
	b := make([]byte, 64, 64+len(text))
	copy(b, text)
	b = append(b[:0], text...)
	watch(x, what, &b[0])
	return b
}

func watch[T any](x *watched, what string, p *T) {
	pointer := weak.Make(p)
	x.memory[what] = func() bool { return pointer.Value() != nil }
}

func (x *watched) Request() *lua.Request   { return x.request }
func (x *watched) Response() *lua.Response { return x.response }
func (x *watched) Forward() error {
	switch x.path {
	case "/gone":
		return lua.ErrGone
	case "/panic", "/again panics":
		panic("boom")
	}
	x.response.Target, x.response.Status, x.response.Header = true, 200, x.target
	return nil
}
func (x *watched) Answer(error)  { x.response.Status = 404 }
func (x *watched) HasPool() bool { return x.pool }
func (x *watched) ReadBody(int64) ([]byte, error) {
	switch x.path {
	case "/ending":
		return nil, &lua.Ending{Err: &heavy{x}}
	case "/body panics":
		panic("boom")
	}
	return x.bytes("body", "the body of the request"), nil
}

func (x *watched) ReadResponse(int64) error {
	x.response.Target = false
	x.response.Body = append(x.response.Body[:0], "the answer"...)
	return nil
}

func (x *watched) Flush() error {
	if x.path == "/flush panics" {
		panic("boom")
	}
	x.response.Begun = true
	return nil
}
func (x *watched) SetPath(string) error     { return nil }
func (x *watched) SetQuery(string) error    { return nil }
func (x *watched) SetHost(string) error     { return nil }
func (x *watched) Choose(string) error      { return nil }
func (x *watched) Unbound()                 {}
func (x *watched) Restore(error) error      { return nil }
func (x *watched) Watch(func()) func()      { return func() {} }
func (x *watched) AppendLog(*zerolog.Event) {}

// heavy is an error that leads to its exchange.
type heavy struct{ *watched }

func (*heavy) Error() string { return "the body can't be read" }

// TestNothingLeadsToTheExchange keeps all that there is of requests that end in
// all ways, and asks the garbage collector whether a VM still reaches the
// exchange, or memory of the proxy's that it showed.
func TestNothingLeadsToTheExchange(t *testing.T) {
	for _, onError := range []string{"fail", lua.OnErrorContinue} {
		scripts := loadKeeper(t, onError)
		for ending, failure := range endings {
			left, err := serveWatched(scripts, ending)
			if onError == "fail" && (err == nil && failure != "" || err != nil && (failure == "" || !strings.Contains(err.Error(), failure))) {
				t.Errorf("%s: error %v, expected %q", ending, err, failure)
			}
			// Conservative stacks may show what is no longer used for a moment.
			for range 3 {
				runtime.GC()
			}
			for what, there := range left {
				if there() {
					t.Errorf("%s, on_error %s: after the request, the VM still leads to its %s", ending, onError, what)
				}
			}
		}
		runtime.KeepAlive(scripts)
	}
}

// serveWatched serves a request of which nothing else is kept.
func serveWatched(scripts *lua.Scripts, path string) (memory map[string]func() bool, err error) {
	x := newWatched(path)
	defer func() {
		if cause := recover(); cause != nil { // out of Forward, without scripts
			memory = x.memory
		}
	}()
	if err = scripts.Serve(x, 0); err != nil {
		err = errors.New(err.Error())
	}
	return x.memory, err
}

func loadKeeper(t *testing.T, onError string) *lua.Scripts {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(keeper), 0o600); err != nil {
		t.Fatal(err)
	}
	o := options(dir, "a.lua")
	o.Shards, o.Config.OnError, o.Config.QuarantineAfter = 1, onError, 0
	o.Config.MaxInstructions, o.Config.MaxMemory, o.Config.MaxMemoryRate, o.Config.MaxCoroutines = 200_000, 8<<20, 0, 1000
	o.Config.Timeout, o.Config.TotalTimeout = 30e9, 30e9
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scripts.Close)
	return scripts
}
