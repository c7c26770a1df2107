package store_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/store"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

// roomy is a budget that no test uses up without wanting to.
const roomy = 16 << 20

func TestValues(t *testing.T) {
	t.Parallel()
	for _, value := range []any{"", "text", "with\x00nul", 0.0, -1.5, math.Inf(1), true, false} {
		m := store.NewMemory(roomy, new(clock).now)
		if err := m.Set(t.Context(), "key", value, 0); err != nil {
			t.Errorf("Set(%#v): %v", value, err)
		}
		if got, ok, err := m.Get(t.Context(), "key"); got != value || !ok || err != nil {
			t.Errorf("Get = %#v, %v, %v, want %#v", got, ok, err, value)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	tests := []struct {
		name string
		call func(m *store.Memory) error
		want error
	}{
		{"nil", func(m *store.Memory) error { return m.Set(ctx, "key", nil, 0) }, store.ErrValue},
		{"int", func(m *store.Memory) error { return m.Set(ctx, "key", 1, 0) }, store.ErrValue},
		{"bytes", func(m *store.Memory) error { return m.Set(ctx, "key", []byte("x"), 0) }, store.ErrValue},
		{"negative ttl", func(m *store.Memory) error { return m.Set(ctx, "key", true, -1) }, store.ErrTTL},
		{"large value", func(m *store.Memory) error {
			return m.Set(ctx, "key", strings.Repeat("x", roomy/16-store.Overhead-2), 0)
		}, store.ErrTooLarge},
		{"large key", func(m *store.Memory) error { return m.Set(ctx, strings.Repeat("x", roomy/16), true, 0) }, store.ErrTooLarge},
		{"large addition", func(m *store.Memory) error {
			_, err := m.Add(ctx, "other", strings.Repeat("x", roomy/16), 0)
			return err
		}, store.ErrTooLarge},
		{"increment of a string", func(m *store.Memory) error {
			_, err := m.Incr(ctx, "key", 1, 0, 0)
			return err
		}, store.ErrNotNumber},
		{"increment beyond numbers", func(m *store.Memory) error {
			_, err := m.Incr(ctx, "large", math.MaxFloat64, 0, 0)
			return err
		}, store.ErrNotFinite},
		{"increment from nowhere", func(m *store.Memory) error {
			_, err := m.Incr(ctx, "absent", math.Inf(1), math.Inf(-1), 0)
			return err
		}, store.ErrNotFinite},
		{"limit over a string", func(m *store.Memory) error {
			_, err := m.Take(ctx, "key", quota(t, 1, 1, 0))
			return err
		}, store.ErrNotLimit},
		{"quota that nobody made", func(m *store.Memory) error {
			_, err := m.Take(ctx, "absent", store.Quota{})
			return err
		}, store.ErrQuota},
		{"large limit", func(m *store.Memory) error {
			_, err := m.Take(ctx, strings.Repeat("x", roomy/16), quota(t, 1, 1, 1))
			return err
		}, store.ErrTooLarge},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := store.NewMemory(roomy, new(clock).now)
			must(t, m.Set(ctx, "key", "old", 0))
			must(t, m.Set(ctx, "large", math.MaxFloat64, 0))
			before := m.Bytes()
			if err := test.call(m); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if value, _, _ := m.Get(ctx, "key"); value != "old" {
				t.Errorf("value %v after a refused call, want the old one", value)
			}
			if m.Len() != 2 || m.Bytes() != before {
				t.Errorf("%d entries of %d bytes after a refused call, want 2 of %d", m.Len(), m.Bytes(), before)
			}
		})
	}
}

func TestAbsent(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	m := store.NewMemory(roomy, new(clock).now)
	if value, ok, err := m.Get(ctx, "key"); value != nil || ok || err != nil {
		t.Errorf("Get = %v, %v, %v", value, ok, err)
	}
	if ttl, ok, err := m.TTL(ctx, "key"); ttl != 0 || ok || err != nil {
		t.Errorf("TTL = %v, %v, %v", ttl, ok, err)
	}
	if deleted, err := m.Delete(ctx, "key"); deleted || err != nil {
		t.Errorf("Delete = %v, %v", deleted, err)
	}
	if v, err := m.Take(ctx, "key", quota(t, 1, 5, 0)); !v.Allowed || v.Remaining != 5 || v.Reset != 0 || err != nil || m.Len() != 0 {
		t.Errorf("looking at a limit: %+v, %v, and %d entries", v, err, m.Len())
	}
}

