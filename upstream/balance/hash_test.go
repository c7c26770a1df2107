package balance_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/upstream/balance"
)

// named makes members of these IDs, of weight 1.
func named(n int) []balance.Member {
	members := make([]balance.Member, n)
	for i := range members {
		members[i] = balance.Member{Target: new(target), ID: fmt.Sprintf("tenant\x00http://10.0.%d.%d:8080", i/250, i%250), Weight: 1}
	}
	return members
}

// homes are the IDs of the targets of keys.
func homes(p balance.Picker, members []balance.Member, keys int) []string {
	ids := map[balance.Target]string{}
	for _, m := range members {
		ids[m.Target] = m.ID
	}
	list := make([]string, keys)
	for i := range list {
		list[i] = ids[p.Pick(balance.KeyOf(fmt.Sprint("user-", i)), nil)]
	}
	return list
}

func moved(a, b []string) (n int) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

// TestHashMovement: of a target that leaves, goes down or is drained the keys move, and
// no others; they are spread over all, and come back. One that joins takes its share.
func TestHashMovement(t *testing.T) {
	t.Parallel()
	const keys = 100_000
	a := balance.Hash(0, seeded(1))
	for _, n := range []int{3, 10, 100} {
		members := named(n)
		p := a.New(members, nil)
		before := homes(p, members, keys)
		gone := members[n/2]
		own := 0
		for _, id := range before {
			if id == gone.ID {
				own++
			}
		}
		if share := float64(own) * float64(n) / keys; share < 0.6 || share > 1.4 {
			t.Errorf("%d targets: one has %.2f of its share of the keys", n, share)
		}
		without := slices.Delete(slices.Clone(members), n/2, n/2+1)
		left := homes(a.New(without, p), without, keys)
		members[n/2].Target.(*target).down = true
		down := homes(p, members, keys) // since the picker was made
		downAnew := homes(a.New(members, p), members, keys)
		members[n/2].Target.(*target).down = false
		drained := slices.Clone(members)
		drained[n/2].Weight = 0
		weightless := homes(a.New(drained, p), drained, keys)
		for what, after := range map[string][]string{"left": left, "is down": down, "is down for long": downAnew, "is drained": weightless} {
			if got := moved(before, after); got != own {
				t.Errorf("%d targets: when one %s, %d keys move, want its own %d", n, what, got, own)
			}
			if !slices.Equal(after, left) {
				t.Errorf("%d targets: when one %s, keys go elsewhere than when it has left", n, what)
			}
		}
		counts := map[string]int{}
		for i := range left {
			if before[i] == gone.ID {
				counts[left[i]]++
			}
		}
		if len(counts) < (n-1)*3/4 {
			t.Errorf("%d targets: the keys of one are spread over %d others", n, len(counts))
		}
		if back := homes(a.New(members, p), members, keys); !slices.Equal(before, back) {
			t.Errorf("%d targets: %d keys don't come back", n, moved(before, back))
		}
		more := append(slices.Clone(members), balance.Member{Target: new(target), ID: "tenant\x00http://new:1", Weight: 1})
		joined := homes(a.New(more, p), more, keys)
		for i := range joined {
			if joined[i] != before[i] && joined[i] != "tenant\x00http://new:1" {
				t.Fatalf("%d targets: when one joins, a key moves to another", n)
			}
		}
		if share := float64(moved(before, joined)) * float64(n+1) / keys; share < 0.6 || share > 1.4 {
			t.Errorf("%d targets: one that joins takes %.2f of its share", n, share)
		}
		slices.Reverse(members)
		if other := homes(a.New(members, nil), members, keys); !slices.Equal(before, other) {
			t.Errorf("%d targets: another gateway, with another order, sends %d keys elsewhere", n, moved(before, other))
		}
	}
}

