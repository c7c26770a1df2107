package loads_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/loads"
)

// clock is the time as it is.
type clock struct{}

func (clock) Now() time.Time                           { return time.Now() }
func (clock) Sleep(_ context.Context, d time.Duration) { time.Sleep(d) }

// options are those of a tenant whose only script has that text.
func options(t *testing.T, cache *lua.Cache, text string) lua.Options {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o := lua.Options{Tenant: "a", Dir: dir, Scripts: []string{"a.lua"}, Log: zerolog.Nop(), Cache: cache, Clock: clock{}}
	o.Config = lua.DefaultConfig()
	return o
}

// TestRound: each load of a round ends with its own result; what is in use and still
// what is asked for stays, and who waits for another one's result gets that.
func TestRound(t *testing.T) {
	t.Parallel()
	cache := lua.NewCache()
	good, bad := loads.New(options(t, cache, "local a = 1"), nil, nil), loads.New(options(t, cache, "error('x')"), nil, nil)
	cache.Begin(nil)
	loads.Begin([]*loads.Load{good, bad}, 1).Await(0, true)
	if !good.HasEnded() || good.Err != nil || good.Scripts == nil || bad.Err == nil || bad.Scripts != nil {
		t.Fatalf("got %v and %v", good.Err, bad.Err)
	}
	t.Cleanup(good.Scripts.Close)
	same, known := loads.New(good.Options, good.Scripts, nil), loads.New(bad.Options, nil, bad)
	unended := loads.New(good.Options, nil, loads.New(good.Options, nil, nil))
	loads.Begin([]*loads.Load{same, known, unended}, 2).Await(time.Minute, false)
	for _, l := range []*loads.Load{same, known, unended} {
		l.Wait()
	}
	if same.Scripts != good.Scripts || known.Err == nil || known.Err.Error() != bad.Err.Error() || !unended.Pending || unended.Err != nil || known.Pending {
		t.Errorf("got %v, %v, %v", same.Err, known.Err, unended.Pending)
	}
}

// TestKept: what is in use stays only if it is what is asked for now, and isn't what
// another load is to find out.
func TestKept(t *testing.T) {
	t.Parallel()
	cache := lua.NewCache()
	begin := func(list ...*loads.Load) {
		cache.Begin(nil)
		loads.Begin(list, 1).Await(0, true)
		for _, l := range list {
			if l.Wait(); l.Scripts != nil {
				t.Cleanup(l.Scripts.Close)
			}
		}
	}
	first := loads.New(options(t, cache, "local a = 1"), nil, nil)
	begin(first)
	in := loads.New(first.Options, first.Scripts, nil)
	other := loads.New(first.Options, first.Scripts, first)
	other.Known = loads.New(options(t, cache, "local a = 2"), nil, nil)
	begin(other.Known)
	begin(in, other)
	if in.Scripts != first.Scripts || other.Scripts != other.Known.Scripts || other.Scripts == first.Scripts {
		t.Error("what is in use is loaded anew, or kept although another load is to be its result")
	}
	changed := loads.New(first.Options, first.Scripts, nil)
	if err := os.WriteFile(filepath.Join(first.Options.Dir, "a.lua"), []byte("local changed = 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	begin(changed)
	if changed.Err != nil || changed.Scripts == nil || changed.Scripts == first.Scripts {
		t.Error("a script that has changed is not loaded anew")
	}
	if err := os.Chtimes(filepath.Join(first.Options.Dir, "a.lua"), time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	touched := loads.New(first.Options, changed.Scripts, nil)
	begin(touched)
	if touched.Scripts != changed.Scripts {
		t.Error("a file of the same content is loaded anew")
	}
}

// heldClock is one by which scripts sleep until it is closed.
type heldClock chan struct{}

func (heldClock) Now() time.Time { return time.Now() }
func (c heldClock) Sleep(ctx context.Context, _ time.Duration) {
	select {
	case <-c:
	case <-ctx.Done():
	}
}

// TestWaitsAreNotTurns: while the scripts of a tenant wait for something, those of
// others are loaded, even if only one may be at a time.
func TestWaitsAreNotTurns(t *testing.T) {
	t.Parallel()
	cache := lua.NewCache()
	cache.Begin(nil)
	sleeps := options(t, cache, "require('keystone.time').sleep(1)")
	clock := make(heldClock)
	sleeps.Clock = clock
	sleeps.Config.LoadTimeout *= 12 // a minute
	slow, quick := loads.New(sleeps, nil, nil), loads.New(options(t, cache, "local a = 1"), nil, nil)
	round := loads.Begin([]*loads.Load{slow, quick}, 1)
	quick.Wait()
	if slow.HasEnded() {
		t.Error("the first load doesn't wait")
	}
	close(clock)
	round.Await(0, false)
	if slow.Err != nil || quick.Err != nil {
		t.Fatal(slow.Err, quick.Err)
	}
	slow.Scripts.Close()
	quick.Scripts.Close()
}
