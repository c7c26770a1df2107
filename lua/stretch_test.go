//go:build linux && !race

package lua_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

// hostileValues are as large as a script may have them, and of every kind.
const hostileValues = `
local most = 4 * 1024 * 1024
local function list(n, f) local t = {} for i = 1, n do t[i] = f(i) end return t end
V = {
	("x"):rep(most), ("x"):rep(most - 1) .. "y", ("1"):rep(most), (" "):rep(most - 1) .. "1", ("\"%\0\\"):rep(most / 4),
	"[" .. ("1,"):rep(most / 2 - 2) .. "1]", ("a=b&"):rep(most / 4), ("a-"):rep(1000) .. "b", "(a*)*b", "a", "",
	list(30000, function(i) return -i end), list(40000, function(i) return i % 7 end), list(200, function(i) return ("x"):rep(20000) .. i end),
	{}, {}, {}, function(...) return ... end, 1e15, -1, 30000, true,
}
for i = 1, 20000 do V[15]["name" .. i] = i end
for i = 1, 40000 do V[16]["name" .. i] = i end
for i = 1, 40000 do V[16]["name" .. i] = nil end
V[17][32767] = 1
chain = {}
for i = 1, 99 do
	local inner = {}
	for j = 1, 20 do inner["k" .. j] = j end
	chain = setmetatable(inner, {__index = chain})
end
V[#V + 1] = chain
local similar = {}
for i = 1, 5 do
	local inner = {}
	for j = 1, 400 do inner[("x"):rep(30) .. ("y"):rep(i) .. j] = j end
	similar = setmetatable(inner, {__index = similar})
end
COUNT = #V
local modules = {}
for _, name in pairs({"json", "http", "shared", "crypto", "jwt", "re", "time", "url", "log", "limit", "metrics", "ip", "cookie", "policy", "timer", "template"}) do
	modules["keystone." .. name] = require("keystone." .. name)
end
OPERATORS = {
	add = function(a, b) return a + b end, sub = function(a, b) return a - b end, mul = function(a, b) return a * b end,
	div = function(a, b) return a / b end, mod = function(a, b) return a % b end, pow = function(a, b) return a ^ b end,
	concat = function(a, b) return a .. b end, concat3 = function(a, b) return a .. 1 .. b end,
	eq = function(a, b) return a == b end, ne = function(a, b) return a ~= b end, lt = function(a, b) return a < b end,
	le = function(a, b) return a <= b end, gt = function(a, b) return a > b end, ge = function(a, b) return a >= b end,
	index = function(a, b) return a[b] end, newindex = function(a, b) a[b] = 1 a[b] = nil end, call = function(a, b) return a(b) end,
	len = function(a) return #a end, unm = function(a) return -a end, ["not"] = function(a) return not a end,
	["and"] = function(a, b) return a and b end, ["or"] = function(a, b) return a or b end,
	count = function(a, b) for i = a, b do return end end, each = function(a, b) for k, v in a, b do return end end,
	table = function(a, b) return {a, b, [a] = b, x = a} end, closure = function(a, b) return function() return a, b end end,
	vararg = function(a, b) return (function(...) local t = {...} return select("#", ...), ... end)(unpack(a, 1, 8000)) end,
	mistake = function(a, b) return similar.xxxxxxxxxxxxxxxxxzxxxxxxxxxxxyyy111.x end,
	ipairs = function(a) for i, v in ipairs(a) do end end, pairs = function(a) for k, v in pairs(a) do end end,
}
local function find(name, request, response)
	local object, method = name:match("^(%w+)[:.]([%w_]+)$")
	if object == "request" or object == "response" then
		local self = object == "request" and request or response
		return self[method], self
	end
	if object == "operator" then return OPERATORS[method] end
	local module, member = name:match("^(keystone%.%w+)%.?(.*)$")
	if module then return member == "" and modules[module] or modules[module][member] end
	if object then return _G[object][method] end
	return _G[name]
end
chi_middleware(function(request, response)
	local f, self = find(request:header("X-Id"), request, response)
	local i, j = tonumber(request:header("X-I")), tonumber(request:header("X-J"))
	if type(f) ~= "function" then return end
	if self then return f(self, V[i], V[j]) end
	return f(V[i], V[j], V[1 + (i + j) % COUNT])
end)`

// noWait is a clock by which sleeping takes no time.
type noWait struct{ systemClock }

func (noWait) Sleep(context.Context, time.Duration) {}

// TestNothingTakesLong calls every function that scripts have, and every
// operator, with the largest values there are (in every combination of two with
// KEYSTONE_LONG), and demands that the run is ended within 10 ms of processor
// time after its limit, or within 20 on a machine whose caches others use, or,
// where the machine is slow, three times what its engine takes for comparing the
// longest strings; in the best of several tries. The race detector would look at
// every byte that is copied, and at no second thread.
func TestNothingTakesLong(t *testing.T) {
	if !measure.Alone(t) {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(hostileValues), 0o600); err != nil {
		t.Fatal(err)
	}
	o := options(dir, "a.lua")
	o.Clock, o.Shards = noWait{}, 1
	o.Config.Timeout, o.Config.MaxVMMemory, o.Config.QuarantineAfter, o.Config.MaxMemoryRate = settings.Duration(time.Millisecond), 1<<30, 0, 0
	o.Config.MaxMemory = 256 << 20
	o.Store = newSlowStore()
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scripts.Close)
	names, err := lua.API()
	if err != nil {
		t.Fatal(err)
	}
	for _, operator := range strings.Fields("add sub mul div mod pow concat concat3 eq ne lt le gt ge index newindex call len unm not and or count each table closure vararg mistake ipairs pairs") {
		names = append(names, "operator."+operator)
	}
	const values = 23
	longest := func() time.Duration { // as fast as the machine is now
		compare := time.Hour
		for range 5 {
			compare = min(compare, processorTime(func() { _ = scripts.Serve(call("operator.lt", 1, 2), 0) }))
		}
		return time.Millisecond + max(20*time.Millisecond, 3*compare)
	}
	most := longest()
	for _, name := range names {
		if strings.HasPrefix(name, "chi") || name == "V" {
			continue
		}
		for i := 1; i <= values; i++ {
			for j := 1; j <= values; j++ {
				if j != i && j != 1+i*7%values && os.Getenv("KEYSTONE_LONG") == "" {
					continue
				}
				best := time.Hour
				for try := 0; try < 5 && best > most; try++ {
					best = min(best, processorTime(func() { _ = scripts.Serve(call(name, i, j), 0) }))
				}
				if best > most && best > longest() {
					t.Errorf("%s(V[%d], V[%d]) takes %v at a limit of 1 ms", name, i, j, best)
				}
			}
		}
	}
}

func call(name string, i, j int) *slow {
	x := newSlow(1, "")
	x.header = message.Header{
		{Name: []byte("X-Id"), Value: []byte(name)}, {Name: []byte("X-I"), Value: fmt.Append(nil, i)}, {Name: []byte("X-J"), Value: fmt.Append(nil, j)},
	}
	return x
}

// processorTime is how long f keeps a processor busy, on this thread.
func processorTime(f func()) time.Duration {
	now := func() time.Duration {
		var at syscall.Timespec
		const thread = 3 // CLOCK_THREAD_CPUTIME_ID
		if _, _, failed := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, thread, uintptr(unsafe.Pointer(&at)), 0); failed != 0 {
			panic(failed)
		}
		return time.Duration(at.Nano())
	}
	began := now()
	f()
	return now() - began
}
