package lua_test

import (
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua"
)

// TestHeldUntilInUse: what scripts keep is held by loads until they are in use, or closed.
func TestHeldUntilInUse(t *testing.T) {
	t.Parallel()
	for _, use := range []bool{true, false} {
		dir := t.TempDir()
		put(t, dir, "a.lua", "KEPT = ('x'):rep(1048576)")
		o := options(dir, "a.lua")
		o.Loads = lua.NewLoads(func() lua.Budget { return lua.Budget{Ceiling: 1 << 40} })
		scripts, err := lua.Load(o)
		if err != nil {
			t.Fatal(err)
		}
		if held := o.Loads.Held(); held < mib || held > 4*mib {
			t.Errorf("%d bytes are held", held)
		}
		if use {
			if scripts.InUse(); o.Loads.Held() != 0 {
				t.Errorf("%d bytes are held by scripts in use", o.Loads.Held())
			}
		}
		if scripts.Close(); o.Loads.Held() != 0 {
			t.Errorf("%d bytes are held by scripts that were closed", o.Loads.Held())
		}
	}
}

// TestGarbageOfLoadsIsNotHeld: what a load has only made isn't taken for what it keeps.
func TestGarbageOfLoadsIsNotHeld(t *testing.T) {
	t.Parallel()
	for code, most := range map[string]int64{
		"for i = 1, 30 do local s = ('x'):rep(1048576 + i) end":                      mib / 2,
		"KEPT = ('x'):rep(8 * 1048576 / 4) for i = 1, 30 do local s = KEPT .. i end": 3 * mib,
	} {
		dir := t.TempDir()
		put(t, dir, "a.lua", code)
		o := options(dir, "a.lua")
		o.Config.MaxMemoryRate = 0
		scripts, err := lua.Load(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(scripts.Close)
		if got := scripts.Memory(); got > most {
			t.Errorf("after %s, %d bytes are held, want at most %d", code, got, most)
		}
	}
}
