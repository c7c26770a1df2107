package upstream_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/test/measure"
	"github.com/keystone-gateway/keystone-gateway/upstream"
	"github.com/keystone-gateway/keystone-gateway/upstream/balance"
)

// weighted activates one pool of targets a, b, c… that are never probed.
func weighted(t testing.TB, weights ...int) *upstream.Pool {
	t.Helper()
	r := upstream.NewRegistry(upstream.Options{Dial: newNetwork().Dial})
	t.Cleanup(r.Close)
	c := upstream.PoolConfig{Name: "tenant"}
	for i, w := range weights {
		c.Services = append(c.Services, upstream.ServiceConfig{
			Name: string(rune('a' + i)), URL: fmt.Sprintf("http://10.0.%d.%d", i/256, i%256), Weight: w,
		})
	}
	g, err := r.Build([]upstream.PoolConfig{c})
	if err != nil {
		t.Fatal(err)
	}
	r.Activate(g)
	return g.Pool("tenant")
}

func TestPickIsSmooth(t *testing.T) {
	for _, c := range []struct {
		weights []int
		cycle   string // up to rotation
	}{
		{[]int{1}, "a"},
		{[]int{7}, "a"},
		{[]int{1, 1, 1}, "abc"},
		{[]int{1000, 1000}, "ab"},
		{[]int{5, 1, 1}, "aabacaa"},
		{[]int{50, 10, 10}, "aabacaa"},
		{[]int{2, 1}, "aba"},
		{[]int{4, 2}, "aba"},
		{[]int{3, 2, 1}, "abacba"},
	} {
		p := weighted(t, c.weights...)
		var got strings.Builder
		for range 3 * len(c.cycle) {
			target, err := p.Pick(nil)
			if err != nil {
				t.Fatal(err)
			}
			got.WriteString(target.Name())
		}
		if !strings.Contains(strings.Repeat(c.cycle, 5), got.String()) {
			t.Errorf("weights %v: got %s, expected %s over and over", c.weights, got.String(), c.cycle)
		}
	}
}

func TestPickIsExactUnderConcurrency(t *testing.T) {
	const pickers, cycles = 8, 400
	for _, weights := range [][]int{{1, 1}, {3, 2, 1}, {100, 10, 1}, {1, 2, 3, 4, 5, 6, 7, 8}} {
		p := weighted(t, weights...)
		cycle := 0
		for _, w := range weights {
			cycle += w
		}
		counts := make([]map[string]int, pickers)
		var group sync.WaitGroup
		for i := range pickers {
			counts[i] = map[string]int{}
			group.Go(func() {
				for range cycle * cycles / pickers {
					target, err := p.Pick(nil)
					if err != nil {
						t.Error(err)
						return
					}
					counts[i][target.Name()]++
				}
			})
		}
		group.Wait()
		for i, w := range weights {
			name, total := string(rune('a'+i)), 0
			for _, c := range counts {
				total += c[name]
			}
			if total != w*cycles {
				t.Errorf("weights %v: %s got %d of %d picks, expected exactly %d", weights, name, total, cycle*cycles, w*cycles)
			}
		}
	}
}

func TestPickScalesLongCycles(t *testing.T) {
	weights := make([]int, 200)
	for i := range weights {
		weights[i] = 1000 - i
	}
	weights[199] = 1
	p := weighted(t, weights...)
	seen := map[*upstream.Target]int{}
	for range 65536 + 200 { // a whole cycle, and a third of an unscaled one
		target, err := p.Pick(nil)
		if err != nil {
			t.Fatal(err)
		}
		seen[target]++
	}
	targets := p.Targets()
	if len(seen) != 200 || seen[targets[0]] <= seen[targets[100]] || seen[targets[199]] == 0 {
		t.Errorf("got %d targets, shares %d, %d, %d; expected 200 targets with falling shares",
			len(seen), seen[targets[0]], seen[targets[100]], seen[targets[199]])
	}
}

