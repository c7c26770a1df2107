package test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// hole is a way around a limit that a helper found by attacking: requests that
// take more time or memory than lua.timeout and lua.max_vm_memory say.
type hole struct {
	attack
	requests int // one after the other
}

// long is a string that it takes a while to look at.
const long = `local s = ("1"):rep(2e7) `

// odd is one that is quoted at four times its length.
const odd = `local s = ("\1"):rep(2e7) `

// times is how often a hole is used within one request: more than fit into
// lua.timeout.
const times = `for i = 1, 300 do `

// holes are, but for some that hold, defects found on 2026-11-23.
func holes() []hole {
	one := func(requests int, name, top, body string) hole {
		return hole{attack{name: name, top: top, body: body, ends: 200}, requests}
	}
	return []hole{
		// Memory in a single instruction, uncounted.
		one(1, "constructor with a huge index", "", `local k = 2^24 local t = {[k] = 1} r:write(#t)`),
		// Copies of long strings in messages of errors, uncounted and kept.
		one(1, "error copies its message", "", long+`local t = {} for i = 1, 40 do t[i] = select(2, pcall(function() error(s) end)) end`),
		one(1, "index of nil copies the key", "", long+`local t, n = {} for i = 1, 40 do t[i] = select(2, pcall(function() return n[s] end)) end`),
		one(1, "wrap copies a message", "", long+`local t = {} for i = 1, 40 do t[i] = select(2, pcall(coroutine.wrap(function() error(s, 0) end))) end`),
		// Errors that quote a whole argument: some 0.3 s each, uncounted.
		one(1, "write to a library", "", odd+times+`pcall(function() string[s] = 1 end) end`),
		one(1, "write to the request", "", odd+times+`pcall(function() q[s] = 1 end) end`),
		one(1, "set_path", "", odd+times+`pcall(q.set_path, q, "/?" .. s) end`),
		one(1, "set_query", "", odd+times+`pcall(q.set_query, q, s) end`),
		one(1, "set_host", "", odd+times+`pcall(q.set_host, q, s) end`),
		one(1, "upstream", "", odd+times+`pcall(q.upstream, q, s) end`),
		one(1, "require", "", odd+times+`pcall(require, s) end`),
		// Operators that look at all of a string or a table in one instruction.
		one(1, "length of an array of nils", "", `local t = {} t[1.9e6] = 1 t[1.9e6] = nil while true do local n = #t end`),
		one(1, "equality of strings", "", long+`local u = ("1"):rep(2e7) while true do local b = s == u end`),
		one(1, "order of strings", "", long+`local u = ("1"):rep(2e7) while true do local b = s < u end`),
		one(1, "lookup by a long string", "", long+`local t = {x = 1} while true do local b = t[s] end`),
		one(1, "arithmetic on a string", "", `local s = (" "):rep(2e7) .. "1" while true do local b = s + 1 end`),
		one(1, "minus a string", "", `local s = (" "):rep(2e7) .. "1" while true do local b = -s end`),
		// What outlives requests and vm.Live doesn't see.
		one(20, "hoard in an upvalue", `local hoard = {}`, `hoard[#hoard + 1] = ("x"):rep(3e7)`),
		one(20, "hoard of substrings", `hoard = {}`, `hoard[#hoard + 1] = ("x"):rep(3e7):sub(1, 1)`),
		one(20, "hoard of iterators", `hoard = {}`, `hoard[#hoard + 1] = ("x"):rep(3e7):gmatch(".")`),
		one(40, "hoard of coroutines", `hoard = {}`, `for i = 1, 100 do local co = coroutine.create(function() local a = ("x"):rep(300000) coroutine.yield(a) end) coroutine.resume(co) hoard[#hoard + 1] = co end`),
		one(40, "hoard of tables", `hoard = {}`, `for i = 1, 12000 do hoard[#hoard + 1] = {a = 1} end`),
		one(40, "hoard of closures", `hoard = {}`, `local h = {} hoard[#hoard + 1] = h for i = 1, 10000 do local a, b, c, d, e, f, g, j, k, l, m, n = 1 h[i] = function() return a, b, c, d, e, f, g, j, k, l, m, n end end`),
		one(25, "hoard of errors", "", `error(("a0.lua:1: " .. ("x"):rep(3e7)):sub(1, 20), 0)`),
		one(20, "hoard of keys of patterns", "", `require("keystone.re").test("x", (("x"):rep(3e7) .. tostring({})):sub(-30))`),
		one(20, "hoard of shared values", "", `local s = ("x"):rep(3e7) .. tostring({}) shared.set(s:sub(-20), s:sub(-20))`),
		// Memory of requests in flight that isn't counted.
		{attack{name: "stacks of sleepers", top: `local time = require "keystone.time"`, ends: 200, body: `
			local function f(n, ...) if n == 0 then time.sleep(1) return 1 end return (f(n - 1, ...)) end
			f(60, unpack({}, 1, 900))`}, -300},
		{attack{name: "values of pooled requests", top: `local time = require "keystone.time"`, ends: 200, body: `
			for i = 1, 60000 do q:set(tostring(i), 1) end time.sleep(0.3)`}, -200},
		{attack{name: "closures of sleepers", top: `local time = require "keystone.time"`, ends: 200, body: `
			local f for i = 1, 10000 do local a, b, c, d, e, g, h, j, k, l, m, n = 1 local o = f f = function() return o, a, b, c, d, e, g, h, j, k, l, m, n end end
			time.sleep(1) f()`}, -100},
	}
}

// TestLuaSafetyHoles runs each hole in a gateway of its own: requests end soon
// after lua.timeout, the heap stays bounded, and the tenant b is served.
func TestLuaSafetyHoles(t *testing.T) {
	t.Parallel()
	if raceEnabled {
		t.Skip("limits of time and memory hold without the race detector's own")
	}
	for _, h := range holes() {
		t.Run(h.name, func(t *testing.T) {
			d := startDuel(t, "quarantine_after: 0, max_memory_rate: 0", h.attack) // which would only slow them down
			w := watch(t, d)
			w.now(h.name)
			v := assault{duel: d, rate: 50, host: "b.example", victim: true, most: 4}
			v.start()
			h.use(t, d)
			v.stop()
			v.judge(t, nil)
			w.end(t)
			d.awaitFine(t, 0)
			t.Logf("heap %d MiB, RSS %d MiB at most", w.heap>>20, w.resident>>20)
		})
	}
}

// use sends the requests: one after the other, or, if their number is
// negative, all at once.
func (h *hole) use(t *testing.T, d *duel) {
	t.Helper()
	// lua.timeout is 100 ms; the rest is for collecting the garbage, and for the
	// victim. The clock would tell how busy the machine is.
	const enough = 1500 * time.Millisecond
	slowest := time.Duration(0)
	if h.requests < 0 {
		a := assault{duel: d, host: "a.example", path: "/0/attack"}
		a.volley(-h.requests)
		t.Log(a.summary())
		return
	}
	pid := d.command.Process.Pid
	results := map[string]int{}
	for range h.requests {
		began, used := time.Now(), cpuOf(pid)
		status, _, err := d.ask("a.example", "/0/attack")
		victims := time.Since(began) / 5 // at most, at 50 requests a second
		slowest = max(slowest, cpuOf(pid)-used-victims)
		results[strings.TrimSpace(fmt.Sprint(status, " ", err))]++
		if slowest > enough {
			break
		}
	}
	if slowest > enough {
		t.Errorf("a request took %v of processor time, lua.timeout is 100ms", slowest)
	}
	t.Logf("%v, the slowest %v", results, slowest)
}
