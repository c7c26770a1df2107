package lua_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// slow is an Exchange that waits in every method that may, and whose every
// answer names the request it belongs to.
type slow struct {
	request  lua.Request
	response lua.Response
	header   message.Header
	target   message.Header
	id       string
	seed     uint32
	sent     []byte // what has been flushed
	forward  func(*slow) error
}

func newSlow(n int, kind string) *slow {
	id := fmt.Sprintf("id-%d", n)
	x := &slow{id: id, seed: uint32(n)*2654435761 + 1, header: message.Header{
		{Name: []byte("X-Kind"), Value: []byte(kind)}, {Name: []byte("X-Id"), Value: []byte(id)},
	}}
	path := []byte("/" + kind + "/" + id)
	x.request = lua.Request{
		Method: []byte("GET"), Path: path, Key: path, Below: path, Host: []byte("a.example"), Scheme: "http",
		Protocol: "HTTP/1.1", ID: []byte(id), Tenant: "shop", Header: &x.header,
	}
	x.response.Reset()
	return x
}

// wait is a short time, another each time it is called.
func (x *slow) wait() {
	x.seed = x.seed*1664525 + 1013904223
	<-time.After(time.Duration(x.seed>>22) * time.Microsecond / 4)
}

func (x *slow) Request() *lua.Request   { return &x.request }
func (x *slow) Response() *lua.Response { return &x.response }
func (x *slow) Forward() error {
	x.wait()
	if x.forward != nil {
		return x.forward(x)
	}
	x.target = message.Header{{Name: []byte("X-Target"), Value: []byte(x.id)}}
	x.response.Target, x.response.Status, x.response.Header = true, 200, &x.target
	return nil
}
func (x *slow) Answer(error)  { x.response.Status = 404 }
func (x *slow) HasPool() bool { return true }
func (x *slow) ReadBody(int64) ([]byte, error) {
	x.wait()
	return []byte("body of " + x.id), nil
}

func (x *slow) ReadResponse(int64) error {
	x.wait()
	x.response.Target = false
	x.response.Body = append(x.response.Body[:0], "answer to "+x.id...)
	return nil
}

func (x *slow) Flush() error {
	x.wait()
	x.response.Begun = true
	x.sent = append(x.sent, x.response.Body...)
	x.response.Body = x.response.Body[:0]
	return nil
}
func (x *slow) SetPath(string) error       { return nil }
func (x *slow) SetQuery(string) error      { return nil }
func (x *slow) SetHost(string) error       { return nil }
func (x *slow) Choose(string) error        { return nil }
func (x *slow) ChoosePool(string) error    { return nil }
func (x *slow) SetBalanceKey(string) error { return nil }
func (x *slow) Unbound()                   {}
func (x *slow) Restore(error) error        { return nil }
func (x *slow) Watch(func()) func()        { return func() {} }
func (x *slow) AppendLog(e *zerolog.Event) { e.Str("request_id", x.id) }

// slowStore is a store.Store that is elsewhere.
type slowStore struct {
	mu     sync.Mutex
	values map[string]any
	limits *store.Memory
}

func newSlowStore() *slowStore {
	return &slowStore{values: map[string]any{}, limits: store.NewMemory(1<<20, time.Now)}
}

