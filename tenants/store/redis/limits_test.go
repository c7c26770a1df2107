package redis_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/keystone-gateway/keystone-gateway/tenants/store"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis/redistest"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// open connects to a server, which must be there.
func open(t testing.TB, config *redis.Config) *redis.Shared {
	t.Helper()
	shared := &redis.Shared{}
	shared.Use(config, time.Minute)
	t.Cleanup(shared.Close)
	if status, ok := shared.Status(); !ok || !status.Here {
		t.Fatalf("the server isn't there: %+v", status)
	}
	return shared
}

// clock is a time that a test moves, of a server and of a Memory.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// TestLimitsMean what a Memory's limits mean: both are asked the same, at the same times.
func TestLimitsMean(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	c := &clock{time.Unix(1_800_000_000, 0)}
	server.SetTime(c.at)
	limits := open(t, configOf(server.Addr())).Tenant("a")
	memory := store.NewMemory(1<<20, c.now)
	random := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		key := string(rune('a' + random.IntN(20)))
		q, err := store.NewQuota(float64(1+key[0]%7), 1, float64(3+key[0]%5), float64(random.IntN(4)))
		if err != nil {
			t.Fatal(err)
		}
		want, err := memory.Take(t.Context(), key, q)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := limits.Take(t.Context(), "limit", []byte(key), q); got != want || err != nil {
			t.Fatalf("got %+v %v, want %+v", got, err, want)
		}
		step := time.Duration(random.IntN(100_000)) * time.Microsecond // of which a server's time is
		c.at = c.at.Add(step)
		server.SetTime(c.at)
		server.FastForward(step)
	}
}

// TestClockSetBack: a server whose clock is set back owes nobody the difference.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	server.SetTime(time.Unix(1_800_000_000, 0))
	limits, q := open(t, configOf(server.Addr())).Tenant("a"), quota(t, 1, 1, 2)
	for range 2 {
		if v, err := limits.Take(t.Context(), "limit", nil, q); !v.Allowed || err != nil {
			t.Fatal(v, err)
		}
	}
	server.SetTime(time.Unix(1_700_000_000, 0))
	if v, err := limits.Take(t.Context(), "limit", nil, q); v.Allowed || v.RetryAfter != time.Second || err != nil {
		t.Errorf("got %+v %v, want an empty bucket", v, err)
	}
}

// TestKeysAreApart: of tenants, limits and keys, whatever they are called; and nothing of
// a key can be read at the server.
func TestKeysAreApart(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	shared, q := open(t, configOf(server.Addr())), quota(t, 1, 3600, 1)
	for _, tenant := range []string{"a", "b", "a.l", "l"} {
		for _, limit := range []string{"x", "y", "l:x"} {
			for _, key := range []string{"", "secret", "secret:", ":"} {
				if v, err := shared.Tenant(tenant).Take(t.Context(), limit, []byte(key), q); !v.Allowed || err != nil {
					t.Errorf("%s %s %q: %+v %v", tenant, limit, key, v, err)
				}
			}
		}
	}
	for _, key := range server.Keys() {
		if !strings.HasPrefix(key, "keystone:") || strings.Contains(key, "secret") {
			t.Errorf("the server has the key %q", key)
		}
		if server.TTL(key) <= 0 {
			t.Errorf("the key %q has no end", key)
		}
	}
}

// TestGatewaysCountTogether: of many that take of one limit at once exactly as many pass
// as it has, and what some have taken beforehand is never more than that.
func TestGatewaysCountTogether(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for _, share := range []float64{0, 0.005} {
		var wait sync.WaitGroup
		var mu sync.Mutex
		const burst = 5000
		allowed, q := 0, quota(t, 1, 3600, burst)
		var all []*redis.Shared
		for range 10 {
			config := configOf(server.Address)
			config.LocalShare = share
			shared := open(t, config)
			limits := shared.Tenant("a")
			for range 2 {
				wait.Go(func() {
					passed := 0
					for range burst / 15 {
						v, ok := limits.Try("limit", []byte{byte(share * 1000)}, q)
						if !ok {
							var err error
							if v, err = limits.Take(t.Context(), "limit", []byte{byte(share * 1000)}, q); err != nil {
								t.Error(err)
							}
						}
						if v.Allowed {
							passed++
						}
					}
					mu.Lock()
					allowed += passed
					mu.Unlock()
				})
			}
			all = append(all, shared)
		}
		wait.Wait()
		local := uint64(0)
		for _, shared := range all {
			status, _ := shared.Status()
			local += status.Counts.Local
		}
		if (local > 0) != (share > 0) {
			t.Errorf("share %v: %d requests were decided beforehand", share, local)
		}
		// An hour gives one back; ten gateways may hold a two hundredth each when they stop.
		if allowed > burst+1 || allowed < burst-10*burst/200 || share == 0 && allowed < burst {
			t.Errorf("share %v: %d were let pass of %d", share, allowed, burst)
		}
	}
}

