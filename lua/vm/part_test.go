package vm_test

import (
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
)

func TestClip(t *testing.T) {
	for _, c := range []struct{ s, want string }{
		{"", ""},
		{"short\x00", "short\x00"},
		{strings.Repeat("x", 100), strings.Repeat("x", 100)},
		{strings.Repeat("x", 101), strings.Repeat("x", 100) + "…"},
		{strings.Repeat("x", 99) + "éé", strings.Repeat("x", 99) + "…"},
		{strings.Repeat("€", 50), strings.Repeat("€", 33) + "…"},
		{strings.Repeat("\x80", 200), strings.Repeat("\x80", 96) + "…"}, // no character begins
	} {
		if got := vm.Clip(c.s); got != c.want {
			t.Errorf("%q becomes %q, expected %q", c.s, got, c.want)
		}
	}
	if s := "a" + strings.Repeat("é", 1e6); !utf8.ValidString(vm.Clip(s)) {
		t.Errorf("%q has half a character", vm.Clip(s))
	}
}

func TestPart(t *testing.T) {
	for _, c := range []struct {
		size, from, to int
		shares         bool
	}{
		{32, 0, 1, true},
		{33, 0, 1, false},
		{1000, 0, 1000, true},
		{1000, 0, 999, false}, // else parts of parts would keep the first whole
		{1 << 20, 5, 1 << 19, false},
	} {
		limits := &vm.Limits{Instructions: 1 << 20, Memory: 1 << 20}
		L, run := vmtest.Begin(t, limits)
		whole := strings.Repeat("x", c.size)
		part := whole[c.from:c.to]
		got := string(vm.Part(L, whole, part))
		if shares := unsafe.StringData(got) == unsafe.StringData(part); got != part || shares != c.shares {
			t.Errorf("[%d:%d] of %d bytes: shares: %v, expected %v", c.from, c.to, c.size, shares, c.shares)
		}
		charged := len(got) + 16
		if c.shares {
			charged = 16
		}
		run.Charge(L, int(limits.Memory)-charged) // all that is left
		if err := L.CallByParam(glua.P{Protect: true, Fn: L.NewFunction(func(L *glua.LState) int {
			run.Charge(L, 1)
			return 0
		})}); err == nil {
			t.Errorf("[%d:%d] of %d bytes: less than %d bytes are charged", c.from, c.to, c.size, charged)
		}
	}
}

func TestBuilt(t *testing.T) {
	for _, c := range []struct {
		room, length int
		shares       bool
	}{{16, 0, true}, {256, 0, false}, {1 << 16, 1 << 15, false}, {1 << 16, 60000, true}} {
		L, _ := vmtest.Begin(t, vmtest.Limits())
		var b strings.Builder
		b.Grow(c.room)
		b.WriteString(strings.Repeat("x", c.length))
		got := string(vm.Built(L, &b))
		if shares := unsafe.StringData(got) == unsafe.StringData(b.String()); len(got) != c.length || shares != c.shares {
			t.Errorf("%d of %d bytes: shares: %v, expected %v", c.length, c.room, shares, c.shares)
		}
	}
}

func TestFreezeClipsNames(t *testing.T) {
	L, _ := vmtest.Begin(t, vmtest.Limits())
	L.SetGlobal("t", vm.Freeze(L, "t", L.NewTable()))
	L.SetGlobal("k", glua.LString(strings.Repeat("\x01", 1e6)))
	err := L.DoString(`t[k] = 1`)
	if err == nil || len(err.Error()) > 1000 || !strings.Contains(err.Error(), "t is read-only") {
		t.Errorf("%.1000s", err)
	}
}