func TestIncr(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), new(clock)
	m := store.NewMemory(roomy, c.now)
	for i, want := range []float64{12, 14, 16} {
		if value, err := m.Incr(ctx, "key", 2, 10, 10*time.Second); value != want || err != nil {
			t.Errorf("call %d: %v, %v, want %v", i, value, err, want)
		}
		c.advance(3 * time.Second)
	}
	if ttl, _, _ := m.TTL(ctx, "key"); ttl != time.Second {
		t.Errorf("increments changed the ttl: %v left, want 1s", ttl)
	}
	c.advance(time.Second)
	if value, err := m.Incr(ctx, "key", 1, 0, 0); value != 1 || err != nil {
		t.Errorf("past the ttl: %v, %v, want 1", value, err)
	}
}

func TestTTL(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), new(clock)
	m := store.NewMemory(roomy, c.now)
	c.advance(time.Hour)
	must(t, m.Set(ctx, "ends", true, 2*time.Second))
	must(t, m.Set(ctx, "endless", true, 0))
	must(t, m.Set(ctx, "far", true, math.MaxInt64))
	c.advance(2*time.Second - 1)
	if ttl, ok, err := m.TTL(ctx, "ends"); ttl != 1 || !ok || err != nil {
		t.Errorf("TTL just before the end = %v, %v, %v", ttl, ok, err)
	}
	if added, err := m.Add(ctx, "ends", 1.0, 0); added || err != nil {
		t.Errorf("Add just before the end = %v, %v", added, err)
	}
	c.advance(1)
	if value, ok, _ := m.Get(ctx, "ends"); ok {
		t.Errorf("Get at the end = %v, want nothing", value)
	}
	if added, err := m.Add(ctx, "ends", 1.0, 0); !added || err != nil {
		t.Errorf("Add at the end = %v, %v", added, err)
	}
	for _, key := range []string{"ends", "endless", "far"} {
		if ttl, ok, err := m.TTL(ctx, key); ttl != 0 || !ok || err != nil {
			t.Errorf("TTL(%q) = %v, %v, %v, want no end", key, ttl, ok, err)
		}
	}
	must(t, m.Set(ctx, "endless", true, time.Second))
	c.advance(time.Second)
	if _, ok, _ := m.Get(ctx, "endless"); ok {
		t.Error("Set did not give a ttl to a key that had none")
	}
}

// TestSweep: nobody asks for what has expired, and it goes nevertheless.
func TestSweep(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), new(clock)
	m := store.NewMemory(roomy, c.now)
	const n = 2000
	for i := range n {
		must(t, m.Set(ctx, fmt.Sprint("short", i), true, time.Second))
	}
	if m.Len() != n {
		t.Fatalf("%d entries, want %d", m.Len(), n)
	}
	c.advance(time.Second)
	for i := range 2 * n {
		must(t, m.Set(ctx, fmt.Sprint("long", i%1000), true, time.Hour))
		// Uses move entries about under the sweep's hand.
		_, _, err := m.Get(ctx, fmt.Sprint("long", i*7%1000))
		must(t, err)
	}
	if m.Len() > 1000+n/10 {
		t.Errorf("%d entries after %d writes, of which 1000 are alive", m.Len(), 2*n)
	}
	c.advance(time.Hour) // the end of all
	if m.SetBudget(0); m.Len() != 0 || m.Displaced() != 0 {
		t.Errorf("%d entries, %d displaced: an expired entry is none", m.Len(), m.Displaced())
	}
}

func TestLeastRecentlyUsedGoes(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	m := store.NewMemory(200*store.Overhead, new(clock).now)
	must(t, m.Set(ctx, "used", "v", 0))
	must(t, m.Set(ctx, "unused", "v", 0))
	const n = 2000
	for i := range n {
		must(t, m.Set(ctx, fmt.Sprint(i), true, 0))
		if _, ok, _ := m.Get(ctx, "used"); !ok {
			t.Fatalf("after %d more entries the one in use is gone", i+1)
		}
	}
	if _, ok, _ := m.TTL(ctx, "unused"); ok {
		t.Error("the entry that was never used is still there")
	}
	if got := m.Displaced() + int64(m.Len()); got != n+2 {
		t.Errorf("%d displaced and %d left, want %d together", m.Displaced(), m.Len(), n+2)
	}
}

