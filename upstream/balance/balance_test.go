package balance_test

import (
	"fmt"
	"hash/maphash"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/test/measure"
	"github.com/keystone-gateway/keystone-gateway/upstream/balance"
)

type target struct {
	down   bool
	active int64
}

func (t *target) Healthy() bool { return !t.down }
func (t *target) Active() int64 { return t.active }

// set makes members with these weights, all healthy.
func set(weights ...int) []balance.Member {
	members := make([]balance.Member, len(weights))
	for i, w := range weights {
		members[i] = balance.Member{Target: new(target), ID: fmt.Sprint(i), Weight: w}
	}
	return members
}

// leastRequest and rendezvous show what a further balancer takes.
type leastRequest []balance.Member

func (p leastRequest) Pick(_ uint64, tried []balance.Target) (best balance.Target) {
	for _, m := range p {
		if usable(m, tried) && (best == nil || m.Target.Active() < best.Active()) {
			best = m.Target
		}
	}
	return best
}

type rendezvous struct {
	members []balance.Member
	seed    maphash.Seed
}

func (p rendezvous) Pick(key uint64, tried []balance.Target) (best balance.Target) {
	highest := uint64(0)
	for _, m := range p.members {
		if score := maphash.String(p.seed, m.ID) ^ key; usable(m, tried) && (best == nil || score > highest) {
			best, highest = m.Target, score
		}
	}
	return best
}

func usable(m balance.Member, tried []balance.Target) bool {
	for _, t := range tried {
		if t == m.Target {
			return false
		}
	}
	return m.Weight > 0 && m.Target.Healthy()
}

var seed = maphash.MakeSeed()

func algorithms() []balance.Algorithm {
	return append(balance.Algorithms(),
		balance.Algorithm{Name: "least_request, of the test", New: func(m []balance.Member, _ balance.Picker) balance.Picker {
			return leastRequest(m)
		}},
		balance.Algorithm{Name: "rendezvous, of the test", New: func(m []balance.Member, _ balance.Picker) balance.Picker {
			return rendezvous{m, seed}
		}})
}

// TestContract holds every algorithm to what Picker promises.
func TestContract(t *testing.T) {
	t.Parallel()
	for _, a := range algorithms() {
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			members := set(3, 0, 1, 2)
			picker := a.New(members, nil)
			at := func(i int) *target { return members[i].Target.(*target) }
			expect := func(what string, tried []balance.Target, allowed ...int) {
				t.Helper()
				for key := range uint64(50) {
					got := picker.Pick(key, tried)
					ok := got == nil && len(allowed) == 0
					for _, i := range allowed {
						ok = ok || got == members[i].Target
					}
					if !ok {
						t.Fatalf("%s: got %v, want one of the members %v", what, got, allowed)
					}
				}
			}
			expect("all healthy", nil, 0, 2, 3)
			expect("one tried", []balance.Target{at(0)}, 2, 3)
			expect("two tried", []balance.Target{at(3), at(0)}, 2)
			expect("all tried", []balance.Target{at(3), at(0), at(2)})
			at(0).down = true // since the picker was made
			expect("one down", nil, 2, 3)
			expect("one down, one tried", []balance.Target{at(3)}, 2)
			picker = a.New(members, picker)
			expect("the next set, one down", nil, 2, 3)
			at(0).down = false
			picker = a.New(members, picker)
			expect("the next set, all healthy again", []balance.Target{at(2), at(3)}, 0)
			picker = a.New(members[:2], picker)
			expect("a smaller set", nil, 0)
			picker = a.New(nil, picker)
			expect("an empty set", nil)
			picker = a.New(set(0, 0), nil)
			expect("nothing but weights of 0", nil)
		})
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	for _, a := range balance.Algorithms() {
		members := set(3, 2, 1)
		picker := a.New(members, nil)
		tried := []balance.Target{members[0].Target}
		if n := measure.Allocations(1000, func() {
			_ = picker.Pick(7, nil)
			_ = picker.Pick(7, tried)
		}); n != 0 {
			t.Errorf("%s: two picks allocate %d times in 1000 runs, want 0", a.Name, n)
		}
	}
}

// TestRoundRobinGoesOn: another set takes the turns on where they were, so that
// targets that come and go don't send everybody to the first one.
func TestRoundRobinGoesOn(t *testing.T) {
	t.Parallel()
	a := balance.Algorithms()[0]
	members := set(1, 1, 1)
	picker := a.New(members, nil)
	for i := range 9 {
		if got := picker.Pick(0, nil); got != members[i%3].Target {
			t.Errorf("pick %d isn't the target whose turn it is", i)
		}
		picker = a.New(members, picker)
	}
}
