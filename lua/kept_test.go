package lua_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua"
)

// keeping runs a program that the request's header has: letters are what is
// done, digits the slots where it is kept, which all requests of a VM share.
const keeping = `
local slots, globals = {}, {}
local time = require "keystone.time"

local makers = {
	a = function(q) return q end,
	b = function(q, r) return r end,
	c = function(q, r, next) return next end,
	d = function(q) return q.headers end,
	e = function(q) return (pairs(q.headers)) end,
	f = function(q) local each = pairs(q.headers) each() return each end,
	g = function(q) return function() return q.id end end,
	h = function(q) return function() return q:header("X-Id") end end,
	i = function(q) return coroutine.wrap(function() while true do coroutine.yield(q.id) end end) end,
	j = function(q) local co = coroutine.wrap(function() coroutine.yield() return q.body end) co() return co end,
	k = function(q, r, next) local ok, e = pcall(next) return e end,
	l = function(q) return setmetatable({}, {__index = q, __call = function() return q.path end}) end,
	m = function(q) local co = coroutine.create(function() coroutine.yield() return q.id end) coroutine.resume(co) return co end,
	n = function(q) return select(2, pcall(function() error(q) end)) end,
	o = function(q) q:set("own", q) return q:get("own") end,
	p = function(q, r) return r.headers end,
	q = function(q) return q.params end,
}

local uses = {
	function(v) return v.id end, function(v) return v.path end, function(v) return v:header("X-Id") end, function(v) return v["X-Id"] end,
	function(v) return v() end, function(v) return v(v) end, function(v) for name, value in v do if name == "X-Id" then return value end end end,
	function(v) for name, value in pairs(v) do if name == "X-Id" then return value end end end,
	function(v) return v.body end, function(v) return tostring(v) end, function(v) return select(2, coroutine.resume(v)) end,
	function(v) v["X-Id"] = "forged" end, function(v) return v:get("own").id end, function(v) return request_header(v, "X-Id") end,
	function(v) return v.headers["X-Id"] end, function(v) return #v end,
}

local function use(v, id, own)
	for i = 1, #uses do
		local ok, value = pcall(uses[i], v)
		if ok and type(value) == "string" and value:find("id-", 1, true) and not (value .. "."):find(id .. ".", 1, true) then
			error("MIXED UP: " .. value .. " in " .. id, 0)
		end
		if ok and not own and value ~= nil and type(v) == "userdata" and i ~= 10 then error("MIXED UP: use " .. i .. " of " .. type(v) .. " works in " .. id, 0) end
	end
end

chi_middleware(function(request, response, next)
	local id, called, mine = request.id, false, {}
	local function once() if not called then called = true next() end end
	local at
	local function try()
		local v = slots[at] -- another request may change it at any time
		use(v, id, rawequal(v, mine[at]))
	end
	for op, slot in request:header("X-Program"):gmatch("(%a)(%d)") do
		at = slot
		if makers[op] then
			local v = makers[op](request, response, once)
			slots[at], mine[at] = v, v
			if at == "0" then SHARED = v end
		elseif op == "u" then try()
		elseif op == "v" then coroutine.wrap(try)()
		elseif op == "w" then pcall(function() use(SHARED, id, true) error() end)
		elseif op == "s" then time.sleep(0.0001)
		elseif op == "t" then error("on purpose", 0)
		elseif op == "x" then error(slots[at], 0)
		elseif op == "y" then while true do end
		elseif op == "z" then pcall(once) end
	end
	if request:header("X-Id") ~= id then error("MIXED UP: " .. tostring(request:header("X-Id")) .. " in " .. id, 0) end
end)`

// FuzzKept has many requests at once run programs that keep, use and fail, on
// several VMs. What is seen of a request in another is an error; a request's
// memory is written to when it has ended, which the race detector would see.
func FuzzKept(f *testing.F) {
	for seed := range uint64(3) {
		f.Add(seed)
	}
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(keeping), 0o600); err != nil {
		f.Fatal(err)
	}
	o := options(dir, "a.lua")
	o.Shards, o.Config.QuarantineAfter, o.Config.MaxInstructions, o.Config.MaxMemoryRate = 2, 0, 100_000, 0
	o.Config.Timeout, o.Config.TotalTimeout = 30e9, 30e9
	scripts, err := lua.Load(o)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(scripts.Close)
	f.Fuzz(func(t *testing.T, seed uint64) {
		var running sync.WaitGroup
		for worker := range uint64(8) {
			running.Go(func() {
				random := rand.New(rand.NewPCG(seed, worker))
				for i := range 30 {
					keepAndUse(t, scripts, random, int(worker)*1000+i)
				}
			})
		}
		running.Wait()
	})
}

func keepAndUse(t *testing.T, scripts *lua.Scripts, random *rand.Rand, n int) {
	var program strings.Builder
	const ops = "abcdefghijklmnopqabcdefghijklmnopquuuuuuuuvvvvwwwssszzztxy"
	for range 1 + random.IntN(12) {
		fmt.Fprintf(&program, "%c%d", ops[random.IntN(len(ops))], random.IntN(5))
	}
	x := newSlow(n, "keep")
	x.header[0].Name, x.header[0].Value = []byte("X-Program"), []byte(program.String())
	if random.IntN(8) == 0 {
		x.forward = func(*slow) error { panic("boom") }
	}
	err := scripts.Serve(x, uint64(n))
	if err != nil && strings.Contains(err.Error(), "MIXED UP") {
		t.Errorf("%s: %v", program.String(), err)
	}
	for i := range x.header {
		copy(x.header[i].Value, "id-of-somebody-else")
	}
	copy(x.request.ID, "id-of-somebody-else")
	copy(x.request.Path, "/id-of-somebody-else")
	x.request, x.response, x.header = lua.Request{}, lua.Response{}, nil
}
