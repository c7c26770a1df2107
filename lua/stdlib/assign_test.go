package stdlib_test

import (
	"context"
	"runtime"
	"strconv"
	"strings"
	"testing"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/stdlib"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

func setIndex(L *glua.LState) int {
	stdlib.SetIndex(L, L.Get(1), L.Get(2), L.Get(3))
	return 0
}

func TestSetIndex(t *testing.T) {
	thread, _ := begin(t, vmtest.Limits())
	thread.SetGlobal("set", thread.NewFunction(setIndex))
	for _, test := range (cases{
		{`local t = {} set(t, 1, "a") set(t, 2, "b") set(t, "x", "c") set(t, 1, nil) set(t, -1, 5) set(t, 1.5, 6) return t[1], t[2], t.x, t[-1], t[1.5]`,
			`nil "b" "c" 5 6`},
		{`local t = {} set(t, 5, nil) set(t, "x", nil) set(t, true, nil) return #t, next(t)`, `0 nil`},
		{`local t = {1, 2, 3} set(t, 5, 5) return #t == 5 or #t == 3, t[4], t[5]`, `true nil 5`},
		{`local log = {} local t = setmetatable({}, {__newindex = log}) set(t, "x", 1) return rawget(t, "x"), log.x`, `nil 1`},
		{`local t = setmetatable({x = 1}, {__newindex = error}) set(t, "x", 2) return t.x`, `2`},
		{`local got local t = setmetatable({}, {__newindex = function(t, k, v) got = k .. v end}) set(t, "x", 2) return got`, `"x2"`},
		{`local t = {} set(t, 2^26, 1) set(t, 2^60, 2) set(t, 1/0, 3) return t[2^26], t[2^60], t[1/0]`, `1 2 3`},
	}) {
		if got := eval(thread, test.chunk); got != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.chunk, got, test.want)
		}
	}
	for chunk, want := range map[string]string{
		`set({}, nil, 1)`:                             "index is nil",
		`set({}, 0/0, 1)`:                             "index is NaN",
		`set(nil, 1, 1)`:                              "attempt to index a nil value",
		`set(string, "rep", 1)`:                       "read-only",
		`for i = 1, 1000 do set({}, 2^15 - 1, 1) end`: memory,
		`local t = {} t = setmetatable(t, {}) getmetatable(t).__newindex = t set(t, 1, 1)`: "loop",
	} {
		thread, _ := begin(t, vmtest.Limits())
		thread.SetGlobal("set", thread.NewFunction(setIndex))
		if got := eval(thread, chunk); !strings.Contains(got, want) {
			t.Errorf("%s\n got %s\nwant %s", chunk, got, want)
		}
	}
}

// TestTableBytes holds what is charged against what tables take.
func TestTableBytes(t *testing.T) {
	if !measure.Alone(t) {
		return
	}
	const n = 20000
	for name, key := range map[string]func(i int) glua.LValue{
		"array":  func(i int) glua.LValue { return glua.LNumber(i + 1) },
		"string": func(i int) glua.LValue { return glua.LString(strconv.Itoa(i)) },
		"number": func(i int) glua.LValue { return glua.LNumber(-i) },
	} {
		thread := glua.NewState(glua.Options{SkipOpenLibs: true})
		t.Cleanup(thread.Close)
		lock := vm.NewLock(thread, vm.NewLedger(0, 0), nil)
		lock.Lock()
		run := &vm.Run{}
		run.Begin(context.Background(), lock, &vm.Limits{Instructions: 1 << 40})
		thread.SetContext(run)
		keys := make([]glua.LValue, n)
		for i := range keys {
			keys[i] = key(i)
		}
		table := &glua.LTable{Metatable: glua.LNil}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&before)
		for _, k := range keys {
			stdlib.SetIndex(thread, table, k, glua.LTrue)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(table)
		runtime.KeepAlive(keys)
		live, total := int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(after.TotalAlloc-before.TotalAlloc)
		run.End()
		charged := lock.Allocated()
		t.Logf("%s: %d bytes a key stay, %d are allocated, %d are charged", name, live/n, total/n, charged/n)
		if charged < live {
			t.Errorf("%s: %d bytes are charged, but %d stay", name, charged, live)
		}
	}
}

func BenchmarkSetIndex(b *testing.B) {
	limits := vmtest.Limits()
	limits.Memory = 1 << 40
	thread, _ := vmtest.Begin(b, limits)
	table := &glua.LTable{Metatable: glua.LNil}
	numbers := make([]glua.LValue, 1000)
	for i := range numbers {
		numbers[i] = glua.LNumber(i + 1)
	}
	b.Run("append", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if i%1000 == 0 {
				table = thread.CreateTable(1000, 0)
			}
			stdlib.SetIndex(thread, table, numbers[i%1000], glua.LTrue)
		}
	})
	b.Run("overwrite", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			stdlib.SetIndex(thread, table, numbers[i%100], glua.LTrue)
		}
	})
	b.Run("key", func(b *testing.B) {
		var key glua.LValue = glua.LString("key")
		for b.Loop() {
			stdlib.SetIndex(thread, table, key, glua.LTrue)
		}
	})
}

func BenchmarkPCall(b *testing.B) {
	limits := vmtest.Limits()
	limits.Instructions = 1 << 60
	limits.Memory = 1 << 50
	thread, _ := begin(b, limits)
	chunk, err := thread.LoadString(`local n, failing = ... local f = failing and error or function() end for i = 1, n do pcall(f) end`)
	if err != nil {
		b.Fatal(err)
	}
	for name, failing := range map[string]glua.LBool{"ok": false, "error": true} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			thread.Push(chunk)
			thread.Push(glua.LNumber(b.N))
			thread.Push(failing)
			thread.Call(2, 0)
		})
	}
}