func TestPickExcludes(t *testing.T) {
	p := weighted(t, 2, 1)
	a, b := p.Targets()[0], p.Targets()[1]
	for range 6 {
		if got, err := p.Pick(a); got != b || err != nil {
			t.Fatalf("without a: got %v, %v; expected b", got, err)
		}
	}
	down := errors.New("refused")
	b.MarkConnectFailure(down) // counts at once, before the sequence follows
	if got, err := p.Pick(a); !errors.Is(err, upstream.ErrNoOther) {
		t.Errorf("without a, b down: got %v, %v; expected ErrNoOther", got, err)
	}
	for range 6 {
		if got, err := p.Pick(nil); got != a || err != nil {
			t.Fatalf("b down: got %v, %v; expected a", got, err)
		}
	}
	a.MarkConnectFailure(down)
	if got, err := p.Pick(nil); !errors.Is(err, upstream.ErrNoHealthyTarget) {
		t.Errorf("all down: got %v, %v; expected ErrNoHealthyTarget", got, err)
	}
	if got, err := p.Pick(a); !errors.Is(err, upstream.ErrNoOther) {
		t.Errorf("all down, without a: got %v, %v; expected ErrNoOther", got, err)
	}
	if _, err := weighted(t).Pick(nil); !errors.Is(err, upstream.ErrNoHealthyTarget) {
		t.Errorf("no targets: got %v, expected ErrNoHealthyTarget", err)
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	p := weighted(t, 3, 2, 1)
	tried := []balance.Target{p.Targets()[0]}
	if n := measure.Allocations(1000, func() {
		target, _ := p.Pick(nil)
		if target.Begin() {
			target.End()
		}
		_, _ = p.PickOther(tried)
	}); n != 0 {
		t.Errorf("a pick, begin and end allocate %d times in 1000 runs, expected 0", n)
	}
}

func BenchmarkPick(b *testing.B) {
	p := weighted(b, 5, 3, 1)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := p.Pick(nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A retry must not take the turn of the next pick: whoever retries often would
// skew the shares of all others.
func TestRetriesTakeNoTurns(t *testing.T) {
	t.Parallel()
	p := weighted(t, 1, 1, 1)
	var got strings.Builder
	for range 6 {
		first, err := p.Pick(nil)
		if err != nil {
			t.Fatal(err)
		}
		other, err := p.Pick(first)
		if err != nil || other == first {
			t.Fatalf("a retry gets %v, %v", other, err)
		}
		got.WriteString(first.Name())
	}
	if got.String() != "abcabc" {
		t.Errorf("first picks are %s, want abcabc", got.String())
	}
}

// As many requests as connections and places in the queue, and not one more.
func TestInFlightLimit(t *testing.T) {
	t.Parallel()
	r := upstream.NewRegistry(upstream.Options{Dial: newNetwork().Dial})
	t.Cleanup(r.Close)
	c := upstream.PoolConfig{Name: "tenant", Services: services("http://10.0.0.1")}
	c.Connections = upstream.ConnectionsConfig{MaxPerTarget: 3, MaxPending: 2}
	target := start(t, r, c).Pools()[0].Targets()[0]
	for i := range 5 {
		if !target.Begin() {
			t.Fatalf("request %d is refused, want 5 admitted", i+1)
		}
	}
	if target.Begin() {
		t.Error("a sixth request is admitted")
	}
	target.End()
	if !target.Begin() || target.Begin() || target.InFlight.Load() != 5 {
		t.Errorf("after one has ended, want one more to be admitted; %d are in flight", target.InFlight.Load())
	}
}

// A pool picks by the algorithm that it is given, which sees what was tried.
func TestPoolPicksByItsAlgorithm(t *testing.T) {
	t.Parallel()
	r := upstream.NewRegistry(upstream.Options{Dial: newNetwork().Dial})
	t.Cleanup(r.Close)
	c := upstream.PoolConfig{Name: "tenant", Services: services("http://10.0.0.1", "http://10.0.0.2", "http://10.0.0.3")}
	c.Balance.New = func(members []balance.Member, _ balance.Picker) balance.Picker { return leastBusy(members) }
	p := start(t, r, c).Pools()[0]
	for i, target := range append(p.Targets(), p.Targets()...) {
		if got, err := p.Pick(nil); got != target || err != nil || !got.Begin() {
			t.Fatalf("pick %d: %v, %v; want the least busy", i, got, err)
		}
	}
	p.Targets()[1].End()
	if got, err := p.Pick(nil); got != p.Targets()[1] || err != nil {
		t.Errorf("got %v, %v; want the one that has become idle", got, err)
	}
	if got, err := p.Pick(p.Targets()[1]); got != p.Targets()[0] || err != nil {
		t.Errorf("after the idle one was tried: %v, %v; want the first", got, err)
	}
}

type leastBusy []balance.Member

func (p leastBusy) Pick(_ uint64, tried []balance.Target) (best balance.Target) {
	for _, m := range p {
		if !slices.Contains(tried, m.Target) && (best == nil || m.Target.Active() < best.Active()) {
			best = m.Target
		}
	}
	return best
}
