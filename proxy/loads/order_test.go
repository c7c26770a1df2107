package loads

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
)

// TestSoonestOfThoseThatFailedAsOften: among those that have failed as often, who has
// waited for longer goes first, whatever its name.
func TestSoonestOfThoseThatFailedAsOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Retries
		all, want := map[string]*Load{}, []string{}
		for i := range mostRetries + 2 {
			name := fmt.Sprint(9 - i)
			all[name] = failed(name, short)
			want = append(want, name)
			r.Plan(all, nil)
			time.Sleep(time.Millisecond)
		}
		if time.Sleep(firstRetry); !slices.Equal(r.Due(), want[:mostRetries]) {
			t.Errorf("due is %q, want %q", r.Due(), want[:mostRetries])
		}
		begun := New(lua.Options{Tenant: want[0]}, nil, nil)
		r.Begun(begun)
		if due := r.Due(); !slices.Equal(due, want[1:mostRetries]) {
			t.Errorf("beside one that is under way, due is %q", due)
		}
		if !r.Know(begun) || !r.Know(all[want[0]]) || r.Know(New(lua.Options{Tenant: want[0]}, nil, nil)) {
			t.Error("the retry isn't known, or what isn't the retry is")
		}
	})
}

// TestDueAtItsTime: a retry is due when its pause is over, not before.
func TestDueAtItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Retries
		r.Plan(map[string]*Load{"a": failed("a", short)}, nil)
		if time.Sleep(firstRetry - 1); len(r.Due()) > 0 {
			t.Error("it is due too soon")
		}
		if time.Sleep(time.Nanosecond); len(r.Due()) != 1 {
			t.Error("it isn't due at its time")
		}
	})
}

// TestPausesDontGrowForEver: who has failed a hundred times is tried again after the
// longest pause.
func TestPausesDontGrowForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Retries
		for range 100 {
			r.Plan(map[string]*Load{"a": failed("a", short)}, nil)
		}
		if time.Sleep(longestRetry - 1); len(r.Due()) > 0 {
			t.Error("it is due too soon")
		}
		if time.Sleep(time.Nanosecond); len(r.Due()) != 1 {
			t.Error("it isn't due after the longest pause")
		}
	})
}

// TestAPlanReplacesTheOneBefore: nothing is called for what was planned before, and
// nothing for a tenant whose scripts are being loaded already, by whomever.
func TestAPlanReplacesTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Retries
		var calls, stale atomic.Int64
		a := failed("a", short)
		r.Plan(map[string]*Load{"a": a}, func() { stale.Add(1) })
		time.Sleep(firstRetry / 2)
		underWay := New(a.Options, nil, nil) // by a reload
		r.Plan(map[string]*Load{"a": underWay}, func() { stale.Add(1) })
		if time.Sleep(time.Hour); stale.Load() != 0 {
			t.Error("a tenant's scripts are tried again while they are being loaded")
		}
		if !r.Know(a) || r.Know(underWay) {
			t.Error("what was planned is forgotten while another load is under way")
		}
		underWay.Err = short
		close(underWay.done)
		began := time.Now()
		again := make(chan time.Duration, 1)
		r.Plan(map[string]*Load{"a": underWay}, func() { calls.Add(1); again <- time.Since(began) })
		if pause := <-again; pause != 2*firstRetry {
			t.Errorf("after the second failure the pause is %v", pause)
		}
		r.Plan(map[string]*Load{"a": underWay}, func() { calls.Add(1) }) // is due, and wasn't begun
		if synctest.Wait(); calls.Load() != 2 {
			t.Errorf("%d calls, want 2", calls.Load())
		}
		r.Plan(nil, func() { stale.Add(1) })
		if time.Sleep(time.Hour); stale.Load() != 0 || calls.Load() != 2 {
			t.Error("called after all have loaded well")
		}
	})
}

// TestSoonestIsCalledFor: of several that are planned, the first one's time counts,
// whichever the order in which they are looked at.
func TestSoonestIsCalledFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 20 { // the order of a map
			var r Retries
			all := map[string]*Load{}
			for _, name := range []string{"a", "b", "c"} {
				all[name] = failed(name, short)
				r.Plan(all, nil)
				time.Sleep(100 * time.Millisecond)
			}
			began, again := time.Now(), make(chan time.Duration, 1)
			r.Plan(all, func() { again <- time.Since(began) })
			if pause := <-again; pause != firstRetry-300*time.Millisecond {
				t.Fatalf("called after %v", pause)
			}
		}
	})
}
