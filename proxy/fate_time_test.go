package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestBomb: a script that fails from some time on hurts nobody else, and not
// itself until it is loaded again.
func TestBomb(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "c.yaml", tenantsOf("a", plainTenant("a"), "b", plainTenant("b")),
		"scripts/a.lua", "if os.time() >= 1000 then error('boom') end\n"+answers("a"), "scripts/b.lua", answers("b"))
	clock := &stillClock{now: time.Unix(1, 0)}
	w.clock = clock
	w.run()
	clock.set(time.Unix(1000, 0))
	w.write("scripts/b.lua", answers("b2"))
	if result := w.server.Reload(); !result.OK || w.ask("a") != "a" || w.ask("b") != "b2" {
		t.Errorf("a reload: %+v, %s %s", result, w.ask("a"), w.ask("b"))
	}
	w = &workshop{t: t, dir: w.dir, clock: clock}
	w.run()
	if got := w.ask("a") + " " + w.ask("b"); got != misconfigured+" b2" {
		t.Errorf("a start: %s", got)
	}
	if got := w.server.LastReload().Errors; len(got) != 1 || !strings.Contains(got[0], "c.yaml:6:") || !strings.Contains(got[0], "a.lua:1: boom") {
		t.Errorf("got %q", got)
	}
}

// stillClock stands until it is set, and nobody who sleeps on it wakes before
// release is closed.
type stillClock struct {
	mu       sync.Mutex
	now      time.Time
	release  chan struct{}
	sleepers atomic.Int32
}

func (c *stillClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *stillClock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

func (c *stillClock) Sleep(ctx context.Context, _ time.Duration) {
	c.sleepers.Add(1)
	defer c.sleepers.Add(-1)
	select {
	case <-c.release:
	case <-ctx.Done():
	}
}

// TestSlowStart: those who needn't wait for a tenant's scripts are served at once.
func TestSlowStart(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "c.yaml", tenantsOf("a", plainTenant("a", "load_timeout: 1m"), "b", plainTenant("b")),
		"scripts/a.lua", "require('keystone.time').sleep(1)\n"+answers("a"), "scripts/b.lua", answers("b"))
	clock := &stillClock{now: time.Unix(1, 0), release: make(chan struct{})}
	w.clock = clock
	w.run()
	if got := w.ask("a") + " " + w.ask("b") + " " + w.states(); got != misconfigured+" b a=loading" {
		t.Errorf("while a loads: %s", got)
	}
	close(clock.release)
	for began := time.Now(); w.ask("a") != "a"; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("when it is loaded: %s, %s", w.ask("a"), w.states())
		}
	}
	// What is told of a generation follows it.
	for began := time.Now(); !w.server.LastReload().OK || w.states() != "" || w.server.Snapshot().Generation != 2; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("got %+v, %s", w.server.LastReload(), w.states())
		}
	}
}

// TestStuckReload: what waits, or can't be read, delays one reload by its time at
// most, and the next one not at all.
func TestStuckReload(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "c.yaml", tenantsOf("a", plainTenant("a", "load_timeout: 3s"), "b", plainTenant("b")), "scripts/a.lua", answers("a1"), "scripts/b.lua", answers("b1"))
	w.clock = &stillClock{now: time.Unix(1, 0), release: make(chan struct{})}
	w.run()
	path := filepath.Join(w.dir, "scripts/a.lua")
	for i, broken := range []func() error{
		func() error { return os.WriteFile(path, []byte("require('keystone.time').sleep(1)"), 0o600) },
		func() error { return errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600)) },
		func() error { return errors.Join(os.Remove(path), os.Symlink("/dev/zero", path)) },
		func() error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
	} {
		if err := broken(); err != nil {
			t.Fatal(err)
		}
		w.write("scripts/b.lua", answers(fmt.Sprint("b", i)))
		if result := w.server.Reload(); result.OK || !result.Applied || w.ask("a") != "a1" || w.ask("b") != fmt.Sprint("b", i) {
			t.Errorf("%d: %+v, %s %s", i, result, w.ask("a"), w.ask("b"))
		}
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	w.write("scripts/a.lua", answers("a2"))
	if result := w.server.Reload(); !result.OK || w.ask("a") != "a2" {
		t.Errorf("mended: %+v, %s", result, w.ask("a"))
	}
}

// TestManyWait: tenants that wait while they are loaded wait at the same time.
func TestManyWait(t *testing.T) {
	t.Parallel()
	var list, files []string
	const many = 40
	for i := range many {
		name := fmt.Sprint("w", i)
		list = append(list, name, plainTenant(name, "load_timeout: 1m"))
		files = append(files, "scripts/"+name+".lua", "require('keystone.time').sleep(1)")
	}
	list = append(list, "b", plainTenant("b"))
	w := newWorkshop(t, append(files, "scripts/b.lua", answers("b"), "c.yaml", tenantsOf(list...))...)
	clock := &stillClock{now: time.Unix(1, 0), release: make(chan struct{})}
	w.clock = clock
	w.run()
	eventually(t, "all wait at the same time", func() bool { return clock.sleepers.Load() == many })
	if got := w.ask("b") + " " + w.ask("w7"); got != "b "+misconfigured {
		t.Errorf("got %s", got)
	}
	close(clock.release)
	eventually(t, "all are loaded", func() bool { return w.states() == "" })
}

