package proxy_test

import (
	"testing"
)

// TestReloadsAreCounted: all of them, those that were refused, and those after which not
// all was as asked for.
func TestReloadsAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "c.yaml", "tenants:\n"+tenant("a", "a.lua")+tenant("b", "b.lua"), "scripts/a.lua", hello, "scripts/b.lua", hello)
	if err := w.start(); err != nil {
		t.Fatal(err)
	}
	base := w.server.Counters()
	for i, step := range []struct {
		name, text               string
		ok, applied              bool
		reloads, failed, partial uint64
	}{
		{"scripts/a.lua", hello + "\n", true, true, 1, 0, 0},
		{"scripts/b.lua", "error('x')\n", false, true, 2, 0, 1},
		{"c.yaml", "tenants: 5\n", false, false, 3, 1, 1},
		{"c.yaml", "tenants:\n" + tenant("a", "a.lua"), true, true, 4, 1, 1},
		{"c.yaml", "nonsense: 1\n", false, false, 5, 2, 1},
	} {
		w.write(step.name, step.text)
		result := w.server.Reload()
		now := w.server.Counters()
		if shown := w.server.Snapshot().Generation; result.Generation != shown || result.At.IsZero() || (len(result.Errors) > 0) == step.ok {
			t.Errorf("after step %d: the generation %d is said, %d is in use; %q", i, result.Generation, shown, result.Errors)
		}
		if result.OK != step.ok || result.Applied != step.applied || now.Reloads-base.Reloads != step.reloads || now.ReloadsFailed-base.ReloadsFailed != step.failed || now.ReloadsPartial-base.ReloadsPartial != step.partial {
			t.Errorf("after step %d: %d reloads, %d failed, %d partial; %+v", i, now.Reloads-base.Reloads, now.ReloadsFailed-base.ReloadsFailed, now.ReloadsPartial-base.ReloadsPartial, result)
		}
	}
}

// TestHowManyMayBeWrong: a start without any good tenant fails, however few are broken; a
// strict one with the first that is.
func TestHowManyMayBeWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		good, broken int
		strict       bool
		starts       bool
	}{
		{0, 1, false, false}, {0, 2, false, false}, {1, 1, false, true}, {1, 2, false, true}, {2, 1, false, true},
		{1, 0, true, true}, {1, 1, true, false}, {2, 1, true, false}, {1, 2, true, false},
	} {
		text := "tenants:\n"
		for i := range c.good {
			text += tenant("good"+string(rune('a'+i)), "good.lua")
		}
		for i := range c.broken {
			text += tenant("bad"+string(rune('a'+i)), "bad.lua")
		}
		w := newWorkshop(t, "c.yaml", text, "scripts/good.lua", hello, "scripts/bad.lua", "error('x')\n")
		w.strict = c.strict
		if err := w.start(); (err == nil) != c.starts {
			t.Errorf("with %d good tenants and %d broken ones, strict %v: %v", c.good, c.broken, c.strict, err)
		}
	}
}
