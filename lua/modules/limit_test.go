package modules_test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// limitCall returns the verdict of a call as "true remaining retry_after reset".
const limitCall = `
	local allowed, info = limit.%s
	if allowed == nil then return allowed, info end
	return allowed, info.remaining, info.retry_after, info.reset`

func TestLimit(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	type step struct {
		after time.Duration
		call  string
		want  string
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"burst, then rate", []step{
			{0, `allow("k", 10, 3)`, "true 2 0 0.1"},
			{0, `allow("k", 10, 3)`, "true 1 0 0.2"},
			{0, `allow("k", 10, 3)`, "true 0 0 0.3"},
			{0, `allow("k", 10, 3)`, "false 0 0.1 0.3"},
			{100*ms - 1, `allow("k", 10, 3)`, "false 0 1e-09 0.200000001"},
			{1, `allow("k", 10, 3)`, "true 0 0 0.3"},
			{time.Hour, `allow("k", 10, 3)`, "true 2 0 0.1"},
		}},
		{"default burst", []step{{0, `allow("k", 5)`, "true 4 0 0.2"}}},
		{"default burst of slow rates", []step{
			{0, `allow("k", 0.5)`, "true 0 0 2"},
			{time.Second, `allow("k", 0.5)`, "false 0 1 1"},
			{time.Second, `allow("k", 0.5)`, "true 0 0 2"},
		}},
		{"keys", []step{
			{0, `allow("k", 1)`, "true 0 0 1"},
			{0, `allow("other", 1)`, "true 0 0 1"},
			{0, `allow("k", 1)`, "false 0 1 1"},
		}},
		{"per", []step{
			{0, `gcra("k", {rate = 2, per = 60})`, "true 1 0 30"},
			{0, `gcra("k", {rate = 2, per = 60, burst = 3})`, "true 1 0 60"},
		}},
		{"cost", []step{
			{0, `gcra("k", {rate = 10, burst = 20, cost = 15})`, "true 5 0 1.5"},
			{0, `gcra("k", {rate = 10, burst = 20, cost = 6})`, "false 5 0.1 1.5"},
			{0, `gcra("k", {rate = 10, burst = 20, cost = 5})`, "true 0 0 2"},
			{50 * ms, `gcra("k", {rate = 10, burst = 20, cost = 0.5})`, "true 0 0 2"},
		}},
		{"looking", []step{
			{0, `gcra("k", {rate = 1, cost = 0})`, "true 1 0 0"},
			{0, `gcra("k", {rate = 1})`, "true 0 0 1"},
			{0, `gcra("k", {rate = 1, cost = 0})`, "true 0 0 1"},
		}},
		{"tiny cost", []step{{0, `gcra("k", {rate = 1, cost = 1e-300})`, "true 0 0 1e-09"}, {1, `gcra("k", {rate = 1})`, "true 0 0 1"}}},
		{"method", []step{{0, `gcra(limit, "k", {rate = 1})`, "true 0 0 1"}, {0, `allow(limit, "k", 1)`, "false 0 1 1"}}},
		{"read-only options", []step{{0, `gcra("k", options)`, "true 1 0 0.5"}}},
		{"clock set back", []step{
			{0, `allow("k", 1, 2)`, "true 1 0 1"},
			{-time.Hour, `allow("k", 1, 2)`, "false 0 1 2"},
			{time.Second, `allow("k", 1, 2)`, "true 0 0 2"},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newSharedClock()
			L := sharedVM(t, sharedTenant(c, nil))
			for i, step := range test.steps {
				c.advance(step.after)
				if got := sharedEval(L, fmt.Sprintf(limitCall, step.call)); got != step.want {
					t.Errorf("step %d, %s = %s, want %s", i, step.call, got, step.want)
				}
			}
		})
	}
}

func TestLimitMisuse(t *testing.T) {
	t.Parallel()
	tests := []struct{ call, want string }{
		{`allow()`, "bad argument #1 to 'allow' (string expected, got no value)"},
		{`allow("k")`, "bad argument #2 to 'allow' (number expected, got no value)"},
		{`allow("k", 0)`, "rate must be a number of more than 0"},
		{`allow("k", -1)`, "rate must be a number of more than 0"},
		{`allow("k", 0/0)`, "rate must be a number of more than 0"},
		{`allow("k", huge)`, "rate must be a number of more than 0"},
		{`allow("k", 2e6)`, "rate is more than a million a second"},
		{`allow("k", 1, 0.5)`, "burst must be at least 1"},
		{`allow("k", 1, 0/0)`, "burst must be at least 1"},
		{`allow("k", 1, huge)`, "burst must be at least 1"},
		{`allow("k", 1, 1e18)`, "burst would take more than ten years to come back"},
		{`allow("k", 1e-300)`, "burst would take more than ten years to come back"},
		{`allow("\0k", 1)`, "a key must not begin with a NUL byte"},
		{`gcra("k")`, "bad argument #2 to 'gcra' (table expected, got no value)"},
		{`gcra("k", 1)`, "bad argument #2 to 'gcra' (table expected, got number)"},
		{`gcra("k", {})`, "rate must be a number of more than 0"},
		{`gcra("k", frozen)`, "rate must be a number of more than 0"},
		{`gcra("k", {rate = "1"})`, "rate must be a number"},
		{`gcra("k", {rate = 1, per = 0})`, "per must be more than 0 seconds"},
		{`gcra("k", {rate = 1, per = huge})`, "per must be more than 0 seconds"},
		{`gcra("k", {rate = 1, burst = {}})`, "burst must be a number"},
		{`gcra("k", {rate = 1, cost = -1})`, "cost must not be less than 0"},
		{`gcra("k", {rate = 1, cost = 0/0})`, "cost must not be less than 0"},
		{`gcra("k", {rate = 1, cost = 2})`, "cost is more than burst"},
	}
	L := sharedVM(t, sharedTenant(newSharedClock(), nil))
	for _, test := range tests {
		if got := sharedEval(L, "limit."+test.call); !strings.HasPrefix(got, "error: <string>:1: bad argument") || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, want %q", test.call, got, test.want)
		}
	}
}

