package redis_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/keystone-gateway/keystone-gateway/tenants/store"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis/redistest"
)

const budget = 1 << 20

// TestDictionaryMeans what a Memory means: both are asked the same, at the same times.
func TestDictionaryMeans(t *testing.T) {
	t.Parallel()
	values := []any{"", "text", "s\x00\r\n$1", "5", 1.5, -0.1, 0.0, true, false, strings.Repeat("x", 6000), strings.Repeat("x", 70_000)}
	t.Run("lives", func(t *testing.T) {
		t.Parallel()
		server := miniredis.RunT(t) // whose Lua reads no exponents
		c := &clock{time.Unix(1_800_000_000, 0)}
		server.SetTime(c.at)
		shared, memory := open(t, configOf(server.Addr())).Tenant("a").Dictionary(budget), store.NewMemory(budget, c.now)
		lives := []time.Duration{0, 0, time.Millisecond, 50 * time.Millisecond, time.Second, math.MaxInt64}
		compare(t, shared, memory, values, lives, []float64{1, -1, 0.1, 1000}, func(step time.Duration) {
			c.at = c.at.Add(step)
			server.SetTime(c.at)
			server.FastForward(step)
		})
	})
	t.Run("numbers", func(t *testing.T) {
		t.Parallel()
		shared, memory := open(t, configOf(redistest.Start(t).Address)).Tenant("a").Dictionary(budget), store.NewMemory(budget, time.Now)
		values := append(slices.Clone(values), 1e300, 5e-324, 1e21, math.Inf(1), math.Inf(-1), math.NaN(), math.Pi)
		compare(t, shared, memory, values, []time.Duration{0}, []float64{1, -1, 0.1, 1e308, math.MaxFloat64, -math.MaxFloat64, 1 << 53, 5e-324}, func(time.Duration) {})
	})
}

func compare(t *testing.T, shared, memory store.Store, values []any, lives []time.Duration, steps []float64, pass func(time.Duration)) {
	t.Helper()
	random := rand.New(rand.NewPCG(3, 4))
	for i := range 4000 {
		key, value, life := fmt.Sprint("k", random.IntN(8)), values[random.IntN(len(values))], lives[random.IntN(len(lives))]
		by, start := steps[random.IntN(len(steps))], steps[random.IntN(len(steps))]
		what := random.IntN(7)
		ask := func(s store.Store) string {
			ctx := t.Context()
			switch what {
			case 0:
				return fmt.Sprint(s.Set(ctx, key, value, life))
			case 1:
				return fmt.Sprint(s.Add(ctx, key, value, life))
			case 2:
				return fmt.Sprint(s.Incr(ctx, key, by, start, life))
			case 3:
				return fmt.Sprint(s.Delete(ctx, key))
			case 4:
				return fmt.Sprint(s.TTL(ctx, key))
			default:
				v, ok, err := s.Get(ctx, key)
				return fmt.Sprintf("%T %v %v %v", v, v, ok, err)
			}
		}
		if got, want := ask(shared), ask(memory); got != want {
			t.Fatalf("%d: %d of %s, %.20v, %v, %v, %v: got %.200s, want %.200s", i, what, key, value, life, by, start, got, want)
		}
		pass(time.Duration(random.IntN(30)) * time.Millisecond)
	}
}

