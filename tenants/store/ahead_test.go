package store_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// fleet is gateways that count one limit together, on a time that the test moves.
type fleet struct {
	clock    clock
	gateways []*store.Ahead
	q        store.Quota
	share    float64
	arrival  int64
	asked    int
}

func newFleet(n int, q store.Quota, share float64) *fleet {
	f := &fleet{q: q, share: share}
	for range n {
		f.gateways = append(f.gateways, store.NewAhead(f.clock.now))
	}
	return f
}

// ask is one request that comes to a gateway.
func (f *fleet) ask(gateway int) store.Verdict {
	a := f.gateways[gateway]
	id := a.Identify("tenant", "limit", []byte("key"), f.q)
	if v, ok := a.Try(id); ok {
		return v
	}
	f.asked++
	asked := a.Begin(id, f.q, f.share)
	var v store.Verdict
	var more int64
	f.arrival, v, more = f.q.Advance(f.arrival, f.clock.now().UnixNano(), asked.Share)
	a.End(asked, v, more)
	return v
}

// TestAheadIsRight: what ten gateways let pass is the limit, to 1 %, whoever of them gets
// the requests, though they ask for few of those.
func TestAheadIsRight(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rate, burst, offered float64 // a second
		seconds              int
		skewed               bool
		mostAsked            float64 // of the requests
	}{
		"far above":           {20_000, 20_000, 200_000, 3, false, 0.1},
		"far above, skewed":   {20_000, 20_000, 200_000, 3, true, 0.1},
		"above":               {20_000, 20_000, 24_000, 10, false, 0.6},
		"below":               {20_000, 20_000, 16_000, 5, false, 0.1},
		"few":                 {10, 20, 200, 100, false, 0.6},
		"large burst":         {100, 10_000, 500, 200, false, 0.9},
		"little at once":      {1000, 10, 5000, 20, true, 0.9},
		"less than a request": {0.5, 1, 20, 400, false, 0.6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q, err := store.NewQuota(c.rate, 1, c.burst, 1)
			if err != nil {
				t.Fatal(err)
			}
			f := newFleet(10, q, 0.001)
			random := rand.New(rand.NewPCG(1, 2))
			offered, allowed := int(c.offered)*c.seconds, 0.0
			for range offered {
				gateway := random.IntN(10)
				if c.skewed && random.IntN(10) > 0 {
					gateway = 0
				}
				if f.ask(gateway).Allowed {
					allowed++
				}
				f.clock.advance(time.Duration(1e9 / c.offered))
			}
			limit := c.burst + c.rate*float64(c.seconds)
			if limit = min(limit, float64(offered)); allowed < 0.99*limit-1 || allowed > 1.01*limit+1 {
				t.Errorf("%v were let pass, want %v", allowed, limit)
			}
			if share := float64(f.asked) / float64(offered); share > c.mostAsked {
				t.Errorf("%.3f of the requests were asked for, want at most %v", share, c.mostAsked)
			}
		})
	}
}

// TestAheadRefuses exactly as long as whoever counts would, and forgets it after a second.
func TestAheadRefuses(t *testing.T) {
	t.Parallel()
	f := newFleet(1, quota(t, 36_000, 1, 1), 0.001) // ten a second
	if v := f.ask(0); !v.Allowed {
		t.Fatal(v)
	}
	for range 10 {
		if v := f.ask(0); v.Allowed || v.RetryAfter != 100*time.Millisecond-time.Duration(f.clock.offset.Load()) || v.Reset < v.RetryAfter {
			t.Errorf("at %v: %+v", time.Duration(f.clock.offset.Load()), v)
		}
		f.clock.advance(10*time.Millisecond - 1)
	}
	if f.asked != 2 {
		t.Errorf("it was asked %d times, want 2", f.asked)
	}
	if f.clock.advance(11); !f.ask(0).Allowed {
		t.Error("it is refused although it needn't wait any more")
	}
	f = newFleet(1, quota(t, 1, 1, 1), 0.001) // one an hour
	f.ask(0)
	for range 30 {
		if v := f.ask(0); v.Allowed || v.RetryAfter < 59*time.Minute {
			t.Error(v)
		}
		f.clock.advance(100 * time.Millisecond)
	}
	if f.asked != 4 {
		t.Errorf("it was asked %d times in 3 s, want 4", f.asked)
	}
}

