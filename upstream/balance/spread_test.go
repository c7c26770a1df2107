package balance_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/upstream/balance"
)

// seeded is a source that is the same in each run.
func seeded(n uint64) balance.Source {
	r := rand.New(rand.NewPCG(n, 7))
	return r.Uint64
}

// timed is a target that knows how long it takes.
type timed struct {
	target
	latency float64
}

func (t *timed) Latency() float64 { return t.latency }

// randomized are the algorithms that share by weight with the help of chance.
func randomized() []balance.Algorithm {
	return []balance.Algorithm{balance.Random(seeded(1)), balance.LeastRequest(seeded(2)), balance.PeakEWMA(seeded(3)), balance.Hash(0, seeded(4)),
		balance.Sticky(balance.Random(seeded(5))), balance.First(balance.Random(seeded(6)))}
}

// TestSharesByWeight: idle targets get requests by their weights, those of weight 0 none.
func TestSharesByWeight(t *testing.T) {
	t.Parallel()
	const n = 200_000
	for _, a := range randomized() {
		for _, weights := range [][]int{{1}, {1, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, {9, 1}, {1, 0, 3}, {100, 10, 1}, {1000, 1000, 500, 250, 0}} {
			members := set(weights...)
			for i := range members {
				members[i].Target = &timed{latency: 1e6 * (1 + float64(i)/1e9)} // nearly the same
				members[i].ID = fmt.Sprint("tenant\x00http://10.0.0.", i)
			}
			total := 0
			for _, w := range weights {
				total += w
			}
			got := shares(a.New(members, nil), members, n)
			for i, w := range weights {
				want := float64(w) / float64(total)
				allowed := 0.01 // of all requests
				if a.Name == "hash" {
					allowed += 0.25 * want // of its own, which is as even as the ring is
				}
				if math.Abs(got[i]-want) > allowed && a.Name != "peak_ewma" || w == 0 && got[i] > 0 || w > 0 && got[i] == 0 {
					t.Errorf("%s, weights %v: target %d has %.3f of the requests, want %.3f", a.Name, weights, i, got[i], want)
				}
			}
		}
	}
}

// shares are what each member has of n picks without keys.
func shares(p balance.Picker, members []balance.Member, n int) []float64 {
	counts := map[balance.Target]int{}
	for range n {
		counts[p.Pick(0, nil)]++
	}
	list := make([]float64, len(members))
	for i, m := range members {
		list[i] = float64(counts[m.Target]) / float64(n)
	}
	return list
}

// TestRetriesSpread: what one target has failed is spread over all others by weight.
func TestRetriesSpread(t *testing.T) {
	t.Parallel()
	const n = 60_000
	for _, a := range randomized() {
		members := set(5, 1, 2, 1)
		p := a.New(members, nil)
		tried := []balance.Target{members[0].Target}
		counts := map[balance.Target]int{}
		for key := range uint64(n) {
			if a.Name == "hash" { // keys whose own target is the first one
				if p.Pick(key+1, nil) != members[0].Target {
					continue
				}
				counts[p.Pick(key+1, tried)]++
				continue
			}
			counts[p.Pick(0, tried)]++
		}
		all := counts[members[1].Target] + counts[members[2].Target] + counts[members[3].Target]
		for i, want := range []float64{0, 0.25, 0.5, 0.25} {
			if got := float64(counts[members[i].Target]) / float64(all); math.Abs(got-want) > 0.12 || i == 0 && got > 0 {
				t.Errorf("%s: retries go to target %d for %.2f, want %.2f", a.Name, i, got, want)
			}
		}
	}
}

// TestLessBusyGetsMore: of targets one of which is slow, that one gets less.
func TestLessBusyGetsMore(t *testing.T) {
	t.Parallel()
	for _, a := range []balance.Algorithm{balance.LeastRequest(seeded(1)), balance.PeakEWMA(seeded(2))} {
		// Each target answers after so many rounds; in each, one request comes.
		takes := []int{2, 2, 2, 40}
		members := set(1, 1, 1, 1)
		p := a.New(members, nil)
		counts := make([]int, len(members))
		ends := map[int][]*target{}
		for round := range 40_000 {
			for _, ended := range ends[round] {
				ended.active--
			}
			delete(ends, round)
			picked := p.Pick(0, nil)
			for i, m := range members {
				if m.Target == picked {
					counts[i]++
					at := m.Target.(*target)
					at.active++
					ends[round+takes[i]] = append(ends[round+takes[i]], at)
				}
			}
		}
		if share := float64(counts[3]) / 40_000; share > 0.07 || counts[0] < 10_000 {
			t.Errorf("%s: the slow target has %.3f of the requests, of %v", a.Name, share, counts)
		}
	}
}

// TestBusyByWeight: what a target is busy with counts by its weight.
func TestBusyByWeight(t *testing.T) {
	t.Parallel()
	members := set(10, 1)
	members[0].Target.(*target).active, members[1].Target.(*target).active = 9, 1
	if got := shares(balance.LeastRequest(seeded(1)).New(members, nil), members, 1000); got[0] < 0.95 {
		t.Errorf("a target of weight 10 that is busy with 9 has %.2f, beside one of weight 1 that is busy with 1", got[0])
	}
	members[0].Target.(*target).active = 11
	if got := shares(balance.LeastRequest(seeded(1)).New(members, nil), members, 10_000); got[1] < 0.15 {
		t.Errorf("beside one that is busy with more for its weight a target has %.2f", got[1])
	}
}

// TestFasterGetsMore: of two the one that has answered faster lately is taken; one that
// has not answered yet gets a first request, and no second one before it has answered.
func TestFasterGetsMore(t *testing.T) {
	t.Parallel()
	fast, slow := &timed{latency: 1e6}, &timed{latency: 9e6}
	members := []balance.Member{{Target: fast, ID: "a", Weight: 1}, {Target: slow, ID: "b", Weight: 1}}
	p := balance.PeakEWMA(seeded(1)).New(members, nil)
	if got := shares(p, members, 10_000); got[0] < 0.8 {
		t.Errorf("the fast one has %.2f", got[0])
	}
	fast.active = 20
	if got := shares(p, members, 10_000); got[1] < 0.8 {
		t.Errorf("beside a busy one, the slow one has %.2f", got[1])
	}
	fast.active, fast.latency = 0, 0
	if got := shares(p, members, 10_000); got[0] < 0.8 {
		t.Errorf("one that has not answered yet has %.2f", got[0])
	}
	fast.active = 1
	if got := shares(p, members, 10_000); got[0] > 0.2 {
		t.Errorf("one that has a first request has %.2f", got[0])
	}
}

// TestFirst: the targets of a tier get all, until none of them will do.
func TestFirst(t *testing.T) {
	t.Parallel()
	members := set(1, 3, 0, 1, 1)
	for i, tier := range []int{1, 1, 0, 2, 5} {
		members[i].Tier = tier
	}
	a := balance.First(balance.RoundRobin())
	p := a.New(members, nil)
	down := func(i int, is bool) { members[i].Target.(*target).down = is; p = a.New(members, p) }
	expect := func(what string, want ...float64) {
		t.Helper()
		for i, share := range shares(p, members, 400) {
			if math.Abs(share-want[i]) > 0.001 {
				t.Errorf("%s: target %d has %.3f, want %.3f", what, i, share, want[i])
			}
		}
	}
	expect("all healthy", 0.25, 0.75, 0, 0, 0)
	down(1, true)
	expect("one of the first tier is down", 1, 0, 0, 0, 0)
	down(0, true)
	expect("the first tier is down", 0, 0, 0, 1, 0)
	members[3].Target.(*target).down = true // since the picker was made
	expect("the second too", 0, 0, 0, 0, 1)
	down(0, false)
	expect("the first is back", 1, 0, 0, 0, 0)
	if got := p.Pick(0, []balance.Target{members[0].Target}); got != members[4].Target {
		t.Error("a retry doesn't go on to the next tier")
	}
}

// TestSticky: a request goes where its key says, if that will do.
func TestSticky(t *testing.T) {
	t.Parallel()
	members := set(1, 1, 0, 1)
	a := balance.Sticky(balance.RoundRobin())
	p := a.New(members, nil)
	key := func(i int) uint64 { return balance.KeyOf(members[i].ID) }
	for range 5 {
		if p.Pick(key(1), nil) != members[1].Target || p.Pick(key(3), nil) != members[3].Target {
			t.Fatal("a key doesn't lead to its target")
		}
	}
	if p.Pick(key(1), []balance.Target{members[1].Target}) == members[1].Target {
		t.Error("a retry goes where it has failed")
	}
	members[1].Target.(*target).down = true
	p = a.New(members, p)
	keeper := p.(balance.Keeper)
	seen := map[balance.Target]bool{}
	for range 10 {
		seen[p.Pick(key(1), nil)] = true
		seen[p.Pick(key(2), nil)] = true // drained
	}
	if len(seen) != 2 || !seen[members[0].Target] || !seen[members[3].Target] {
		t.Error("keys of targets that won't do aren't shared between the others")
	}
	if keeper.Keeps(key(1)) || keeper.Keeps(key(2)) || keeper.Keeps(99) || !keeper.Keeps(key(3)) {
		t.Error("it keeps what it doesn't, or doesn't what it does")
	}
}