// TestRetry: scripts that could not be loaded for want of time are loaded again
// without a reload; those that are wrong otherwise are not.
func TestRetry(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "c.yaml", tenantsOf("a", plainTenant("a", "load_timeout: 300ms"), "b", plainTenant("b"), "c", plainTenant("c")),
		"scripts/a.lua", "require('keystone.time').sleep(1)\n"+answers("a"), "scripts/b.lua", answers("b"), "scripts/c.lua", "oops(")
	clock := &stillClock{now: time.Unix(1, 0), release: make(chan struct{})}
	w.clock = clock
	w.run()
	eventually(t, "its time is used up", func() bool { return w.states() == "a=misconfigured c=misconfigured" })
	w.write("scripts/c.lua", answers("c"))
	close(clock.release)
	eventually(t, "it is loaded again", func() bool { return w.states() == "c=misconfigured" })
	if got := w.ask("a") + " " + w.ask("b") + " " + w.ask("c"); got != "a b "+misconfigured {
		t.Errorf("got %s", got)
	}
}

// TestRetryBesideSlow: a retry neither waits for a tenant whose scripts are still
// being loaded, nor loads them a second time.
func TestRetryBesideSlow(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	silentOnce := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			<-r.Context().Done()
		}
	}))
	t.Cleanup(silentOnce.Close)
	w := newWorkshop(t, "c.yaml", tenantsOf("a", plainTenant("a", "load_timeout: 1m"), "b", plainTenant("b"),
		"c", plainTenant("c", "load_timeout: 2s", "http: {allow: [127.0.0.1]}")),
		"scripts/a.lua", "require('keystone.time').sleep(1)\n"+answers("a"), "scripts/b.lua", answers("b"),
		"scripts/c.lua", "http.get('"+silentOnce.URL+"')\n"+answers("c"))
	clock := &stillClock{now: time.Unix(1, 0), release: make(chan struct{})}
	w.clock = clock
	w.run()
	eventually(t, "c is loaded again", func() bool { return clock.sleepers.Load() > 1 || w.ask("c") == "c" })
	if got, sleepers := w.states(), clock.sleepers.Load(); got != "a=loading" || sleepers != 1 {
		t.Errorf("got %s, and %d loads of a", got, sleepers)
	}
	close(clock.release)
	eventually(t, "a is loaded", func() bool { return w.states() == "" && w.ask("a") == "a" })
}

// TestRetryAfterReload: what a load brings that a reload has overtaken is not used.
func TestRetryAfterReload(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "c.yaml", tenantsOf("a", plainTenant("a"), "b", plainTenant("b")), "scripts/a.lua", "oops(", "scripts/b.lua", answers("b"))
	w.run()
	w.write("scripts/a.lua", answers("old"))
	end := w.server.BeginLoad("a")
	w.write("scripts/a.lua", "oops_again(")
	if result := w.server.Reload(); result.OK {
		t.Fatalf("got %+v", result)
	}
	end()
	if got := w.ask("a") + " " + w.states(); got != misconfigured+" a=misconfigured" {
		t.Errorf("got %s", got)
	}
	if got := w.server.LastReload().Errors; len(got) != 1 || !strings.Contains(got[0], "a.lua") {
		t.Errorf("got %q", got)
	}
}

// TestRetriesInTurn: however many tenants fail again and again, each is tried
// once more before any is tried twice.
func TestRetriesInTurn(t *testing.T) {
	t.Parallel()
	const tenants = 24 // with a second each, four at a time, the first are due again before the last have begun
	var mu sync.Mutex
	begun, left, early := map[string]int{}, tenants, ""
	done := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		name := r.URL.Query().Get("tenant")
		switch begun[name]++; begun[name] {
		case 2:
			if left--; left == 0 {
				close(done)
			}
		case 3:
			if left > 0 {
				early = name
			}
		}
		mu.Unlock()
		<-r.Context().Done()
	}))
	t.Cleanup(silent.Close)
	list, files := []string{"b", plainTenant("b")}, []string{"scripts/b.lua", answers("b")}
	for i := range tenants {
		name := fmt.Sprintf("a%02d", i)
		list = append(list, name, plainTenant(name, "load_timeout: 1s", "http: {allow: [127.0.0.1]}"))
		files = append(files, "scripts/"+name+".lua", "http.get('"+silent.URL+"/?tenant="+name+"')\n"+answers(name))
	}
	w := newWorkshop(t, append([]string{"c.yaml", tenantsOf(list...)}, files...)...)
	w.run()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
	}
	mu.Lock()
	defer mu.Unlock()
	if left > 0 || early != "" {
		t.Errorf("%d tenants have not been tried again; one that has been twice, before all others had been once: %q", left, early)
	}
}
