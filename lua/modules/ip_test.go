package modules_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
)

func TestIP(t *testing.T) {
	t.Parallel()
	runTextCases(t, []textCase{
		{`local s = ip.set({"10.0.0.0/8", "2001:db8::/32", "192.0.2.7"}) return s:contains("10.1.2.3"), s:contains("11.0.0.1"), s:contains("2001:DB8::1"), s:contains("192.0.2.7"), s:contains("192.0.2.8")`, "true false true true false"},
		{`return ip.set("10.0.0.0/8"):contains("::ffff:10.1.2.3"), ip.set("::ffff:10.0.0.0/104"):contains("10.1.2.3")`, "true true"},
		{`return ip.set("fe80::/10"):contains("fe80::1%eth0"), ip.set("0.0.0.0/0"):contains("::1"), ip.set("::/0"):contains("1.1.1.1")`, "true false false"},
		{`return ip.set({}):contains("10.0.0.1"), ip.set("unix"):contains("unix"), ip.set("10.0.0.1"):contains("unix")`, "false true false"},
		{`return ip.set({"10.0.0.0/8"}):contains("10.0.0.1:80")`, `nil "10.0.0.1:80" is no address`},
		{`return ip.set({"10.0.0.0/8"}):contains("10.0.0.01")`, `nil "10.0.0.01" is no address`},
		{`return ip.set({"10.0.0.0/8"}):contains("")`, `nil "" is no address`},
		{`return ip.set({"10.0.0.0/8"}):contains("1.2.3.4%eth0")`, `nil "1.2.3.4%eth0" is no address`},
		{`return ip.set({"10.0.0.0/8"}):contains("fe80::1%")`, `nil "fe80::1%" is no address`},
		{`return tostring(ip.set({"10.0.0.0/8", "::1"}))`, "set of 2 networks"},
		{`return ip.normalize("2001:DB8:0:0::0001"), ip.normalize("::FFFF:10.0.0.1"), ip.normalize("fe80::1%eth0")`, "2001:db8::1 10.0.0.1 fe80::1"},
		{`return ip.normalize("example.com")`, `nil "example.com" is no address`},
		{`local a = ip.parse("10.1.2.3") return a.address, a.version, a.private, a.loopback, a.link_local, a.multicast, a.unspecified`, "10.1.2.3 4 true false false false false"},
		{`local a = ip.parse("::1") return a.address, a.version, a.private, a.loopback`, "::1 6 false true"},
		{`return ip.parse("169.254.1.1").link_local, ip.parse("ff02::1").multicast, ip.parse("0.0.0.0").unspecified`, "true true true"},
		{`return ip.parse("x")`, `nil "x" is no address`},
		{`return ip.is_private("fd00::1"), ip.is_private("172.31.255.255"), ip.is_private("172.32.0.0"), ip.is_private("::ffff:192.168.1.1")`, "true true false true"},
		{`return ip.is_private("unix")`, `nil "unix" is no address`},
		{`return ip.network("10.1.2.3/8"), ip.network("2001:db8::1:2", 64), ip.network("192.0.2.7"), ip.network("10.0.0.0/8", 16), ip.network("10.1.0.0/16", 8), ip.network("1.2.3.4", 0)`,
			"10.0.0.0/8 2001:db8::/64 192.0.2.7/32 10.0.0.0/8 10.0.0.0/8 0.0.0.0/0"},
		{`return ip.network("10.0.0.0/33")`, `nil "10.0.0.0/33" is no address`},
		{`return ip.network("1.2.3.4", 129)`, "error: bits expected"},
		{`return ip.network("1.2.3.4", 1.5)`, "error: bits expected"},
		{`return ip.network("1.2.3.4", 0/0)`, "error: bits expected"},
		{`return ip.set({"10.0.0.0/33"})`, "error: a prefix has at most 32 bits here"},
		{`return ip.set({"10.0.0.0/8, 192.0.2.1"})`, "error: write a list"},
		{`return ip.set({"192.0.2.1:80"})`, "error: write it without the port"},
		{`return ip.set({allow = {"10.0.0.0/8"}})`, "error: a list of networks expected"},
		{`return ip.set({"10.0.0.0/8", 5})`, "error: the list must hold texts, not a number"},
		{`return ip.set()`, "error: list of networks expected"},
		{`return ip.set(("1"):rep(1e6))`, "error: is no network"},
		{`local l = {} for i = 1, 10001 do l[i] = "10.0.0.1" end return ip.set(l)`, "error: more than 10000 networks"},
		{`local s = ip.set("10.0.0.1") return s.contains(5, "10.0.0.1")`, "error: set of networks expected"},
		{`local s = ip.set("10.0.0.1") s.contains = nil`, "error:"},
		{`return getmetatable(ip.set("10.0.0.1"))`, "false"},
		{`return ip.set("10.0.0.1"):contains()`, "error: string expected"},
		{`return #select(2, ip.normalize(("1"):rep(1e6))) < 200`, "true"},
	})
}

