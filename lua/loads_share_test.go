package lua

import (
	"testing"
)

// TestSharesOfLoads: loads have half of the ceiling at most, a quarter at least, and
// what is left by what is held.
func TestSharesOfLoads(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ ceiling, held, most int64 }{
		{0, 0, 0}, {1000, 0, 500}, {1000, 500, 500}, {1000, 501, 499}, {1000, 750, 250}, {1000, 751, 250}, {1000, 5000, 250},
	} {
		o := NewLoads(func() Budget { return Budget{c.ceiling, c.held} })
		if got := o.most(); got != c.most {
			t.Errorf("of %d with %d held, loads may have %d, want %d", c.ceiling, c.held, got, c.most)
		}
	}
	const mega = 1 << 20
	for _, c := range []struct {
		ceiling, held, bytes int64
		keep, admit          bool
	}{
		{0, 0, mega, true, true}, {100 * mega, 74 * mega, mega, true, true}, {100 * mega, 75 * mega, mega, false, true},
		{800 * mega, 899 * mega, mega, false, true}, {800 * mega, 900 * mega, mega, false, false}, {mega, 100 * mega, smallVM - 1, true, true}, {mega, 100 * mega, smallVM, false, false},
	} {
		o := NewLoads(func() Budget { return Budget{c.ceiling, c.held} })
		if keep, admit := o.keep(c.bytes), o.admit(c.bytes); keep != c.keep || admit != c.admit {
			t.Errorf("%+v: kept %v, admitted %v", c, keep, admit)
		}
	}
	var none *Loads
	if !none.keep(1<<40) || !none.admit(1<<40) || none.lend(nil, 1<<40) != nil {
		t.Error("without loads there is a bound")
	}
	none.begin(nil)
	none.end(nil)
	none.hold(nil)
	none.forget(nil)
}

// TestLoadsThatHoldMost are given up first, those that other loads need.
func TestLoadsThatHoldMost(t *testing.T) {
	t.Parallel()
	o := NewLoads(func() Budget { return Budget{Ceiling: 1000} }) // of which loads have 500
	options := &Options{Tenant: "a", Loads: o}
	options.Config.LoadTimeout = 60e9
	list := make([]*loading, 3)
	for i := range list {
		list[i] = newLoading(options, i == 2)
	}
	small, heavy, again := list[0], list[1], list[2]
	if o.lend(small, 100) != nil || o.lend(heavy, 300) != nil || o.Held() != 400 {
		t.Fatalf("%d bytes are held", o.Held())
	}
	if o.lend(again, 90) != nil || o.Held() != 400 { // which the scripts in use count
		t.Errorf("%d bytes are held besides those of scripts in use", o.Held())
	}
	seen := map[int64]bool{}
	o.Each(99, func(l LoadView) { seen[l.Bytes] = l.Tenant == "a" })
	if len(seen) != 2 || !seen[100] || !seen[300] {
		t.Errorf("got %v", seen)
	}
	seen = map[int64]bool{}
	if o.Each(100, func(l LoadView) { seen[l.Bytes] = true }); len(seen) != 1 || !seen[300] {
		t.Errorf("above 100 bytes: %v", seen)
	}
	if why := o.lend(small, 150); why != nil || !heavy.givenUp.Load() || small.givenUp.Load() || heavy.ctx.Err() == nil {
		t.Errorf("got %v; the heavy one is given up: %v", why, heavy.givenUp.Load())
	}
	if heavy.end() == nil {
		t.Error("the heavy one isn't told")
	}
	if o.end(heavy); o.Held() != 250 {
		t.Errorf("%d bytes are held when it has ended, want 250", o.Held())
	}
	o.asked.Store(0)
	if why := o.lend(small, 400); why == nil || !small.givenUp.Load() {
		t.Errorf("the one that asks is not given up: %v", why)
	}
}
