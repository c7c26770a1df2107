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
