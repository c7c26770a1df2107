package lua_test

import (
	"errors"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"weak"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// endings are the ways in which the requests of testdata/keeper.lua end, and with what error.
var endings = map[string]string{
	"/whole": "", "/error": "keep", "/value": "a userdata value", "/iterator": "a function value", "/budget": "lua.max_instructions",
	"/memory": "lua.max_memory", "/stack": "stack overflow", "/coroutine": "a userdata value", "/sleep": "late",
	"/nested": "lua.max_instructions", "/write": "later", "/again": "behind", "/caught": "", "/answer": "", "/behind": "",
	"/gone": "the client went away", "/panic": "", "/panic again": "boom", "/ending": "the body can't be read",
	"/flush": "boom", "/body panics": "boom", "/missing": "",
}

// watched is an Exchange whose memory the test sees go.
type watched struct {
	request  *lua.Request
	response *lua.Response
	path     string
	target   *message.Header
	pool     bool
	forward  func()
	memory   map[string]func() bool // whether it is still there
}

func newWatched(path string) *watched {
	x := &watched{path: path, pool: path != "/missing", memory: map[string]func() bool{}}
	header := &message.Header{}
	for _, f := range [][2]string{{"Authorization", "own of " + path}, {"Cookie", "session=secret; q=1"}, {"X-Id", strings.Repeat("long", 50)}} {
		*header = append(*header, message.Field{Name: x.bytes("name of "+f[0], f[0]), Value: x.bytes("value of "+f[0], f[1])})
	}
	x.target = &message.Header{{Name: x.bytes("the target's field", "Server"), Value: x.bytes("the target's value", "app")}}
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
	if x.forward != nil {
		x.forward()
	}
	switch x.path {
	case "/gone":
		return lua.ErrGone
	case "/panic", "/panic again":
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
	if x.path == "/flush" {
		panic("boom")
	}
	x.response.Begun = true
	return nil
}
func (x *watched) SetPath(string) error       { return nil }
func (x *watched) SetQuery(string) error      { return nil }
func (x *watched) SetHost(string) error       { return nil }
func (x *watched) Choose(string) error        { return nil }
func (x *watched) ChoosePool(string) error    { return nil }
func (x *watched) SetBalanceKey(string) error { return nil }
func (x *watched) Unbound()                   {}
func (x *watched) Restore(error) error        { return nil }
func (x *watched) Watch(func()) func()        { return func() {} }
func (x *watched) AppendLog(*zerolog.Event)   {}

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
			unreached(t, ending+", on_error "+onError, left)
		}
		runtime.KeepAlive(scripts)
	}
}

// TestNoScriptLeadsToTheExchange is for requests that run no Lua.
func TestNoScriptLeadsToTheExchange(t *testing.T) {
	scripts := load(t, `chi_route("GET", "/a/{id}", function() end)`)
	for _, path := range []string{"/other", "/missing", "/a"} {
		left, err := serveWatched(scripts, path)
		if err != nil {
			t.Error(err)
		}
		unreached(t, path, left)
	}
	runtime.KeepAlive(scripts)
}

// unreached asks the garbage collector, again and again: stacks may show for a
// moment what is no longer used.
func unreached(t *testing.T, request string, left map[string]func() bool) {
	t.Helper()
	for range 100 {
		runtime.GC()
		if !slices.ContainsFunc(slices.Collect(maps.Values(left)), func(there func() bool) bool { return there() }) {
			return
		}
	}
	for what, there := range left {
		if there() {
			t.Errorf("%s: after the request, the VM still leads to its %s", request, what)
		}
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
	o := options("testdata", "keeper.lua")
	o.Shards, o.Config.OnError, o.Config.QuarantineAfter = 1, onError, 0
	o.Config.MaxInstructions, o.Config.MaxMemory, o.Config.MaxMemoryRate, o.Config.MaxCoroutines = 1_000_000, 32<<20, 0, 1000
	o.Config.Timeout, o.Config.TotalTimeout = 30e9, 30e9
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scripts.Close)
	return scripts
}

// TestKept uses all that was kept of a request in a later one of the same VM:
// nothing works.
func TestKept(t *testing.T) {
	scripts := loadKeeper(t, lua.OnErrorFail)
	for ending := range endings {
		_, _ = serveWatched(scripts, ending)
		use(t, scripts, ending)
	}
}

// TestKeptInFlight uses all that was kept of a request while that waits.
func TestKeptInFlight(t *testing.T) {
	scripts := loadKeeper(t, lua.OnErrorFail)
	x := newWatched("/waits")
	x.forward = func() { use(t, scripts, "/waits") }
	if err := scripts.Serve(x, 0); err != nil {
		t.Error(err)
	}
}

func use(t *testing.T, scripts *lua.Scripts, ending string) {
	t.Helper()
	x := newWatched("/use")
	if err := scripts.Serve(x, 0); err != nil {
		t.Errorf("%s: %v", ending, err)
	}
	if len(x.response.Body) > 0 {
		t.Errorf("%s: what was kept works in another request:\n%s", ending, x.response.Body)
	}
	if kept := string(x.response.Local.Value([]byte("X-Kept"))); len(kept) < 3 {
		t.Errorf("%s: %s things were kept, expected hundreds", ending, kept)
	}
}
