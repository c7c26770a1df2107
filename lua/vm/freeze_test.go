package vm_test

import (
	"strings"
	"testing"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// TestTablesThatAreReadOnly: what scripts can do to a table of the gateway's, which
// is frozen, frozen later, or one that they can add to.
func TestTablesThatAreReadOnly(t *testing.T) {
	t.Parallel()
	const refused = "t is read-only: cannot set "
	for _, c := range []struct {
		source               string
		frozen, open, sealed string // how it fails; "" is that it doesn't
	}{
		{`assert(t.x == "given" and t[1] == 7 and t.y == nil)`, "", "", ""},
		{`t.x = 1`, refused + `"x"`, refused + `"x"`, refused + `"x"`},
		{`t.x = nil`, refused + `"x"`, refused + `"x"`, refused + `"x"`},
		{`t[1] = 8`, refused + `"1"`, "", refused + `"1"`},
		{`t.y = 1 assert(t.y == 1) t.y = 2 assert(t.y == 2) t.y = nil assert(t.y == nil)`, refused + `"y"`, "", refused + `"y"`},
		{`t[{}] = 1`, refused + `""`, "", refused + `""`},
		{`assert(getmetatable(t) == false)`, "", "", ""},
		{`setmetatable(t, {})`, "cannot change a protected metatable", "cannot change a protected metatable", "cannot change a protected metatable"},
	} {
		for kind, want := range map[string]string{"frozen": c.frozen, "frozen in place": c.frozen, "extendable": c.open, "sealed": c.sealed} {
			m := newMeter(t, generous(), vm.NewLedger(0, 0), nil)
			content := m.main.CreateTable(0, 1)
			content.RawSetString("x", glua.LString("given"))
			content.RawSetInt(1, glua.LNumber(7))
			table := content
			switch kind {
			case "frozen":
				table = vm.Freeze(m.main, "t", content)
			case "frozen in place":
				vm.FreezeInPlace(m.main, "t", content)
			case "sealed":
				m.lock.Seal()
				fallthrough
			default:
				table = vm.Extendable(m.main, "t", content)
			}
			m.main.G.Global.RawSetString("t", table)
			got := ""
			if err := m.lua(t, c.source); err != nil {
				got = err.Error()
			}
			if (got == "") != (want == "") || !strings.Contains(got, want) {
				t.Errorf("%s: %s: got %q, want %q", kind, c.source, got, want)
			}
			if vm.IsExtendable(table) != (kind == "extendable" || kind == "sealed") {
				t.Errorf("%s: extendable: %v", kind, vm.IsExtendable(table))
			}
			behind := vm.Frozen(table)
			if behind == nil || behind.RawGetString("x") != glua.LString("given") || table.RawGetString("x") != glua.LNil {
				t.Errorf("%s: it reads as %v, and has x itself: %v", kind, behind, table.RawGetString("x"))
			}
		}
	}
	m := newMeter(t, generous(), vm.NewLedger(0, 0), nil)
	plain := m.main.CreateTable(0, 1)
	if vm.Frozen(plain) != nil || vm.IsExtendable(plain) {
		t.Error("a table of a script's is taken for one of the gateway's")
	}
	if plain.Metatable = m.main.CreateTable(0, 1); vm.Frozen(plain) != nil || vm.IsExtendable(plain) {
		t.Error("a table with a metatable of a script's is taken for one of the gateway's")
	}
}