// TestScriptsAreFlushed, and nobody notices.
func TestScriptsAreFlushed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	limits, q := open(t, configOf(server.Address)).Tenant("a"), quota(t, 1, 3600, 100)
	for left := int64(99); left >= 0; left-- {
		if left%10 == 0 {
			server.Do("SCRIPT FLUSH")
		}
		if v, err := limits.Take(t.Context(), "limit", nil, q); err != nil || v.Remaining != left {
			t.Fatalf("%+v %v, want %d left", v, err, left)
		}
	}
}

// TestServerIsAway: killed, or hanging, it is noticed without anybody asking, and so is
// that it is back.
func TestServerIsAway(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*redistest.Server) (back func()){
		"killed":  func(s *redistest.Server) func() { s.Kill(); return s.Restart },
		"hanging": func(s *redistest.Server) func() { s.Pause(); return s.Resume },
		"full": func(s *redistest.Server) func() {
			s.Do("CONFIG SET maxmemory 1")
			return func() { s.Do("CONFIG SET maxmemory 0") }
		},
		"a replica": func(s *redistest.Server) func() {
			s.Do("REPLICAOF 127.0.0.1 1")
			return func() { s.Do("REPLICAOF NO ONE") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			shared := &redis.Shared{}
			var told []error
			var mu sync.Mutex
			shared.Tell = func(_ string, err error, _ time.Duration) {
				mu.Lock()
				told = append(told, err)
				mu.Unlock()
			}
			config := configOf(server.Address)
			config.Timeout /= 5
			shared.Use(config, time.Minute)
			defer shared.Close()
			limits, q := shared.Tenant("a"), quota(t, 1, 1, 1000)
			here := func() bool { status, _ := shared.Status(); return status.Here }
			until.True(t, "it is here", here)
			back := lose(server)
			until.True(t, "it is away", func() bool { return !here() })
			if _, err := limits.Take(t.Context(), "limit", nil, q); !errors.Is(err, redis.ErrAway) {
				t.Errorf("got %v", err)
			}
			back()
			until.True(t, "it is back", func() bool {
				_, err := limits.Take(t.Context(), "limit", nil, q)
				return err == nil
			})
			mu.Lock()
			defer mu.Unlock()
			if len(told) < 3 || told[0] != nil || told[1] == nil || told[len(told)-1] != nil {
				t.Errorf("told %v", told)
			}
		})
	}
}

// TestPasswords: a wrong one is said, and a right one works, also of a user.
func TestPasswords(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--requirepass", "secret", "--user", "gateway", "on", ">other", "~keystone:*", "+evalsha", "+eval", "+get", "+set", "+time", "+hello", "+ping", "+client")
	for _, c := range []struct {
		user, password string
		wrong          string
	}{{"", "secret", ""}, {"gateway", "other", ""}, {"", "", "NOAUTH"}, {"", "wrong", "WRONGPASS"}, {"gateway", "secret", "WRONGPASS"}} {
		var shared redis.Shared
		config := configOf(server.Address)
		config.Username, config.Password = c.user, c.password
		shared.Use(config, time.Minute)
		status, _ := shared.Status()
		if status.Here != (c.wrong == "") || c.wrong != "" && !strings.Contains(status.Err.Error(), c.wrong) || c.wrong != "" && c.password != "" && strings.Contains(status.Err.Error(), c.password) {
			t.Errorf("%q %q: %+v", c.user, c.password, status)
		}
		shared.Close()
	}
}

// TestUse: another server takes the place of one at once, and none too.
func TestUse(t *testing.T) {
	t.Parallel()
	first, second := redistest.Start(t), redistest.Start(t)
	shared := open(t, configOf(first.Address))
	limits, q := shared.Tenant("a"), quota(t, 1, 3600, 10)
	left := func() int64 {
		v, err := limits.Take(context.Background(), "limit", nil, q)
		if err != nil {
			t.Error(err)
		}
		return v.Remaining
	}
	if n := left(); n != 9 {
		t.Error(n)
	}
	shared.Use(configOf(first.Address), time.Minute)
	if n := left(); n != 8 {
		t.Error("the same server has forgotten", n)
	}
	shared.Use(configOf(second.Address), time.Minute)
	if n := left(); n != 9 {
		t.Error("the other server isn't asked", n)
	}
	shared.Use(nil, 0)
	if _, err := limits.Take(t.Context(), "limit", nil, q); !errors.Is(err, redis.ErrNone) || limits.Configured() {
		t.Errorf("got %v", err)
	}
}