// TestAheadForgets what it has taken, after a second.
func TestAheadForgets(t *testing.T) {
	t.Parallel()
	f := newFleet(1, quota(t, 3600, 1000, 1), 0.01)
	if v := f.ask(0); !v.Allowed || v.Remaining != 1000-1-9 {
		t.Fatal(v)
	}
	for left := int64(998); left >= 996; left-- {
		if v := f.ask(0); !v.Allowed || v.Remaining != left || f.asked != 1 {
			t.Errorf("asked %d times, %+v, want %d left", f.asked, v, left)
		}
	}
	f.clock.advance(time.Second)
	if v := f.ask(0); !v.Allowed || f.asked != 2 {
		t.Errorf("asked %d times, %+v", f.asked, v)
	}
}

// TestAheadIsApart: what is known of a key is of its tenant, limit and quota alone, and
// with a share of 0 nothing is.
func TestAheadIsApart(t *testing.T) {
	t.Parallel()
	var c clock
	a, q := store.NewAhead(c.now), quota(t, 3600, 1000, 1)
	asked := a.Begin(a.Identify("a", "b", []byte("c"), q), q, 0.1)
	a.End(asked, store.Verdict{Allowed: true}, 99)
	for _, id := range []store.AheadKey{
		a.Identify("x", "b", []byte("c"), q), a.Identify("a", "x", []byte("c"), q), a.Identify("a", "b", []byte("x"), q),
		a.Identify("b", "a", []byte("c"), q), a.Identify("a", "b", []byte("c"), quota(t, 3600, 1000, 2)), a.Identify("a", "b", []byte("c"), quota(t, 3600, 2000, 1)),
	} {
		if v, ok := a.Try(id); ok {
			t.Errorf("%v is known: %+v", id, v)
		}
	}
	id := a.Identify("a", "none", nil, q)
	a.End(a.Begin(id, q, 0), store.Verdict{RetryAfter: time.Hour}, 0)
	if v, ok := a.Try(id); ok {
		t.Errorf("with a share of 0 it is known: %+v", v)
	}
}

// TestAheadOneAsks for more at a time, and an answer that failed leaves nothing behind.
func TestAheadOneAsks(t *testing.T) {
	t.Parallel()
	var c clock
	a, q := store.NewAhead(c.now), quota(t, 3600, 1000, 1)
	id := a.Identify("a", "b", nil, q)
	first, second := a.Begin(id, q, 0.1), a.Begin(id, q, 0.1)
	if first.Share != 0.1 || second.Share != 0 {
		t.Errorf("shares %v and %v, want 0.1 and 0", first.Share, second.Share)
	}
	a.End(second, store.Verdict{Allowed: true}, 7)
	a.End(first, store.Verdict{}, 0)
	if v, ok := a.Try(id); ok {
		t.Errorf("it is known: %+v", v)
	}
	if third := a.Begin(id, q, 0.1); third.Share != 0.1 {
		t.Error("nobody may ask for more any more")
	}
}

func TestAheadAllocates0(t *testing.T) { //nolint:paralleltest // it counts allocations
	f := newFleet(1, quota(t, 3600*1000, 1000, 1), 0.001)
	if n := testing.AllocsPerRun(5000, func() { f.ask(0) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAhead(b *testing.B) {
	a, q, key := store.NewAhead(time.Now), quota(b, 1, 1, 1), []byte("192.0.2.1")
	for b.Loop() {
		id := a.Identify("tenant", "rate_limit:name:abc", key, q)
		if _, ok := a.Try(id); !ok {
			a.End(a.Begin(id, q, 0.001), store.Verdict{RetryAfter: time.Hour}, 0)
		}
	}
}
