package loads

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
)

// failed is a load that has ended.
func failed(tenant string, err error) *Load {
	l := New(lua.Options{Tenant: tenant}, nil, nil)
	l.Err = err
	close(l.done)
	return l
}

var short = lua.BrokenScripts{{Err: errors.New("no time"), Passing: true}}

// TestPauses: what fails again and again is tried again, ever more rarely.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Retries
		again := make(chan struct{}, 1)
		l := failed("a", short)
		var pauses []int
		for range 8 {
			began := time.Now()
			r.Plan(map[string]*Load{"a": l}, func() { again <- struct{}{} })
			if !r.Know(l) || len(r.Due()) > 0 {
				t.Fatal("it is not planned, or due at once")
			}
			<-again
			pauses = append(pauses, int(time.Since(began).Seconds()))
			if due := r.Due(); !slices.Equal(due, []string{"a"}) {
				t.Fatalf("due is %q", due)
			}
			l = failed("a", short)
			if r.Begun(l); !r.Know(l) || len(r.Due()) > 0 {
				t.Fatal("what was begun is not known, or due again")
			}
		}
		if want := []int{1, 2, 4, 8, 16, 32, 60, 60}; !slices.Equal(pauses, want) {
			t.Errorf("the pauses were %d seconds, want %d", pauses, want)
		}
	})
}

// TestWhatIsTriedAgain: only what time or memory was missing for, and nothing at the
// end of the process; a load under way is not planned anew.
func TestWhatIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Retries
		underWay, last := New(lua.Options{Tenant: "c"}, nil, nil), failed("d", short)
		r.Plan(map[string]*Load{"a": failed("a", lua.BrokenScripts{{Err: errors.New("x")}}), "b": failed("b", errors.New("x")), "c": underWay}, func() { t.Error("again") })
		if time.Sleep(time.Hour); len(r.Due()) > 0 {
			t.Errorf("%q are due", r.Due())
		}
		r.Plan(map[string]*Load{"d": last}, nil)
		time.Sleep(time.Hour)
		if due := r.Due(); !slices.Equal(due, []string{"d"}) || r.Know(underWay) || !r.Know(last) || r.Know(failed("d", short)) {
			t.Errorf("due is %q", due)
		}
		r.Plan(nil, func() { t.Error("again") })
		if due := r.Due(); len(due) > 0 {
			t.Errorf("%q are due after a load that went well", due)
		}
	})
}

// TestSoonestFirst: the next try is that of whoever is due first, whatever else is
// under way.
func TestSoonestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Retries
		a := failed("a", short)
		r.Plan(map[string]*Load{"a": a}, func() {})
		time.Sleep(firstRetry)
		begun := New(lua.Options{Tenant: "a"}, nil, nil)
		var again atomic.Int64
		r.Begun(begun)
		all := map[string]*Load{"a": a, "b": failed("b", short)}
		r.Plan(all, func() { again.Add(1) })
		time.Sleep(firstRetry / 2)
		for i := range 20 { // all of them later
			all[fmt.Sprint(i)] = failed(fmt.Sprint(i), short)
		}
		r.Plan(all, func() { again.Add(1) })
		if time.Sleep(firstRetry/2 - 1); again.Load() != 0 {
			t.Error("what is under way is tried again")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if again.Load() != 1 || !slices.Equal(r.Due(), []string{"b"}) {
			t.Errorf("after %d calls, due is %q", again.Load(), r.Due())
		}
	})
}

// TestFewAtOnce: so many are tried again together, first those that have failed less
// often; who can't be begun has its turn with the next plan.
func TestFewAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Retries
		var calls atomic.Int64
		again := func() { calls.Add(1) }
		all := map[string]*Load{}
		r.Plan(map[string]*Load{"-old": failed("-old", short)}, again)
		time.Sleep(firstRetry)
		all["-old"] = failed("-old", short) // for the second time
		for i := range mostRetries {
			name := fmt.Sprint(i)
			all[name] = failed(name, short)
		}
		r.Plan(all, again)
		time.Sleep(time.Minute)
		due := r.Due()
		if slices.Sort(due); !slices.Equal(due, []string{"0", "1", "2", "3"}) {
			t.Fatalf("due is %q", due)
		}
		for _, name := range due {
			l := New(lua.Options{Tenant: name}, nil, nil)
			r.Begun(l)
			all[name] = l
		}
		synctest.Wait()
		calls.Store(0)
		r.Plan(all, again)
		if time.Sleep(time.Minute); calls.Load() > 0 || len(r.Due()) > 0 {
			t.Errorf("more than %d are to be tried again at once: %q", mostRetries, r.Due())
		}
		delete(all, "0") // has loaded well
		r.Plan(all, again)
		if time.Sleep(time.Minute); calls.Load() != 1 || !slices.Equal(r.Due(), []string{"-old"}) {
			t.Errorf("after %d calls, due is %q", calls.Load(), r.Due())
		}
	})
}
