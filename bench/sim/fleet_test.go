package sim_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/sim"
)

// TestFleets: in all that docs/fleet.md shows, shortened, what passes is right to 1 %, but
// for what a burst of a few requests can't say.
func TestFleets(t *testing.T) {
	t.Parallel()
	for _, f := range sim.Fleets(time.Second) {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			scale := max(1, f.Offered/100_000)
			f.Offered /= scale // a test may not take long
			if f.Keys > 1 {
				f.Keys = max(1, int(float64(f.Keys)/scale))
			} else {
				f.Rate, f.Burst = int64(float64(f.Rate)/scale), int64(float64(f.Burst)/scale)
			}
			r, err := f.Run()
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(r.Error()) > 0.01 || r.Passed == 0 || r.Requests != int64(f.Offered) {
				t.Errorf("%d of %d have passed, want %d: %.2f %%", r.Passed, r.Requests, r.Exact, 100*r.Error())
			}
			if f.Share > 0 && f.Keys == 1 && r.Asked > r.Requests/3 {
				t.Errorf("the store was asked %d times about %d requests", r.Asked, r.Requests)
			}
		})
	}
}

// TestFailover: while the store hangs each gateway counts by itself, a few requests wait,
// and afterwards all is as it was.
func TestFailover(t *testing.T) {
	t.Parallel()
	f := sim.Failover(100_000)
	r, err := f.Run()
	if err != nil {
		t.Fatal(err)
	}
	if r.Waited == 0 || float64(r.Waited) > 0.03*f.Offered*2 {
		t.Errorf("%d requests have waited", r.Waited)
	}
	share := func(from, to time.Duration) float64 {
		var passed, all int64
		for _, m := range r.Steps[from/f.Step : to/f.Step] {
			passed, all = passed+m.Passed, all+m.Requests
		}
		return float64(passed) / float64(all)
	}
	before, during, after := share(time.Second*3/2, 2*time.Second), share(2*time.Second, 4*time.Second), share(5500*time.Millisecond, 6*time.Second)
	if math.Abs(before-0.5) > 0.02 || math.Abs(after-0.5) > 0.02 || during < 0.9 {
		t.Errorf("%.3f have passed before, %.3f while it hung, %.3f afterwards, want 0.5, all, 0.5", before, during, after)
	}
	if text := f.Plot(r); !strings.Contains(text, "the limit") {
		t.Error("the plot has no limit")
	}
}

// TestTable has a line for each.
func TestTable(t *testing.T) {
	t.Parallel()
	f := &sim.Fleet{Name: "few", Gateways: 2, Offered: 1000, Keys: 2, Rate: 10, Burst: 10, Duration: time.Second}
	text, err := sim.Table([]*sim.Fleet{f}, 10*time.Microsecond)
	if err != nil || !strings.Contains(text, "\n| few | 38 | 38 | +0.00 % |") {
		t.Errorf("got %v\n%s", err, text)
	}
	for _, wrong := range []*sim.Fleet{{}, {Gateways: 1, Keys: 1, Offered: 1, Duration: 1}} {
		if _, err := sim.Table([]*sim.Fleet{wrong}, 0); err == nil {
			t.Errorf("%+v: no error", wrong)
		}
	}
}
