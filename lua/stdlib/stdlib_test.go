package stdlib_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/stdlib"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
)

// at is the time of the tests: a Monday.
var at = time.Date(2026, 11, 23, 1, 2, 3, 0, time.FixedZone("CET", 3600))

func begin(tb testing.TB, limits *vm.Limits) (*glua.LState, *vm.Run) {
	tb.Helper()
	thread, run := vmtest.Begin(tb, limits)
	open(thread)
	return thread, run
}

func open(L *glua.LState) { stdlib.Open(L, func() time.Time { return at }) }

// eval runs a chunk and returns its results, or "error: " and the message.
func eval(thread *glua.LState, chunk string) string {
	thread.SetTop(0)
	if err := thread.DoString(chunk); err != nil {
		message := err.Error()
		message, _, _ = strings.Cut(message, "\nstack traceback")
		return "error: " + strings.TrimSpace(message)
	}
	results := make([]string, thread.GetTop())
	for i := range results {
		v := thread.Get(i + 1)
		results[i] = v.String()
		if s, ok := v.(glua.LString); ok {
			results[i] = fmt.Sprintf("%q", string(s))
		}
	}
	return strings.Join(results, " ")
}

type cases []struct{ chunk, want string }

func (c cases) run(t *testing.T) {
	t.Helper()
	thread, _ := begin(t, vmtest.Limits())
	for _, test := range c {
		if got := eval(thread, test.chunk); got != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.chunk, got, test.want)
		}
	}
}

// TestLua51 runs each line of testdata/lua51.txt; below it stands what Lua
// 5.1.5 returns.
func TestLua51(t *testing.T) {
	thread, _ := begin(t, vmtest.Limits())
	show, err := os.ReadFile("testdata/show.lua")
	if err != nil {
		t.Fatal(err)
	}
	if got := eval(thread, string(show)); got != "" {
		t.Fatal(got)
	}
	data, err := os.ReadFile("testdata/lua51.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		thread.SetTop(0)
		var got string
		if err := thread.DoString("return result((function() " + lines[i] + "\nend)())"); err != nil {
			got = "error " + err.Error()
		} else {
			got = thread.Get(-1).String()
		}
		if want := strings.TrimPrefix(lines[i+1], "    "); got != want {
			t.Errorf("%s\n got %s\nwant %s", lines[i], got, want)
		}
	}
}

func TestBase(t *testing.T) {
	cases{
		{`local a, b = {}, {} return tostring(a) == tostring(a), tostring(a) ~= tostring(b), tostring(a):match("^table: 0x%x+$") ~= nil`, `true true true`},
		{`return getmetatable("").__index == string, getmetatable(getmetatable("")), getmetatable(string), ("x").rep == string.rep`, `true false false true`},
		{`local n = 0 for k, v in pairs(os) do n = n + 1 end for k, v in pairs(ipairs and {}) do end return n, next(os) ~= nil`, `4 true`},
		{`local t = setmetatable({}, {__pairs = function(t) return next, {5}, nil end}) for k, v in pairs(t) do return k, v end`, `1 5`},
		{`return rawget(math, "pi") == math.pi, unpack(math)`, `true`},
		{`string.rep = 1`, `error: <string>:1: string is read-only: cannot set "rep"`},
		{`local ok, e = pcall(assert, false, {1}) return type(e)`, `"table"`},
		{`local t = {} for i = 1, 9 do t[i] = i end for k in pairs(t) do t[k] = nil end return next(t)`, `nil`},
		{`return string.format("%s %s %s", nil, true, setmetatable({}, {__tostring = function() return "T" end}))`, `"nil true T"`},
		{`return ("a\0b"):len(), string.format("%s", "a\0b"), string.format("%q", "a\0b")`, "3 \"a\\x00b\" \"\\\"a\\\\000b\\\"\""},
		{`return os.time(), os.date("%Y-%m-%d %H:%M:%S"), os.date("!%H"), os.date("%z %Z"), os.clock()`,
			`1795392123 "2026-11-23 01:02:03" "00" "+0100 CET" 0`},
		{`local t = os.date("*t") return os.time(t) == os.time(), t.isdst, t.wday, os.time({year = 2026, month = 11, day = 23, hour = 25})`,
			`true false 2 1795478400`},
		{`return os.date("%Q %")`, `"%Q %"`},
		{`math.randomseed(1) local a = math.random(2^50) math.randomseed(1) return a == math.random(2^50)`, `false`},
		{`for i = 1, 1000 do local r = math.random(3, 5) if r < 3 or r > 5 or r % 1 ~= 0 then return r end end`, ``},
	}.run(t)
}

// TestObjects looks at what scripts can do with an object of Go's.
func TestObjects(t *testing.T) {
	thread, _ := begin(t, vmtest.Limits())
	thread.SetGlobal("request", &glua.LUserData{Metatable: glua.LNil})
	if got := eval(thread, `return tostring(request):match("^userdata: 0x") , pcall(setmetatable, request, {}), getmetatable(request)`); got != `"userdata: 0x" false nil` {
		t.Error(got)
	}
}
