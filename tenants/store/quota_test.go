package store_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// quota is so many tokens an hour, of which some are asked for.
func quota(tb testing.TB, rate, burst, cost float64) store.Quota {
	tb.Helper()
	q, err := store.NewQuota(rate, 3600, burst, cost)
	if err != nil {
		tb.Fatal(err)
	}
	return q
}

func TestNewQuotaRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rate, per, burst, cost float64
		want                   string
	}{
		{0, 1, 1, 1, "rate must be"},
		{math.NaN(), 1, 1, 1, "rate must be"},
		{math.Inf(1), 1, 1, 1, "rate must be"},
		{1, 0, 1, 1, "per must be"},
		{1, math.NaN(), 1, 1, "per must be"},
		{1, 1, 0.5, 1, "burst must be"},
		{1, 1, math.Inf(1), 1, "burst must be"},
		{1, 1, 1, -1, "cost must not be"},
		{1, 1, 1, math.NaN(), "cost must not be"},
		{1, 1, 1, 2, "cost is more than burst"},
		{2e6, 1, 1, 1, "more than a million a second"},
		{1, 1, 1e18, 1, "more than ten years"},
	} {
		q, err := store.NewQuota(test.rate, test.per, test.burst, test.cost)
		if err == nil || !strings.Contains(err.Error(), test.want) || q != (store.Quota{}) {
			t.Errorf("%v: %v, %v, want %q", test, q, err, test.want)
		}
	}
}

// TestTakeEntries: a limit is out of the values' reach, and ends when it says
// nothing any more.
func TestTakeEntries(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), new(clock)
	m := store.NewMemory(roomy, c.now)
	for range 2 {
		_, err := m.Take(ctx, "key", quota(t, 3600, 5, 1))
		must(t, err)
	}
	if ttl, ok, err := m.TTL(ctx, "key"); ttl != 2*time.Second || !ok || err != nil {
		t.Errorf("TTL = %v, %v, %v, want 2s", ttl, ok, err)
	}
	if value, ok, err := m.Get(ctx, "key"); value != nil || ok || err != store.ErrLimit {
		t.Errorf("Get = %v, %v, %v", value, ok, err)
	}
	if added, err := m.Add(ctx, "key", true, 0); added || err != nil {
		t.Errorf("Add = %v, %v", added, err)
	}
	c.advance(2 * time.Second)
	if added, err := m.Add(ctx, "key", true, 0); !added || err != nil {
		t.Errorf("at its end: Add = %v, %v", added, err)
	}
}

// TestTakeClockSetBack: the bucket is empty then, not in debt, and fills again.
func TestTakeClockSetBack(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), new(clock)
	m, q := store.NewMemory(roomy, c.now), quota(t, 3600, 2, 1)
	for i, step := range []struct {
		after time.Duration
		want  store.Verdict
	}{
		{0, store.Verdict{Allowed: true, Remaining: 1, Reset: time.Second}},
		{-time.Hour, store.Verdict{RetryAfter: time.Second, Reset: 2 * time.Second}},
		{time.Second, store.Verdict{Allowed: true, Reset: 2 * time.Second}},
	} {
		c.advance(step.after)
		if got, err := m.Take(ctx, "key", q); got != step.want || err != nil {
			t.Errorf("step %d: %+v, %v, want %+v", i, got, err, step.want)
		}
	}
}

// bucket is a token bucket, the obvious way: what Take must be equal to.
type bucket struct {
	interval, size, level int64 // nanoseconds' worth of tokens
	at                    int64
}

func (b *bucket) take(now, cost int64) (v store.Verdict) {
	b.level = min(b.size, b.level+now-b.at)
	b.at = now
	if v.Allowed = b.level >= cost; v.Allowed {
		b.level -= cost
	} else {
		v.RetryAfter = time.Duration(cost - b.level)
	}
	v.Remaining, v.Reset = b.level/b.interval, time.Duration(b.size-b.level)
	return v
}

// TestTakeIsTokenBucket plays random arrivals against a token bucket.
func TestTakeIsTokenBucket(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 100 {
		c := new(clock)
		m := store.NewMemory(roomy, c.now)
		rate, per, burst := 0.1+random.Float64()*1000, 0.1+random.Float64()*100, 1+random.IntN(50)
		interval := int64(math.Round(per / rate * 1e9))
		b := bucket{interval: interval, size: interval * int64(burst), level: interval * int64(burst), at: c.offset.Load()}
		for i := range 200 {
			cost := random.IntN(min(burst, 4) + 1)
			c.advance(time.Duration(random.Int64N(2 * interval * int64(1+random.IntN(2)))))
			q, err := store.NewQuota(rate, per, float64(burst), float64(cost))
			must(t, err)
			got, err := m.Take(t.Context(), "key", q)
			if want := b.take(c.offset.Load(), int64(cost)*interval); got != want || err != nil {
				t.Fatalf("round %d, rate %v per %v burst %d, call %d, cost %d: %+v, %v, a token bucket says %+v",
					round, rate, per, burst, i, cost, got, err, want)
			}
		}
	}
}

// FuzzTake passes numbers that nobody would: whatever is accepted gives
// sensible numbers.
func FuzzTake(f *testing.F) {
	f.Add(10.0, 1.0, 20.0, 1.0, int64(1))
	f.Add(1e6, 1.0, 1e6, 0.5, int64(-5))
	f.Add(1e-8, 1.0, 1.0, 1.0, int64(1e18))
	f.Add(math.Inf(1), math.NaN(), math.MaxFloat64, math.SmallestNonzeroFloat64, int64(math.MinInt64))
	f.Fuzz(func(t *testing.T, rate, per, burst, cost float64, step int64) {
		q, err := store.NewQuota(rate, per, burst, cost)
		if err != nil {
			return
		}
		c := new(clock)
		m := store.NewMemory(roomy, c.now)
		for range 3 {
			v, err := m.Take(t.Context(), "key", q)
			if err != nil || v.Remaining < 0 || float64(v.Remaining) > burst || v.RetryAfter < 0 || v.Reset < 0 || (v.RetryAfter == 0) != v.Allowed {
				t.Fatal(fmt.Sprintf("%+v", v), err)
			}
			c.advance(time.Duration(step % 1e18))
		}
	})
}
