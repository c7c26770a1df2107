package stdlib_test

import (
	"runtime"
	"strings"
	"testing"
	"unsafe"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/stdlib"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

// TestMessagesAreCounted raises long messages that are copied, or that the
// engine makes of whole keys.
func TestMessagesAreCounted(t *testing.T) {
	const long = `local s, n = ("1"):rep(3e5) for i = 1, 100 do `
	for _, c := range []struct{ chunk, want string }{
		{long + `pcall(function() error(s) end) end`, memory},
		{long + `pcall(function() return n[s] end) end`, memory},
		{long + `xpcall(function() return n[s] end, type) end`, memory},
		{long + `xpcall(error, function() return n[s] end) end`, memory},
		{long + `coroutine.resume(coroutine.create(function() return n[s] end)) end`, memory},
		{long + `pcall(coroutine.wrap(function() error(s, 0) end)) end`, memory},
		{long + `try(function() return n[s] end) end`, memory},
		{`local s = ("1"):rep(100) for i = 1, 1000 do pcall(function() error(s) end) end`, ""},
	} {
		thread, _ := begin(t, &vm.Limits{Instructions: 1 << 40, Memory: 8 << 20, Coroutines: 1000})
		thread.SetGlobal("try", thread.NewFunction(func(L *glua.LState) int {
			stdlib.PCall(L, L.Get(1))
			return 0
		}))
		if got := eval(thread, c.chunk); !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s\n got %.300s\nwant %s", c.chunk, got, c.want)
		}
	}
	// Each of the copies is counted: of joining it to a position, and of
	// catching it.
	for _, c := range []struct {
		chunk  string
		copies int64
	}{
		{`pcall(function() error(s) end)`, 2},
		{`pcall(function() error(s, 0) end)`, 1},
		{`pcall(coroutine.wrap(function() error(s, 0) end))`, 3},
	} {
		for _, spare := range []int64{-1, 1} {
			thread, _ := begin(t, &vm.Limits{Instructions: 1 << 40, Memory: (1+c.copies)*3e5 + spare*1e5, Coroutines: 1})
			if got := eval(thread, `local s = ("1"):rep(3e5) `+c.chunk); strings.Contains(got, memory) != (spare < 0) {
				t.Errorf("%s in %d copies%+d: got %.300s", c.chunk, c.copies, spare, got)
			}
		}
	}
	// Copying a message is work as well.
	thread, _ := begin(t, &vm.Limits{Instructions: 300_000, Memory: 1 << 40})
	if got := eval(thread, long+`pcall(function() return n[s] end) end`); !strings.Contains(got, instructions) {
		t.Errorf("got %.300s", got)
	}
}

// TestLongKeysAreCounted uses long strings as keys of tables, where they are
// hashed.
func TestLongKeysAreCounted(t *testing.T) {
	const long = `local s, t = ("1"):rep(1e7), {x = 1} for i = 1, 100 do `
	for _, chunk := range []string{
		`rawget(t, s) end`, `rawequal(s, s) end`, `pcall(next, t, s) end`, `set(t, s, nil) end`,
		`if i > 3 then return end set(chain, s, nil) end`,
	} {
		thread, _ := begin(t, tight())
		thread.SetGlobal("set", thread.NewFunction(setIndex))
		eval(thread, `chain = {} for i = 1, 50 do chain = setmetatable({}, {__newindex = chain}) end`)
		if got := eval(thread, long+chunk); !strings.Contains(got, instructions) {
			t.Errorf("%s\n got %.300s", chunk, got)
		}
	}
}

