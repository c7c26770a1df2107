package store_test

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

func quotaOf(t testing.TB, rate, per, burst float64) store.Quota {
	t.Helper()
	q, err := store.NewQuota(rate, per, burst, 1)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func keyOf(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// TestLimitsMean what a Memory's limits mean: the two are asked the same.
func TestLimitsMean(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory, limits := store.NewMemory(1<<20, time.Now), store.NewLimits(1<<12, time.Now)
		random := rand.New(rand.NewPCG(1, 2))
		for range 20_000 {
			n := random.Uint64N(50)
			q := quotaOf(t, 1+float64(n%7), 1, 1+float64(n%5)) // one for each key
			want, err := memory.Take(t.Context(), string(keyOf(n)), q)
			if err != nil {
				t.Fatal(err)
			}
			if got, shared := limits.Take(n, keyOf(n), keyOf(n), q); got != want || shared {
				t.Fatalf("got %+v %v, want %+v", got, shared, want)
			}
			time.Sleep(time.Duration(random.Int64N(int64(20 * time.Millisecond))))
		}
	})
}

// TestLimitsAreApart: of the same key, and of other keys.
func TestLimitsAreApart(t *testing.T) {
	t.Parallel()
	limits, q := store.NewLimits(1<<17, time.Now), quotaOf(t, 1, 3600, 1)
	for limit := range uint64(10) {
		for key := range uint64(1000) {
			if v, shared := limits.Take(limit, keyOf(key), keyOf(key), q); !v.Allowed || shared {
				t.Fatalf("limit %d, key %d: %+v %v", limit, key, v, shared)
			}
		}
	}
	for limit := range uint64(10) {
		for key := range uint64(1000) { // nobody was pushed out by growth
			if v, _ := limits.Take(limit, keyOf(key), keyOf(key), q); v.Allowed {
				t.Fatalf("limit %d, key %d was forgotten", limit, key)
			}
		}
	}
}

// TestLimitsWhenFull: whoever makes up keys pushes nobody out, and gets no more than
// the shared buckets have; those who came before keep theirs, and when time has passed
// there is room again.
func TestLimitsWhenFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limits, q := store.NewLimits(1<<12, time.Now), quotaOf(t, 1, 3600, 1)
		const honest = 500
		for key := range uint64(honest) {
			limits.Take(1, keyOf(key), keyOf(key), q)
		}
		allowed := 0
		for key := range uint64(200_000) {
			if v, _ := limits.Take(1, keyOf(1<<32+key), keyOf(1<<32+key), q); v.Allowed {
				allowed++
			}
		}
		if allowed > 1<<12 || allowed < 1<<11 {
			t.Errorf("%d of made-up keys were let pass, want at most the places and the shared buckets", allowed)
		}
		for key := range uint64(honest) {
			if v, shared := limits.Take(1, keyOf(key), keyOf(key), q); v.Allowed || shared {
				t.Fatalf("key %d was pushed out: %+v %v", key, v, shared)
			}
		}
		if limits.Shared() < 190_000 {
			t.Errorf("%d shared", limits.Shared())
		}
		// Another limit isn't concerned by what the shared buckets of this one have.
		if v, shared := limits.Take(2, keyOf(1), keyOf(1), quotaOf(t, 10, 1, 10)); !v.Allowed || !shared {
			t.Logf("limit 2 found a place of its own: %+v %v", v, shared)
		}
		time.Sleep(time.Hour)
		if v, shared := limits.Take(1, keyOf(1<<40), keyOf(1<<40), q); !v.Allowed || shared {
			t.Errorf("an hour later: %+v %v", v, shared)
		}
	})
}

// TestLimitsOfOneOwner: one who makes up keys uses up the bucket that its own share, and
// leaves the others to others.
func TestLimitsOfOneOwner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limits, q := store.NewLimits(1<<12, time.Now), quotaOf(t, 1, 3600, 1)
		for key := range uint64(200_000) {
			limits.Take(1, keyOf(key), []byte("one"), q)
		}
		allowed := 0
		for owner := range uint64(2000) {
			v, shared := limits.Take(1, keyOf(1<<32+owner), keyOf(owner), q)
			if v.Allowed && shared {
				allowed++
			}
		}
		if allowed != 63 {
			t.Errorf("%d of the 63 other buckets had something left for others", allowed)
		}
	})
}

// TestLimitsTogether: of many at once exactly as many pass as the burst has.
func TestLimitsTogether(t *testing.T) {
	t.Parallel()
	limits, q := store.NewLimits(1<<12, time.Now), quotaOf(t, 1, 3600, 100)
	var wait sync.WaitGroup
	var mu sync.Mutex
	allowed := 0
	for range 8 {
		wait.Go(func() {
			for n := range uint64(100) {
				v, _ := limits.Take(1, []byte("key"), []byte("key"), q)
				limits.Take(2, keyOf(n), keyOf(n), q)
				mu.Lock()
				if v.Allowed {
					allowed++
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if allowed != 100 {
		t.Errorf("%d were allowed, want 100", allowed)
	}
}

// TestLimitsAllocate0: but for growth.
func TestLimitsAllocate0(t *testing.T) { //nolint:paralleltest // it counts allocations
	limits, q, n := store.NewLimits(1<<10, time.Now), quotaOf(t, 1000, 1, 10), uint64(0)
	key := make([]byte, 8)
	for range 1 << 16 {
		n++
		binary.BigEndian.PutUint64(key, n)
		limits.Take(1, key, key, q)
	}
	if got := testing.AllocsPerRun(1000, func() {
		n++
		binary.BigEndian.PutUint64(key, n)
		limits.Take(1, key, key, q)
	}); got > 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}

func BenchmarkLimits(b *testing.B) {
	limits, q, n := store.NewLimits(1<<17, time.Now), quotaOf(b, 1000, 1, 10), uint64(0)
	key := make([]byte, 24)
	b.ReportAllocs()
	for b.Loop() {
		n++
		binary.BigEndian.PutUint64(key, n%1000)
		limits.Take(1, key, key, q)
	}
}

// TestLimitsLookOneAfterTheOther: who takes of a bucket looks at the clock when nobody else
// is about to, so that none is behind those that have taken before.
func TestLimitsLookOneAfterTheOther(t *testing.T) {
	t.Parallel()
	var looking, overlaps atomic.Int64
	now := func() time.Time {
		if looking.Add(1) > 1 {
			overlaps.Add(1)
		}
		for range 5 {
			runtime.Gosched()
		}
		looking.Add(-1)
		return time.Now()
	}
	memory, limits := store.NewMemory(1<<20, now), store.NewLimits(1<<12, now)
	for name, take := range map[string]func(q store.Quota){
		"Limits": func(q store.Quota) { limits.Take(1, keyOf(1), keyOf(1), q) },
		"Memory": func(q store.Quota) { _, _ = memory.Take(t.Context(), "key", q) },
	} {
		overlaps.Store(0)
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for range 500 {
					take(quotaOf(t, 1000, 1, 1000))
				}
			})
		}
		if group.Wait(); overlaps.Load() > 0 {
			t.Errorf("%s: the clock was looked at by several at once %d times", name, overlaps.Load())
		}
	}
}