// TestDictionaryMakesRoom: what was least recently used goes, what has ended goes
// first, and an entry that would take too much is refused.
func TestDictionaryMakesRoom(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	shared := open(t, configOf(server.Address))
	d, other := shared.Tenant("a").Dictionary(20_000), shared.Tenant("b").Dictionary(20_000)
	set := func(d *redis.Dictionary, key string) {
		if err := d.Set(t.Context(), key, strings.Repeat("x", 800), 0); err != nil {
			t.Fatal(err)
		}
	}
	has := func(d *redis.Dictionary, key string) bool {
		_, ok, err := d.Get(t.Context(), key)
		if err != nil {
			t.Error(err)
		}
		return ok
	}
	set(other, "kept")
	for range 100 { // in the place of itself it takes nothing more
		set(d, "used")
	}
	var kept int
	for i := range 200 {
		set(d, fmt.Sprint(i))
		if !has(d, "used") {
			t.Fatalf("%d: what is used has gone", i)
		}
	}
	for i := range 200 {
		if has(d, fmt.Sprint(i)) {
			kept++
		}
	}
	if kept < 15 || kept > 19 || has(d, "0") || !has(d, "199") || !has(other, "kept") {
		t.Errorf("%d entries of 200 were kept", kept)
	}
	if err := d.Set(t.Context(), "large", strings.Repeat("x", 1100), 0); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	d.SetBudget(4000)
	set2 := d.Set(t.Context(), "small", "x", 0)
	if n := server.Do("HLEN keystone:{a}:d:values"); set2 != nil || n != ":5" {
		t.Errorf("%v, %s entries and their sum with a smaller budget", set2, n)
	}
	for _, key := range []string{"values", "used"} {
		if left := server.Do("PTTL keystone:{a}:d:" + key); len(left) < len(":2591000000") {
			t.Errorf("%s ends in %s ms, want a month", key, left)
		}
	}
	if err := d.Set(t.Context(), "k", 7, 0); !errors.Is(err, store.ErrValue) {
		t.Errorf("a value that none is: %v", err)
	}
	if _, err := d.Add(t.Context(), "k", "v", -1); !errors.Is(err, store.ErrTTL) {
		t.Errorf("a negative life: %v", err)
	}
	huge := shared.Tenant("c").Dictionary(redis.MostValue * 64)
	if err := huge.Set(t.Context(), "", strings.Repeat("x", redis.MostValue), 0); err != nil || !has(huge, "") {
		t.Errorf("the largest value: %v", err)
	}
	if err := huge.Set(t.Context(), "", strings.Repeat("x", redis.MostValue+1), 0); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("a larger one: %v", err)
	}
}

// TestDictionaryTogether: each function is done as a whole, whoever asks at once.
func TestDictionaryTogether(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	var wait sync.WaitGroup
	var added, allowed atomic.Int64
	q := quota(t, 1, 3600, 30)
	for range 4 {
		d := open(t, configOf(server.Address)).Tenant("a").Dictionary(budget)
		for range 4 {
			wait.Go(func() {
				for i := range 50 {
					if _, err := d.Incr(t.Context(), "sum", 1, 0, 0); err != nil {
						t.Error(err)
					}
					if is, err := d.Add(t.Context(), fmt.Sprint(i), true, 0); err != nil {
						t.Error(err)
					} else if is {
						added.Add(1)
					}
					if v, err := d.Take(t.Context(), "\x00limit:sum", q); err != nil {
						t.Error(err)
					} else if v.Allowed {
						allowed.Add(1)
					}
				}
			})
		}
	}
	wait.Wait()
	d := open(t, configOf(server.Address)).Tenant("a").Dictionary(budget)
	if sum, _, err := d.Get(t.Context(), "sum"); sum != 800.0 || err != nil || added.Load() != 50 || allowed.Load() != 30 {
		t.Errorf("a sum of %v %v, %d were added, %d allowed; want 800, 50, 30", sum, err, added.Load(), allowed.Load())
	}
}

// TestDictionaryFails: with errors that say nothing of the network; and what others have
// put there, and a user without rights, is no failure of the server.
func TestDictionaryFails(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--requirepass", "secret", "--user", "gateway", "on", ">other", "~keystone:*", "+evalsha", "+eval", "+get", "+set", "+time", "+hello", "+ping", "+client")
	poor := configOf(server.Address)
	poor.Username, poor.Password = "gateway", "other"
	shared := open(t, poor)
	d := shared.Tenant("a").Dictionary(budget)
	for range 10 {
		if err := d.Set(t.Context(), "k", "v", 0); err == nil || !strings.Contains(err.Error(), "lacks rights") {
			t.Errorf("without rights: %v", err)
		}
	}
	if status, _ := shared.Status(); !status.Here {
		t.Errorf("without rights: %+v", status)
	}
	server = redistest.Start(t)
	shared = open(t, configOf(server.Address))
	d = shared.Tenant("a").Dictionary(budget)
	server.Do("SET keystone:{a}:d:values x")
	for range 10 {
		if _, _, err := d.Get(t.Context(), "k"); !errors.Is(err, redis.ErrForeign) {
			t.Errorf("over something else: %v", err)
		}
	}
	if status, _ := shared.Status(); !status.Here {
		t.Errorf("over something else: %+v", status)
	}
	server.Kill()
	for range 20 {
		if _, _, err := d.Get(t.Context(), "k"); err == nil || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("away: %v", err)
		}
	}
	shared.Use(nil, 0)
	if _, err := d.Take(t.Context(), "k", quota(t, 1, 1, 1)); !errors.Is(err, redis.ErrNone) || d.Configured() {
		t.Errorf("none: %v", err)
	}
}
