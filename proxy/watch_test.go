package proxy_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestWatch drives the loop with a clock of its own, on real files.
func TestWatch(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "c.yaml", "lua: {watch: true}\ntenants:\n"+tenant("a", "a.lua"), "scripts/a.lua", hello)
	old := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC) // before the beginning of a bubble's time
	for _, name := range []string{"c.yaml", "scripts/a.lua"} {
		if err := os.Chtimes(filepath.Join(w.dir, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		w := &workshop{t: t, dir: w.dir}
		if err := w.start(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			w.server.Watch(ctx, false)
		}()
		path := func(name string) string { return filepath.Join(w.dir, name) }
		for _, step := range []struct {
			what    string
			do      func()
			reloads uint64
			ok      bool
		}{
			{"nothing", func() {}, 0, true},
			{"written", func() { w.write("scripts/a.lua", hello+hello) }, 1, false},
			{"written again", func() { w.write("scripts/a.lua", hello+"-- 1") }, 1, true},
			{"written and renamed", func() {
				w.write("scripts/4913", hello+"--- 2")
				if err := os.Rename(path("scripts/4913"), path("scripts/a.lua")); err != nil {
					t.Error(err)
				}
			}, 1, true},
			{"in a new directory", func() { w.write("scripts/a/lib/new.lua", "return 1") }, 1, true},
			{"there", func() { w.write("scripts/a/lib/new.lua", "return 10") }, 1, true},
			{"removed", func() {
				if err := os.RemoveAll(path("scripts/a")); err != nil {
					t.Error(err)
				}
			}, 1, true},
			{"written in many parts", func() {
				for i := range 20 {
					w.write("scripts/a.lua", hello+strings.Repeat("-", 100+i))
					time.Sleep(50 * time.Millisecond)
				}
			}, 1, true},
			{"an editor's notes", func() { w.write("scripts/.a.lua", "x", "scripts/a.lua~", "x", "scripts/.swap/b.lua", "x") }, 0, true},
			{"a link exchanged", func() {
				w.write("scripts/.data/l.lua", hello+"---- 3")
				if err := os.Symlink(".data/l.lua", path("scripts/l.lua")); err != nil {
					t.Error(err)
				}
			}, 1, true},
			{"what the link leads to", func() { w.write("scripts/.data/l.lua", hello+"----- 4") }, 1, true},
			{"the configuration", func() { w.write("c.yaml", "lua: {watch: true}\ntenants:\n"+tenant("b", "a.lua")) }, 1, true},
			{"turned off", func() { w.write("c.yaml", "tenants:\n"+tenant("b", "a.lua")) }, 1, true},
			{"while off", func() { w.write("scripts/a.lua", hello+"------ 5") }, 0, true},
		} {
			before := w.server.Counters().Reloads
			step.do()
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if got := w.server.Counters().Reloads - before; got != step.reloads || w.server.LastReload().OK != step.ok {
				t.Errorf("%s: %d reloads, the last: %+v; expected %d, ok %v", step.what, got, w.server.LastReload(), step.reloads, step.ok)
			}
		}
		cancel()
		<-stopped
	})
}