// TestPartsDoNotShare looks whether a part of a long string keeps the string
// alive.
func TestPartsDoNotShare(t *testing.T) {
	for chunk, want := range map[string]string{
		`return shares(s, s:sub(1, 1))`:                                     "false",
		`return shares(s, s:sub(1, -2))`:                                    "false",
		`return shares(s, s:sub(1, -1))`:                                    "true",
		`return shares(s:sub(1, 200), s:sub(1, 200):sub(2))`:                "false",
		`local short = s:sub(1, 32) return shares(short, short:sub(2))`:     "true",
		`return shares(s, s:match("x"))`:                                    "false",
		`return shares(s, s:match("(x)y"))`:                                 "false",
		`return shares(s, (select(3, s:find("(x)"))))`:                      "false",
		`return shares(s, s:gmatch(".")())`:                                 "false",
		`local p s:gsub("x", function(c) p = c end, 1) return shares(s, p)`: "false",
		`local got = {} s:gsub("x", setmetatable({}, {__index = function(t, k) got = k end}), 1) return shares(s, got)`: "false",
		`return s:match("()y()")`:                    "2 3",
		`return (s:sub(1, 4):gsub("(x)()", "%1%2"))`: `"x2yx4y"`,
	} {
		thread, _ := begin(t, vmtest.Limits())
		thread.SetGlobal("s", glua.LString(strings.Repeat("xy", 1000)))
		thread.SetGlobal("shares", thread.NewFunction(shares))
		if got := eval(thread, chunk); got != want {
			t.Errorf("%s\n got %s\nwant %s", chunk, got, want)
		}
	}
	thread, _ := begin(t, vmtest.Limits())
	if got := eval(thread, `local s, t = ("x"):rep(1e6), {} for i = 1, 100 do t[i] = s:sub(2) end`); !strings.Contains(got, memory) {
		t.Errorf("parts: %.300s", got)
	}
}

// shares says whether the second string is a part of the first one's memory.
func shares(L *glua.LState) int {
	whole, part := vm.CheckString(L, 1), vm.CheckString(L, 2)
	begin, at := uintptr(unsafe.Pointer(unsafe.StringData(whole))), uintptr(unsafe.Pointer(unsafe.StringData(part)))
	L.Push(glua.LBool(at >= begin && at < begin+uintptr(len(whole))))
	return 1
}

// TestBuildersLeaveNoRoom makes short strings where room for long ones was made.
func TestBuildersLeaveNoRoom(t *testing.T) {
	if !measure.Alone(t) {
		return
	}
	for _, chunk := range []string{
		`return string.format(("%.0s"):rep(4000) .. "x", unpack(a))`,
		`return table.concat(n)`,
	} {
		thread, _ := begin(t, &vm.Limits{Instructions: 1 << 40})
		if got := eval(thread, `a, n = {}, {} for i = 1, 4000 do a[i] = "" n[i] = 1 end`); got != "" {
			t.Fatal(got)
		}
		f, err := thread.LoadString(chunk)
		if err != nil {
			t.Fatal(err)
		}
		var kept []glua.LValue
		before := measure.Heap()
		for range 200 {
			thread.Push(f)
			thread.Call(0, 1)
			kept = append(kept, thread.Get(-1))
			thread.Pop(1)
		}
		if grown := (measure.Heap() - before) / 200; grown > 8000 {
			t.Errorf("%s: %d bytes are kept for %d", chunk, grown, len(kept[0].String()))
		}
		runtime.KeepAlive(kept)
	}
}

// TestIteratorsAreSeen looks whether what an iterator holds counts as the VM's.
func TestIteratorsAreSeen(t *testing.T) {
	for _, chunk := range []string{
		`hoard = ("x"):rep(1e6):gmatch(".")`,
		`hoard = ("x"):gmatch(("."):rep(1e6))`,
	} {
		thread, _ := begin(t, vmtest.Limits())
		if got := eval(thread, chunk); got != "" {
			t.Fatal(got)
		}
		if n := vm.Live(thread.G.MainThread, 1<<30, nil); n < 1e6 {
			t.Errorf("%s: %d bytes are live", chunk, n)
		}
	}
}

// TestWaitingStacksAreCounted has threads with large stacks wait for each other,
// of which none must get to wait for something else.
func TestWaitingStacksAreCounted(t *testing.T) {
	variables := "local a" + strings.Repeat(", a", 190)
	for _, enter := range []string{`pcall(grow, 150, go, n)`, `xpcall(function() grow(150, go, n) end, type)`, `coroutine.wrap(grow)(150, go, n)`} {
		thread, _ := begin(t, &vm.Limits{Instructions: 1 << 40, Memory: 6 << 20, Coroutines: 1000})
		thread.SetGlobal("wait", thread.NewFunction(func(*glua.LState) int {
			t.Errorf("%s: 20 large stacks aren't counted", enter)
			return 0
		}))
		got := eval(thread, `
		local function grow(d, f, ...) `+variables+` if d == 0 then f(...) return 1 end local v = grow(d - 1, f, ...) return v end
		local function go(n) if n == 0 then return wait() end n = n - 1 `+enter+` end go(20)`)
		if !strings.Contains(got, memory) {
			t.Errorf("%s: got %.300s", enter, got)
		}
	}
}