// TestIPSetIsCounted: a set counts as what it takes, and making one of many networks is
// work that is counted and ended.
func TestIPSetIsCounted(t *testing.T) {
	t.Parallel()
	const many = `local l = {} for i = 1, 10000 do l[i] = "10." .. math_floor(i / 256) .. "." .. i % 256 .. ".0/24" end return l`
	v := newTextVM(t, vmtest.Limits())
	v.L.SetGlobal("math_floor", v.L.NewFunction(func(L *glua.LState) int {
		L.Push(glua.LNumber(int(vm.CheckNumber(L, 1))))
		return 1
	}))
	if got := v.eval(`list = (function() ` + many + ` end)()`); got != "" {
		t.Fatal(got)
	}
	before := vm.Live(v.L.G.MainThread, 1<<30, nil)
	if got := v.eval(`set = ip.set(list)`); got != "" {
		t.Fatal(got)
	}
	if grown := vm.Live(v.L.G.MainThread, 1<<30, nil) - before; grown < 400_000 {
		t.Errorf("a set of 10000 networks counts as %d bytes", grown)
	}
	small := vmtest.Limits()
	small.Memory = 1 << 20
	poor := newTextVM(t, small)
	if got := poor.eval(`local l = {} for i = 1, 9000 do l[i] = "10.0.0.1" end return ip.set(l)`); !strings.Contains(got, "max_memory") {
		t.Errorf("a set that is too large for the budget: %.200s", got)
	}
}

// TestIPContainsAllocates0: it is asked for each request.
func TestIPContainsAllocates0(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts for the process
	v := newTextVM(t, &vm.Limits{Instructions: 1 << 50})
	if got := v.eval(`local s = ip.set({"10.0.0.0/8", "2001:db8::/32"})
		function ask() return s:contains("10.1.2.3"), s:contains("2001:db9::1"), s:contains("unix") end`); got != "" {
		t.Fatal(got)
	}
	ask := v.L.GetGlobal("ask")
	if n := testing.AllocsPerRun(1000, func() {
		v.L.Push(ask)
		v.L.Call(0, 0)
	}); n > 0 {
		t.Errorf("contains allocates %v times, want 0", n)
	}
}

// FuzzIP compares with net/netip: which texts are addresses, and which of them are in
// a set.
func FuzzIP(f *testing.F) {
	for _, text := range []string{"10.1.2.3", "::ffff:10.0.0.1", "fe80::1%eth0", "1.2.3.4%x", "unix", "", "::", "10.0.0.0/8", "010.0.0.1", "%", "::%%"} {
		f.Add(text)
	}
	networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("fe80::/10")}
	v := newTextVM(f, &vm.Limits{Instructions: 1 << 60})
	if got := v.eval(`set = ip.set({"10.0.0.0/8", "2001:db8::/32", "fe80::/10"})
		function ask() return tostring((set:contains(text))) .. " " .. tostring((ip.normalize(text))) end`); got != "" {
		f.Fatal(got)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v.L.SetGlobal("text", glua.LString(text))
		address, err := netip.ParseAddr(text)
		want := "nil nil"
		if err == nil && len(text) <= 64 {
			plain, in := address.Unmap().WithZone(""), false
			if address.Is4In6() && address.Zone() != "" { // Unmap keeps what has a zone
				plain = address.WithZone("").Unmap()
			}
			for _, n := range networks {
				in = in || n.Contains(plain)
			}
			want = fmt.Sprint(in, " ", plain)
		}
		if text == "unix" {
			want = "false nil"
		}
		if got := v.eval(`return ask()`); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	})
}