func (s *slowStore) update(key string, f func(old any) (any, error)) error {
	<-time.After(50 * time.Microsecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	value, err := f(s.values[key])
	if err == nil {
		s.values[key] = value
	}
	return err
}

func (s *slowStore) Get(_ context.Context, key string) (value any, ok bool, err error) {
	err = s.update(key, func(old any) (any, error) { value = old; return old, nil })
	return value, value != nil, err
}

func (s *slowStore) Set(_ context.Context, key string, value any, _ time.Duration) error {
	return s.update(key, func(any) (any, error) { return value, nil })
}

func (s *slowStore) Add(_ context.Context, key string, value any, _ time.Duration) (added bool, err error) {
	err = s.update(key, func(old any) (any, error) {
		if added = old == nil; added {
			return value, nil
		}
		return old, nil
	})
	return added, err
}

func (s *slowStore) Incr(_ context.Context, key string, by, start float64, _ time.Duration) (sum float64, err error) {
	err = s.update(key, func(old any) (any, error) {
		n, ok := old.(float64)
		if !ok {
			n = start
		}
		sum = n + by
		return sum, nil
	})
	return sum, err
}

func (s *slowStore) Delete(_ context.Context, key string) (deleted bool, err error) {
	err = s.update(key, func(old any) (any, error) { deleted = old != nil; return nil, nil })
	return deleted, err
}

func (s *slowStore) TTL(_ context.Context, key string) (time.Duration, bool, error) {
	_, ok, err := s.Get(context.Background(), key)
	return 0, ok, err
}

func (s *slowStore) Take(ctx context.Context, key string, q store.Quota) (v store.Verdict, err error) {
	<-time.After(50 * time.Microsecond)
	return s.limits.Take(ctx, key, q)
}

// everyWait has a kind of request for each function that gives the VM away,
// from each place where Lua is called back from Go. {url} is a server that
// answers with its query.
const everyWait = `
local time = require "keystone.time"
local http = require "keystone.http"
local shared = require "keystone.shared"
local limit = require "keystone.limit"

local function same(what, got, want)
	if got ~= want then error("MIXED UP: " .. what .. " is " .. tostring(got) .. " instead of " .. tostring(want)) end
end
local function nap() time.sleep(0.0001) end
local function fetch(id)
	local r = assert(http.get("{url}?" .. id))
	return r.body
end
local kinds = {}
function kinds.next(q, r, next, id) next() same("X-Target", r:header("X-Target"), id) end
function kinds.pcall_next(q, r, next, id) assert(pcall(next)) same("X-Target", r:header("X-Target"), id) end
function kinds.coroutine_next(q, r, next, id)
	coroutine.wrap(function() pcall(next) coroutine.yield() end)()
	same("X-Target", r:header("X-Target"), id)
end
function kinds.sort_next(q, r, next, id)
	local done
	table.sort({3, 1, 2, 5, 4}, function(a, b) if not done then done = true next() end nap() return a < b end)
	same("X-Target", r:header("X-Target"), id)
end
function kinds.body(q, r, next, id) same("body", q.body, "body of " .. id) end
function kinds.answer(q, r, next, id) next() same("answer", r.body, "answer to " .. id) end
function kinds.meta(q, r, next, id)
	local t = setmetatable({}, {
		__index = function() return q.body end, __newindex = function(t, k, v) nap() rawset(t, k, v) end,
		__concat = function(a, b) nap() return id end, __eq = function() nap() return true end,
		__lt = function() nap() return true end, __call = function(self, x) return fetch(x) end,
		__add = function(a, b) nap() return id end, __len = function() nap() return 7 end,
		__tostring = function() nap() return id end, __unm = function() nap() return id end,
	})
	same("__index", t.x, "body of " .. id)
	t["k" .. id] = id
	same("__newindex", rawget(t, "k" .. id), id)
	same("__concat", t .. "x", id) same("__add", t + 1, id) same("__unm", -t, id)
	same("__tostring", tostring(t), id) same("__call", t(id), id)
	same("__lt", t < setmetatable({}, getmetatable(t)), true)
end
function kinds.callbacks(q, r, next, id)
	same("gsub", (string.gsub("a", ".", function() nap() return q.id end)), id)
	same("re", (require("keystone.re").gsub("a", ".", function() return fetch(id) end)), id)
	local n = 0
	for x in function() nap() n = n + 1 if n < 4 then return q.id end end do same("iterator", x, id) end
	local ok, e = xpcall(function() nap() error(id, 0) end, function(e) nap() return e .. q.id end)
	same("xpcall", e, id .. id)
	for k, v in pairs(q.headers) do nap() if k == "X-Id" then same("headers", v, id) end end
end
function kinds.http(q, r, next, id) same("http", fetch(id), id) end
function kinds.all(q, r, next, id)
	for i, a in ipairs(http.all{"{url}?1" .. id, {url = "{url}?2" .. id}, "{url}?3" .. id}) do same("all", a.body, i .. id) end
end
function kinds.shared(q, r, next, id)
	assert(shared.set(id, id)) same("shared", shared.get(id), id) same("add", shared.add(id, 1), false)
	shared.incr("count") assert(limit.allow(id, 10, 5))
	same("delete", shared.delete(id), true)
end
function kinds.flush(q, r, next, id)
	for i = 1, 3 do r:write(id, ";") pcall(r.flush, r) nap() end
end
function kinds.nested(q, r, next, id)
	local co = coroutine.wrap(function()
		local ok, e = pcall(function()
			return coroutine.wrap(function() nap() table.sort({2, 1}, function(a, b) same("body", q.body, "body of " .. id) return a < b end) return q.id end)()
		end)
		coroutine.yield(e)
		nap()
		return q.id
	end)
	same("yield", co(), id) same("return", co(), id)
end
function kinds.panic(q, r, next, id) next() end
function kinds.pcall_panic(q, r, next, id)
	local ok, e = pcall(next)
	same("pcall", ok, false)
	assert(string.find(tostring(e), "boom " .. id, 1, true), tostring(e))
end
function kinds.gone(q, r, next, id) while true do pcall(next) pcall(nap) end end
function kinds.fault(q, r, next, id) nap() error("fault of " .. id, 0) end
function kinds.endless(q, r, next, id) nap() while true do pcall(function() while true do end end) end end
function kinds.hungry(q, r, next, id) nap() local t = {} while true do t[#t + 1] = string.rep("x", 100000) end end
function kinds.late(q, r, next, id) pcall(time.sleep, 100) pcall(time.sleep, 100) error("it went on") end

chi_middleware(function(request, response, next)
	local id = request.id
	request:set("id", id)
	response:header("X-Local", id)
	kinds[request:header("X-Kind")](request, response, next, id)
	same("request.id", request.id, id)
	same("get", request:get("id"), id)
	same("X-Id", request:header("X-Id"), id)
	response:header("X-Done", id)
end)`

// kinds are the kinds of requests; what ends in an error says how.
var kinds = []struct{ name, fails string }{
	{"next", ""}, {"pcall_next", ""}, {"coroutine_next", ""}, {"sort_next", ""}, {"body", ""}, {"answer", ""},
	{"meta", ""}, {"callbacks", ""}, {"http", ""}, {"all", ""}, {"shared", ""}, {"flush", ""}, {"nested", ""},
	{"panic", "boom {id}"}, {"pcall_panic", ""}, {"gone", lua.ErrGone.Error()}, {"fault", "fault of {id}"},
	{"endless", "lua.max_instructions"}, {"hungry", "lua.max_memory"},
}

// TestConcurrency has requests of all kinds on a single VM at once, while the
// scripts are loaded anew again and again: each gets what is its own, and the
// VM goes on after all that can go wrong.
func TestConcurrency(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, r.URL.RawQuery) }))
	defer server.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(strings.ReplaceAll(everyWait, "{url}", server.URL+"/")), 0o600); err != nil {
		t.Fatal(err)
	}
	o := options(dir, "a.lua")
	o.Shards, o.Store = 1, newSlowStore()
	o.Config.QuarantineAfter, o.Config.MaxInstructions, o.Config.MaxMemory = 0, 200_000, 2<<20
	o.Config.HTTP.Allow = []string{"127.0.0.0/8"}
	o.Config.MaxMemoryRate = 0 // which would make them wait
	o.Config.Timeout, o.Config.TotalTimeout = 30e9, 30e9
	var current atomic.Pointer[lua.Scripts]
	reload := func() {
		fresh, err := lua.Load(o)
		if err != nil {
			t.Fatal(err)
		}
		if old := current.Swap(fresh); old != nil {
			old.Close()
		}
	}
	reload()
	const workers, each = 40, 25
	var running sync.WaitGroup
	for w := range workers {
		running.Go(func() {
			for i := range each {
				serveKind(t, current.Load(), w*each+i)
			}
		})
	}
	finished := make(chan struct{})
	go func() { running.Wait(); close(finished) }()
	for {
		select {
		case <-finished:
			current.Load().Close()
			return
		case <-time.After(30 * time.Millisecond):
			reload()
		}
	}
}