// TestLimitEntries: entries are out of the scripts' reach, end when they say
// nothing any more, and are recognised.
func TestLimitEntries(t *testing.T) {
	t.Parallel()
	c := newSharedClock()
	memory := store.NewMemory(1<<20, c.Now)
	L := sharedVM(t, sharedTenant(c, memory))
	if got, want := sharedEval(L, `limit.allow("k", 1, 5) limit.allow("k", 1, 5) return shared.get("k"), shared.get("limit:k")`), "nil nil"; got != want {
		t.Errorf("shared.get = %s, want %s", got, want)
	}
	if ttl, ok, err := memory.TTL(t.Context(), "\x00limit:k"); ttl != 2*time.Second || !ok || err != nil {
		t.Errorf("the entry lives %v, %v, %v, want 2s", ttl, ok, err)
	}
	for _, value := range []any{1.5, true, "", "x", "1e9", "1234567890", strings.Repeat("9", 100)} {
		if err := memory.Set(t.Context(), "\x00limit:k", value, 0); err != nil {
			t.Fatal(err)
		}
		for _, cost := range []string{"0", "1"} {
			got := sharedEval(L, `return limit.gcra("k", {rate = 1, cost = `+cost+`})`)
			if want := "nil the store holds something else than a limit under this key"; got != want {
				t.Errorf("over %v: %q, want %q", value, got, want)
			}
		}
	}
}

// TestLimitConcurrent: of many at once, exactly burst are allowed.
func TestLimitConcurrent(t *testing.T) {
	t.Parallel()
	c := newSharedClock()
	memory := store.NewMemory(1<<20, c.Now)
	for _, s := range []store.Store{memory, struct{ store.Store }{store.NewMemory(1<<20, c.Now)}} { // the other without Instant
		tenant := sharedTenant(c, s)
		var group sync.WaitGroup
		var allowed atomic.Int64
		for range 8 {
			L := sharedVM(t, tenant)
			group.Go(func() {
				got := sharedEval(L, `
					local n = 0
					for i = 1, 200 do if limit.allow("k", 10, 300) then n = n + 1 end end
					return n`)
				n, _ := strconv.ParseInt(got, 10, 64)
				allowed.Add(n)
			})
		}
		group.Wait()
		if n := allowed.Load(); n != 300 {
			t.Errorf("%d allowed, want 300", n)
		}
	}
}

// FuzzLimit passes numbers that nobody would: whatever is accepted gives
// sensible numbers.
func FuzzLimit(f *testing.F) {
	f.Add(10.0, 1.0, 20.0, 1.0, int64(1))
	f.Add(1e6, 1.0, 1e6, 0.5, int64(-5))
	f.Add(1e-8, 1.0, 1.0, 1.0, int64(1e18))
	f.Add(math.Inf(1), math.NaN(), math.MaxFloat64, math.SmallestNonzeroFloat64, int64(math.MinInt64))
	f.Fuzz(func(t *testing.T, rate, per, burst, cost float64, step int64) {
		c := newSharedClock()
		L := sharedVM(t, sharedTenant(c, nil))
		for name, value := range map[string]float64{"rate": rate, "per": per, "burst": burst, "cost": cost} {
			L.SetGlobal(name, glua.LNumber(value))
		}
		for range 3 {
			got := sharedEval(L, fmt.Sprintf(limitCall, `gcra("k", {rate = rate, per = per, burst = burst, cost = cost})`))
			if strings.HasPrefix(got, "error: <string>:2: bad argument #2") {
				return
			}
			var allowed bool
			var remaining, retryAfter, reset float64
			if _, err := fmt.Sscan(got, &allowed, &remaining, &retryAfter, &reset); err != nil {
				t.Fatalf("got %q", got)
			}
			if remaining < 0 || remaining > burst || retryAfter < 0 || reset < 0 || (retryAfter == 0) != allowed {
				t.Fatalf("got %q", got)
			}
			c.advance(time.Duration(step % 1e18))
		}
	})
}

func BenchmarkShared(b *testing.B) {
	for _, call := range []string{`shared.get("k")`, `shared.incr("k")`, `shared.set("k", "value", 60)`, `limit.allow("k", 1000)`} {
		b.Run(call, func(b *testing.B) {
			limits := vmtest.Limits()
			limits.Instructions, limits.Memory = math.MaxInt64/2, 0
			L, _ := vmtest.Begin(b, limits)
			sharedGlobals(L, sharedTenant(newSharedClock(), nil))
			function, err := L.LoadString(`local n = ... for i = 1, n do ` + call + ` end`)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			if err := L.CallByParam(glua.P{Fn: function, Protect: true}, glua.LNumber(b.N)); err != nil {
				b.Fatal(err)
			}
		})
	}
}
