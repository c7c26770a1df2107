package lua_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

// put writes a file below a directory.
func put(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// stuckClock is one on which nobody wakes, however long it takes.
type stuckClock struct {
	systemClock
	release chan struct{}
}

func (c stuckClock) Sleep(context.Context, time.Duration) { <-c.release }

// TestLoadEnds: whatever a script or a module is, and whatever it waits for,
// loading it ends in its time, and the next load begins afresh.
func TestLoadEnds(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	pipe := func(name string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			path := filepath.Join(dir, name)
			_ = os.Remove(path)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), unix.Mkfifo(path, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	script := func(text string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) { t.Helper(); put(t, dir, "a.lua", text) }
	}
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	const givenUp = "it is given up"
	for _, c := range []struct {
		name, want string
		broken     func(t *testing.T, dir string)
	}{
		{"a pipe", "not a regular file", pipe("a.lua")},
		{"a pipe as module", "a.lua:1: cannot open script \"shop/lib.lua\": it is a pipe", func(t *testing.T, dir string) {
			t.Helper()
			script("require 'lib'")(t, dir)
			pipe("shop/lib.lua")(t, dir)
		}},
		{"a pipe as directory", "a.lua:1: cannot open script \"shop/lib.lua\"", func(t *testing.T, dir string) {
			t.Helper()
			script("require 'lib'")(t, dir)
			pipe("shop")(t, dir)
		}},
		{"a device", "cannot open script", func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Symlink("/dev/zero", filepath.Join(dir, "a.lua")); err != nil {
				t.Fatal(err)
			}
		}},
		{"http", "a.lua:1: lua.load_timeout 1s is used up", script("http.get('http://" + silent.Addr().String() + "/')")},
		{"http caught", "a.lua:1: lua.load_timeout 1s is used up", script("while true do pcall(http.get, 'http://" + silent.Addr().String() + "/', {timeout = 0.01}) end")},
		{"a loop", "a.lua:1: lua.load_timeout 1s is used up", script("while true do local n = ('x'):byte() end")},
		{"what hangs", "a.lua: lua.load_timeout 1s is used up, and loading has not ended: it is given up", script("require('keystone.time').sleep(1)")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			o := options(dir, "a.lua")
			o.Clock = stuckClock{release: release}
			o.Config.LoadTimeout = settings.Duration(time.Minute)
			if strings.Contains(c.want, "load_timeout") {
				o.Config.LoadTimeout = settings.Duration(time.Second)
			}
			o.Config.MaxInstructions = 1 << 40
			o.Config.HTTP.Allow = []string{"127.0.0.0/8"}
			c.broken(t, dir)
			for range 2 {
				o.Cache.Begin([]string{"shop", "evil"})
				began := time.Now()
				_, err := lua.Load(o)
				// On a busy machine it may not come to say where it was.
				for tries := 0; tries < 20 && err != nil && strings.Contains(err.Error(), givenUp) && !strings.Contains(c.want, givenUp); tries++ {
					began = time.Now()
					_, err = lua.Load(o)
				}
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, expected %s", err, c.want)
				}
				if took := time.Since(began); took > time.Minute {
					t.Errorf("it took %v", took)
				}
				o.Cache.Sweep()
			}
			if err := os.RemoveAll(filepath.Join(dir, "shop")); err != nil {
				t.Fatal(err)
			}
			_ = os.Remove(filepath.Join(dir, "a.lua"))
			put(t, dir, "a.lua", "require 'lib'\n"+typical)
			put(t, dir, "shop/lib.lua", "return 1")
			o.Cache.Begin([]string{"shop", "evil"})
			o.Config.LoadTimeout = settings.Duration(time.Minute)
			scripts, err := lua.Load(o)
			if err != nil {
				t.Fatalf("after it was mended: %v", err)
			}
			scripts.Close()
		})
	}
}