// serveKind serves request n, and checks what came of it.
func serveKind(t *testing.T, scripts *lua.Scripts, n int) {
	kind := kinds[n%len(kinds)]
	x := newSlow(n, kind.name)
	switch kind.name {
	case "panic", "pcall_panic":
		x.forward = func(x *slow) error { panic("boom " + x.id) }
	case "gone":
		x.forward = func(*slow) error { return lua.ErrGone }
	}
	err := scripts.Serve(x, 0)
	fails := strings.ReplaceAll(kind.fails, "{id}", x.id)
	switch {
	case err != nil && strings.Contains(err.Error(), "too many requests of the tenant run scripts for long"):
		// On a slow machine any may be long, and wait in vain for its turn.
	case fails != "" && (err == nil || !strings.Contains(err.Error(), fails)):
		t.Errorf("%s %s: error %v, expected %q", kind.name, x.id, err, fails)
	case fails == "" && err != nil:
		var failed *lua.Error
		_ = errors.As(err, &failed)
		t.Errorf("%s %s: %v", kind.name, x.id, err)
	case fails == "":
		done := x.response.Header
		if x.response.Begun {
			done = &x.response.Local
		}
		if x.response.Begun {
			if want := strings.Repeat(x.id+";", 3); string(x.sent) != want {
				t.Errorf("%s %s: sent %q, expected %q", kind.name, x.id, x.sent, want)
			}
		} else if got := string(done.Value([]byte("X-Done"))); got != x.id {
			t.Errorf("%s %s: X-Done is %q", kind.name, x.id, got)
		}
		if got := string(done.Value([]byte("X-Local"))); got != x.id {
			t.Errorf("%s %s: X-Local is %q", kind.name, x.id, got)
		}
	}
}

// TestTotalTimeoutEndsWaits has a script that catches the end of its time and
// waits again.
func TestTotalTimeoutEndsWaits(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(everyWait), 0o600); err != nil {
		t.Fatal(err)
	}
	o := options(dir, "a.lua")
	o.Shards, o.Store, o.Config.TotalTimeout, o.Config.Timeout = 1, newSlowStore(), 2e9, 2e9
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	defer scripts.Close()
	if err := scripts.Serve(newSlow(1, "late"), 0); err == nil || !strings.Contains(err.Error(), "lua.total_timeout") {
		t.Errorf("error %v, expected that lua.total_timeout is used up", err)
	}
	if err := scripts.Serve(newSlow(2, "body"), 0); err != nil {
		t.Errorf("the request after it: %v", err)
	}
}
