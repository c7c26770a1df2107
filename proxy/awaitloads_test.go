package proxy

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
)

// TestAwaitLoads: all loads are waited for, but those that are slow where there is
// somebody to serve.
func TestAwaitLoads(t *testing.T) {
	t.Parallel()
	const patience = time.Second
	failed := errors.New("broken")
	for _, c := range []struct {
		name     string
		begun    time.Duration   // when all have been begun
		ends     []time.Duration // of each load; 0 is never
		fails    []bool
		patience time.Duration
		others   bool
		want     time.Duration
	}{
		{"none", 0, nil, nil, patience, false, 0},
		{"all are quick", 0, []time.Duration{1, 2}, []bool{false, false}, patience, false, 2},
		{"without patience, all are waited for", 0, []time.Duration{time.Hour, time.Minute}, []bool{false, false}, 0, true, time.Hour},
		{"a slow one, and another has loaded", 0, []time.Duration{1, time.Hour}, []bool{false, false}, patience, false, patience},
		{"a slow one, and another has failed", 0, []time.Duration{1, time.Hour}, []bool{true, false}, patience, false, time.Hour},
		{"a slow one, beside others without scripts", 0, []time.Duration{time.Hour}, []bool{false}, patience, true, patience},
		{"only slow ones", 0, []time.Duration{time.Minute, time.Hour}, []bool{false, false}, patience, false, time.Minute},
		{"patience begins when all have begun", time.Minute, []time.Duration{1, time.Hour}, []bool{false, false}, patience, false, time.Minute + patience},
	} {
		synctest.Test(t, func(t *testing.T) {
			begun, ended := make(chan struct{}), make(chan *scriptsLoad, len(c.ends))
			start := time.Now()
			time.AfterFunc(c.begun, func() { close(begun) })
			for i, end := range c.ends {
				l := &scriptsLoad{}
				if c.fails[i] {
					l.err = failed
				}
				time.AfterFunc(end, func() { ended <- l })
			}
			awaitLoads(len(c.ends), begun, ended, c.patience, c.others)
			if took := time.Since(start); took != c.want {
				t.Errorf("%s: it took %v, want %v", c.name, took, c.want)
			}
			time.Sleep(2 * time.Hour)
		})
	}
}

// TestRetriesAreOrdered: who has failed less often goes first, then who is due for
// longer; and only what failed for want of time or memory is tried again.
func TestRetriesAreOrdered(t *testing.T) {
	t.Parallel()
	early, late := time.Unix(1, 0), time.Unix(2, 0)
	for _, c := range []struct {
		a, b retry
		want int
	}{
		{retry{tries: 1, at: late}, retry{tries: 2, at: early}, -1}, {retry{tries: 2, at: early}, retry{tries: 1, at: late}, 1},
		{retry{tries: 1, at: early}, retry{tries: 1, at: late}, -1}, {retry{tries: 1, at: early}, retry{tries: 1, at: early}, 0},
	} {
		if got := c.a.compare(&c.b); got != c.want {
			t.Errorf("%+v and %+v: %d, want %d", c.a, c.b, got, c.want)
		}
	}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false}, {errors.New("x"), false}, {lua.BrokenScripts{{Err: errors.New("x")}}, false}, {lua.BrokenScripts{{Err: errors.New("x"), Passing: true}}, true}, {lua.BrokenScripts{}, false},
	} {
		if got := (&scriptsLoad{err: c.err}).passing(); got != c.want {
			t.Errorf("%v passes: %v", c.err, got)
		}
	}
}

// TestPlannedRetries: the pause before each is twice as long as the one before, up to
// a minute; a result that is known already begins none.
func TestPlannedRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &Server{}
		s.draining.Store(true) // nothing is begun
		ended := make(chan struct{})
		close(ended)
		passing := lua.BrokenScripts{{Err: errors.New("slow"), Passing: true}}
		for i, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, time.Minute, time.Minute, time.Minute, time.Minute, time.Minute, time.Minute, time.Minute} {
			l := &scriptsLoad{done: ended, err: passing}
			s.planRetries(map[string]*scriptsLoad{"a": l})
			r := s.retries.list["a"]
			if r == nil || r.tries != i+1 || time.Until(r.at) != want || r.of != l || s.retries.timer != nil {
				t.Fatalf("the %d. retry: %+v, want it in %v", i+1, r, want)
			}
			s.planRetries(map[string]*scriptsLoad{"a": l})
			if s.retries.list["a"] != r {
				t.Error("the same failure plans another retry")
			}
		}
		under := &scriptsLoad{done: make(chan struct{})}
		was := s.retries.list["a"]
		if s.planRetries(map[string]*scriptsLoad{"a": under, "b": under}); s.retries.list["a"] != was || s.retries.list["b"] != nil {
			t.Error("a retry that is under way is forgotten, or a load is taken for one")
		}
		if s.planRetries(map[string]*scriptsLoad{"a": {done: ended, err: errors.New("broken")}}); len(s.retries.list) != 0 {
			t.Error("what is broken is tried again")
		}
	})
}