// TestLoadsGivenUp: what hangs for good isn't begun without end.
func TestLoadsGivenUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "a.lua", "require('keystone.time').sleep(1)")
	o := options(dir, "a.lua")
	release := make(chan struct{})
	o.Clock = stuckClock{release: release}
	o.Config.LoadTimeout = settings.Duration(2 * time.Second) // time enough to come to the sleep
	refused := func() bool {
		_, err := lua.Load(o)
		return err != nil && strings.Contains(err.Error(), "no other is begun")
	}
	done := make(chan bool)
	const many = 20
	for range many {
		go func() { done <- refused() }()
	}
	n := 0
	for range many {
		if <-done {
			n++
		}
	}
	if n != many-8 {
		t.Errorf("%d of %d loads were refused, expected all but 8", n, many)
	}
	close(release)
	for began := time.Now(); refused(); time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("it is refused although nothing hangs any more")
		}
	}
}

// settableClock is a time that a test chooses.
type settableClock struct {
	systemClock
	now atomic.Int64 // seconds
}

func (c *settableClock) Now() time.Time { return time.Unix(c.now.Load(), 0) }

// TestLaterVMs: scripts that are accepted and then fail when a VM is made are
// tried again after longer and longer pauses, and say so.
func TestLaterVMs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "a.lua", "if os.time() >= 1000 and os.time() < 1010 then error('boom') end\n"+typical)
	clock := &settableClock{}
	o := options(dir, "a.lua")
	o.Clock, o.Lazy, o.Shards = clock, true, 1
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	defer scripts.Close()
	clock.now.Store(1000)
	for _, step := range []struct {
		at       int64
		failures uint64
		left     time.Duration
	}{{1000, 1, time.Second}, {1000, 1, time.Second}, {1001, 2, 2 * time.Second}, {1002, 2, time.Second}, {1003, 3, 4 * time.Second}, {1007, 4, 8 * time.Second}, {1012, 4, 3 * time.Second}} {
		clock.now.Store(step.at)
		err := scripts.Serve(newRequest(), 0)
		unavailable, ok := errors.AsType[*lua.UnavailableError](err)
		if !ok || unavailable.Left != step.left || !strings.Contains(err.Error(), "a.lua:1: boom") {
			t.Errorf("at %d: got %v, expected that it is tried again in %v", step.at, err, step.left)
		}
		since, err := scripts.LoadError()
		if got := scripts.Stats().LoadFailures.Load(); got != step.failures || err == nil || since.Unix() != 1000 || len(scripts.View().LastErrors) != int(step.failures) {
			t.Errorf("at %d: %d failures, %v, %d errors; expected %d", step.at, got, err, len(scripts.View().LastErrors), step.failures)
		}
	}
	clock.now.Store(1015)
	served := scripts.Serve(newRequest(), 0)
	if _, err := scripts.LoadError(); served != nil || err != nil {
		t.Errorf("when its time has come: %v, %v", served, err)
	}
}

// TestModulesOfOthers: no link leads to another tenant's module, or script.
func TestModulesOfOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "good/secret.lua", "return 'secret'")
	put(t, dir, "shop/own.lua", "return 'own'")
	put(t, dir, "a.lua", "")
	for at, to := range map[string]string{
		"shop/stolen.lua": "../good/secret.lua", "shop/lib": "../good", "b.lua": "good/secret.lua", "shop/fine.lua": "own.lua", "shop/script.lua": "../good/secret.lua",
	} {
		if err := os.Symlink(to, filepath.Join(dir, at)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ script, text, want string }{
		{"a.lua", "require 'stolen'", "leads out"},
		{"a.lua", "require 'lib.secret'", "leads out"},
		{"a.lua", "assert(require 'fine' == 'own')", ""},
		{"b.lua", "", "another tenant"},
		{"shop/script.lua", "", "leads out"},
	} {
		if c.text != "" {
			put(t, dir, c.script, c.text)
		}
		o := options(dir, c.script)
		o.Cache.Begin([]string{"shop", "good"})
		scripts, err := lua.Load(o)
		if err == nil {
			scripts.Close()
		}
		if (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: got %v, expected %q", c.script, c.text, err, c.want)
		}
	}
}
