//go:build !race

// The race detector's frames are larger.

package lua_test

import (
	"fmt"
	"os"
	"runtime/metrics"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

// nested are ways in which Go's stack grows with Lua's: each calls next at a
// depth.
var nested = map[string]string{
	"calls":       `local function f(n) if n == 0 then return next() end local x = f(n - 1) return x end f(450)`,
	"pcall":       `local function f(n) if n == 0 then next() else pcall(f, n - 1) end end f(90)`,
	"metamethods": `local t, left = nil, 90 t = setmetatable({}, {__index = function() left = left - 1 if left == 0 then next() return 1 end return t.x end}) local x = t.x`,
	"gsub":        `local function f(n) if n == 0 then next() else string.gsub("x", ".", function() f(n - 1) end) end end f(60)`,
	"sort":        `local function f(n) if n == 0 then next() else local once table.sort({1, 2}, function() if not once then once = true f(n - 1) end return false end) end end f(60)`,
	"coroutines":  `local function f(n) if n == 0 then next() else coroutine.wrap(f)(n - 1) end end f(60)`,
}

// goMemory is what Go's heap and its stacks take.
func goMemory() (objects, stacks int64) {
	objects = measure.Heap() // a stack goes with the second collection after its goroutine
	sample := []metrics.Sample{{Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(sample)
	return objects, int64(sample[0].Value.Uint64())
}

// TestStacksAreCharged demands that what requests take that wait at the bottom
// of deep calls is what they are charged, Go's stacks included. Each way is tried
// in a process of its own, since stacks are kept for other goroutines.
func TestStacksAreCharged(t *testing.T) {
	const variable = "KEYSTONE_TEST_NESTED"
	if code := os.Getenv(variable); code != "" {
		measureNested(t, code)
		return
	}
	for name, code := range nested {
		out := measure.Run(t, variable+"="+code)
		_, figures, _ := strings.Cut(out, "figures: ")
		var charged, objects, stacks int64
		if _, err := fmt.Sscan(figures, &charged, &objects, &stacks); err != nil {
			t.Fatalf("%s: %v in %s", name, err, out)
		}
		ratio := float64(charged) / float64(objects+stacks)
		t.Logf("%s: charged %d bytes for %d of objects and %d of stacks: %.2f", name, charged, objects, stacks, ratio)
		if ratio < 0.9 || ratio > 2 {
			t.Errorf("%s: charged %d bytes for %d of objects and %d of stacks", name, charged, objects, stacks)
		}
	}
}

func measureNested(t *testing.T, code string) {
	t.Helper()
	const many = 100
	dir := t.TempDir()
	put(t, dir, "a.lua", "chi_middleware(function(request, response, next)\n if request:header('X-Kind') == 'wait' then\n"+code+"\nend next() end)")
	o := options(dir, "a.lua")
	o.Shards, o.Config.MaxMemoryRate, o.Config.TotalTimeout, o.Config.MaxVMMemory = 1, 0, 0, 1<<30
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scripts.Close)
	charged := scripts.Memory()
	objects, stacks := goMemory()
	var finish []func() error
	for range many {
		finish = append(finish, waiting(scripts))
	}
	charged = scripts.Memory() - charged
	nowObjects, nowStacks := goMemory()
	fmt.Printf("figures: %d %d %d\n", charged/many, (nowObjects-objects)/many, (nowStacks-stacks)/many)
	for _, f := range finish {
		_ = f()
	}
}