func TestSetBudget(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	m := store.NewMemory(roomy, new(clock).now)
	for i := range 1000 {
		must(t, m.Set(ctx, fmt.Sprint(i), "value", 0))
	}
	before := m.Bytes()
	m.SetBudget(before / 2)
	if m.Bytes() > before/2 || m.Bytes() < before/4 || m.Displaced() == 0 {
		t.Errorf("%d bytes after the budget became %d, %d displaced", m.Bytes(), before/2, m.Displaced())
	}
	kept := m.Len()
	m.SetBudget(roomy)
	for i := range 1000 {
		must(t, m.Set(ctx, fmt.Sprint("new", i), "value", 0))
	}
	if m.Len() != kept+1000 {
		t.Errorf("%d entries after the budget grew, want %d", m.Len(), kept+1000)
	}
	for _, budget := range []int64{0, -1} {
		m.SetBudget(budget)
		if m.Len() != 0 || m.Bytes() != 0 {
			t.Errorf("budget %d: %d entries of %d bytes", budget, m.Len(), m.Bytes())
		}
		if err := m.Set(ctx, "k", true, 0); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("budget %d: %v", budget, err)
		}
	}
}

// TestAliases: an entry must not keep the request alive that its key and value
// were cut out of.
func TestAliases(t *testing.T) {
	if !measure.Alone(t) {
		return
	}
	ctx := t.Context()
	m := store.NewMemory(roomy, new(clock).now)
	before := measure.Heap()
	for i := range 32 {
		large := fmt.Sprintf("key%dvalue", i) + strings.Repeat("x", 1<<20)
		must(t, m.Set(ctx, large[:4], large[4:9], 0))
		must(t, m.Set(ctx, large[4:12], large[:8], 0))
		_, err := m.Take(ctx, large[:8], quota(t, 1, 1, 1))
		must(t, err)
	}
	if grown := measure.Heap() - before; grown > 4<<20 {
		t.Errorf("small entries hold %d bytes", grown)
	}
	runtime.KeepAlive(m)
}

// TestOverhead: the budget is about real memory.
func TestOverhead(t *testing.T) {
	if !measure.Alone(t) {
		return
	}
	ctx := t.Context()
	for _, value := range []any{1.5, "abc", "a string of 24 characters"} {
		m := store.NewMemory(64<<20, new(clock).now)
		before := measure.Heap()
		for i := range 58_000 { // just after the map has grown
			must(t, m.Set(ctx, fmt.Sprint("key-", i), value, 0))
		}
		if grown := measure.Heap() - before; grown > m.Bytes()*11/10 {
			t.Errorf("%v: counted %d bytes, the heap grew by %d", value, m.Bytes(), grown)
		}
		runtime.KeepAlive(m)
	}
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := new(clock)
	m := store.NewMemory(64<<10, c.now)
	const goroutines, rounds = 8, 1000
	q := quota(t, 0.1, goroutines*rounds/2, 1) // none comes back meanwhile
	var group sync.WaitGroup
	var allowed atomic.Int64
	for g := range goroutines {
		group.Go(func() {
			for i := range rounds {
				if v, _ := m.Take(ctx, "taken", q); v.Allowed {
					allowed.Add(1)
				}
				_, _ = m.Incr(ctx, "counter", 1, 0, 0)
				// So that it is used, whatever else is going on.
				_ = m.Set(ctx, fmt.Sprint("filler", g, i), strings.Repeat("x", i%100), time.Millisecond)
				_, _ = m.Add(ctx, fmt.Sprint("shared", i), true, 0)
				_, _, _ = m.TTL(ctx, fmt.Sprint("shared", i-1))
				_, _ = m.Delete(ctx, fmt.Sprint("shared", i-2))
				if c.advance(time.Microsecond); i%100 == 0 {
					m.SetBudget(int64(64+g) << 10)
				}
				if bytes := m.Bytes(); bytes > 72<<10 {
					t.Errorf("%d bytes", bytes)
				}
			}
		})
	}
	group.Wait()
	if value, _, _ := m.Get(ctx, "counter"); value != float64(goroutines*rounds) {
		t.Errorf("counter is %v, want %d", value, goroutines*rounds)
	}
	if n := allowed.Load(); n != goroutines*rounds/2 {
		t.Errorf("%d were allowed, want %d", n, goroutines*rounds/2)
	}
}

func TestAllocations(t *testing.T) {
	ctx := context.Background()
	m := store.NewMemory(roomy, time.Now)
	var number any = 1.5
	must(t, m.Set(ctx, "key", number, time.Hour))
	q := quota(t, 1000, 1000, 1)
	_, err := m.Take(ctx, "limit", q)
	must(t, err)
	for name, f := range map[string]func(){
		"Get": func() { _, _, _ = m.Get(ctx, "key") },
		"Set": func() { _ = m.Set(ctx, "key", number, time.Hour) },
		"TTL": func() { _, _, _ = m.TTL(ctx, "key") },
		// A policy asks for each request.
		"Take": func() { _, _ = m.Take(ctx, "limit", q) },
	} {
		if n := measure.Allocations(100, f); n != 0 {
			t.Errorf("%s allocates %d times in 100 runs", name, n)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