// TestHashIsEven: how evenly keys are shared out, by weight.
func TestHashIsEven(t *testing.T) {
	t.Parallel()
	const keys = 200_000
	members := named(100)
	for i := range members {
		members[i].Weight = 1 + i%3
	}
	counts := map[string]int{}
	for _, id := range homes(balance.Hash(0, nil).New(members, nil), members, keys) {
		counts[id]++
	}
	squares := 0.0
	for _, m := range members {
		share := float64(counts[m.ID]) / (keys * float64(m.Weight) / 199) // 34 × 1 + 33 × 2 + 33 × 3
		squares += (share - 1) * (share - 1)
		if share < 0.5 || share > 1.6 {
			t.Errorf("a target of weight %d has %.2f of its share", m.Weight, share)
		}
	}
	if deviation := math.Sqrt(squares / 100); deviation > 0.15 {
		t.Errorf("shares deviate by %.3f, want 0.15 at most", deviation)
	}
}

// TestHashIsBounded: with a factor, no target is busy with more than that many times its
// share, and what goes beyond goes to the same other target.
func TestHashIsBounded(t *testing.T) {
	t.Parallel()
	const factor = 1.5
	members := named(10)
	p := balance.Hash(factor, seeded(1)).New(members, nil)
	hot := balance.KeyOf("a key that everybody asks for")
	first := p.Pick(hot, nil)
	for n := range 2000 {
		key := hot
		if n%3 == 0 {
			key = balance.KeyOf(fmt.Sprint(n))
		}
		p.Pick(key, nil).(*target).active++
	}
	used := 0
	for _, m := range members {
		active := m.Target.(*target).active
		if bound := factor*2000/10 + 60; float64(active) > bound { // what all are busy with is counted every 32 picks
			t.Errorf("a target is busy with %d, want %v at most", active, bound)
		}
		if active > 150 {
			used++
		}
	}
	if used < 5 {
		t.Errorf("%d targets share the load", used)
	}
	for _, m := range members {
		m.Target.(*target).active = 0
	}
	for range 40 {
		_ = p.Pick(1, nil) // so that it is counted anew
	}
	for range 7 { // few are never too many
		got := p.Pick(hot, nil)
		if got.(*target).active++; got != first {
			t.Fatal("a target with few requests is passed over")
		}
	}
}

// TestHashWithMostDown: where nearly all are down, a key has one target still.
func TestHashWithMostDown(t *testing.T) {
	t.Parallel()
	members := named(200)
	a := balance.Hash(2, seeded(1))
	p := a.New(members, nil)
	for i, m := range members {
		m.Target.(*target).down = i != 7 && i != 100
	}
	counts := map[balance.Target]int{}
	for key := range uint64(2000) {
		got := p.Pick(key+1, nil)
		if got != p.Pick(key+1, nil) || got == nil {
			t.Fatal("a key has two targets, or none")
		}
		counts[got]++
	}
	if counts[members[7].Target] < 700 || counts[members[100].Target] < 700 {
		t.Errorf("two of 200 are up, and have %d and %d of 2000 keys", counts[members[7].Target], counts[members[100].Target])
	}
	if got := p.Pick(5, []balance.Target{members[7].Target, members[100].Target}); got != nil {
		t.Error("there is a target where none will do")
	}
	if balance.KeyOf("") == 0 || balance.KeyOf("a") != balance.KeyOf([]byte("a")) || balance.KeyOf("a") == balance.KeyOf("b") {
		t.Error("keys of texts")
	}
}

func BenchmarkPick(b *testing.B) {
	for _, a := range []balance.Algorithm{balance.RoundRobin(), balance.LeastRequest(nil), balance.PeakEWMA(nil), balance.Random(nil),
		balance.Hash(0, nil), balance.Hash(2, nil), balance.Sticky(balance.RoundRobin()), balance.First(balance.RoundRobin())} {
		for _, n := range []int{3, 100} {
			members := named(n)
			for i := range members {
				members[i].Target = &timed{target: target{active: int64(i%7) + 5}, latency: float64(i) * 1e5}
			}
			p := a.New(members, nil)
			key := balance.KeyOf(members[n/2].ID)
			b.Run(fmt.Sprint(a.Name, "/", n), func(b *testing.B) {
				b.ReportAllocs()
				for i := range b.N {
					k := key
					if a.Name == "hash" {
						k += uint64(i)
					}
					if p.Pick(k, nil) == nil {
						b.Fatal("no target")
					}
				}
			})
		}
	}
}
