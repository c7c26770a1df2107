package modules_test

import (
	"runtime"
	"strings"
	"testing"
	"unsafe"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

// Parts of long strings that modules return don't keep the strings alive.
func TestPartsDoNotShare(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		`return shares(s, (re.match(s, "x")))`:                                                                                                                   "false",
		`return shares(s, (re.match(s, "(x)y")))`:                                                                                                                "false",
		`return shares(s, (select(3, re.find(s, "(x)"))))`:                                                                                                       "false",
		`return shares(s, re.gmatch(s, ".")())`:                                                                                                                  "false",
		`return shares(s, re.split(s, "y", 2)[1]), shares(s, re.split(s, "y", 2)[2])`:                                                                            "false false",
		`local p re.gsub(s, "x", function(c) p = c end, 1) return shares(s, p)`:                                                                                  "false",
		`return shares(s, (re.gsub(s, "z", "")))`:                                                                                                                "true",
		`local short = "a1" return shares(short, (re.match(short, "a")))`:                                                                                        "true",
		`local q = url.query("?a=b&" .. s) local u = "?a=b&" .. s return shares(u, url.query(u).a)`:                                                              "false",
		`local u = "x:?a=1&b=2#" .. s local p = url.parse(u) return shares(u, p.scheme), shares(u, p.query), shares(u, p.fragment)`:                              "false false false",
		`local u = "http://u:p@h/p#" .. s local p = url.parse(u) return shares(u, p.host), shares(u, p.path), shares(u, p.user), shares(u, p.password)`:          "false false false false",
		`local j = '["a", {"b": "c"}, "' .. s .. '"]' return shares(j, json.decode(j)[1]), shares(j, json.decode(j)[2].b), shares(j, (next(json.decode(j)[2])))`: "false false false",
	} {
		v := newTextVM(t, vmtest.Limits())
		v.L.SetGlobal("s", glua.LString(strings.Repeat("xy", 1000)))
		v.L.SetGlobal("shares", v.L.NewFunction(func(L *glua.LState) int {
			whole, part := vm.CheckString(L, 1), vm.CheckString(L, 2)
			begin, at := uintptr(unsafe.Pointer(unsafe.StringData(whole))), uintptr(unsafe.Pointer(unsafe.StringData(part)))
			L.Push(glua.LBool(at >= begin && at < begin+uintptr(len(whole))))
			return 1
		}))
		if got := v.eval(code); got != want {
			t.Errorf("%s\n got %s\nwant %s", code, got, want)
		}
	}
}

// Patterns are kept; what they were cut from must not be.
func TestREKeepsNoSubjects(t *testing.T) {
	if !measure.Alone(t) {
		return
	}
	v := newTextVM(t, &vm.Limits{Instructions: 1 << 40})
	v.eval(`re.test("x", "x")`)
	before := measure.Heap()
	// The engine's own string.sub shares the memory of the whole string.
	if got := v.eval(`for i = 1, 50 do re.test("x", (("x"):rep(1e6) .. i):sub(-30)) end`); got != "" {
		t.Fatal(got)
	}
	if grown := measure.Heap() - before; grown > 10e6 {
		t.Errorf("50 patterns keep %d bytes", grown)
	}
	runtime.KeepAlive(v)
}

// What an iterator holds counts as the VM's.
func TestREIteratorIsSeen(t *testing.T) {
	t.Parallel()
	v := newTextVM(t, vmtest.Limits())
	if got := v.eval(`hoard = re.gmatch(("x"):rep(1e6), ".")`); got != "" {
		t.Fatal(got)
	}
	if n := vm.Live(v.L.G.MainThread, 1<<30, nil); n < 1e6 {
		t.Errorf("%d bytes are live", n)
	}
}

// What a userdata keeps is told to vm.Live.
func TestSized(t *testing.T) {
	t.Parallel()
	v := newTextVM(t, vmtest.Limits())
	v.eval(`a, b = json.decode(("1"):rep(1e5)), re.compile("(a|b){500}^")`)
	for name, least := range map[string]int{"a": 1e5, "b": 1e5} {
		holder, ok := v.L.GetGlobal(name).(*glua.LUserData)
		if !ok {
			t.Fatalf("%s is a %s", name, v.L.GetGlobal(name).Type())
		}
		if s, ok := holder.Value.(vm.Sized); !ok || s.Size() < least {
			t.Errorf("%s: %T, expected at least %d bytes", name, holder.Value, least)
		}
	}
}

// Reading a number from a long string can't be interrupted: none is read.
func TestLongNumerals(t *testing.T) {
	t.Parallel()
	for _, call := range []string{
		`crypto.random(s)`, `time.format(s)`, `time.sleep(s)`, `limit.allow("k", s)`, `shared.incr("k", s)`, `shared.set("k", 1, s)`,
	} {
		v := newTextVM(t, vmtest.Limits())
		if got := v.eval(`s = (" "):rep(1e6) .. "1" ` + call); !strings.Contains(got, "expected") {
			t.Errorf("%s: %s", call, got)
		}
	}
}

// A message doesn't quote all of what it is about.
func TestMessagesAreShort(t *testing.T) {
	t.Parallel()
	for _, code := range []string{
		`return select(2, url.parse("http://h:" .. ("\1"):rep(6e4)))`,
		`return select(2, url.parse("http://h:" .. ("z"):rep(6e4)))`,
		`return select(2, pcall(http.get, "http://h", {[("\1"):rep(1e6)] = 1}))`,
		`return select(2, pcall(re.match, "x", "(" .. ("x"):rep(4000)))`,
		`return select(2, pcall(json.encode, {[("\1"):rep(1e6)] = print}))`,
		`return select(2, pcall(time.format, 0, "%" .. ("\1"):rep(1000)))`,
		`json[("\1"):rep(1e6)] = 1`,
	} {
		if got := newTextVM(t, vmtest.Limits()).eval(code); len(got) > 1000 || len(got) < 10 {
			t.Errorf("%s: %d bytes: %.200s", code, len(got), got)
		}
	}
}
