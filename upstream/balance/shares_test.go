package balance_test

import (
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/upstream/balance"
)

// picks returns the targets of n picks as letters.
func picks(members []balance.Member, n int) string {
	picker := balance.Algorithms()[0].New(members, nil)
	var order strings.Builder
	for range n {
		got := picker.Pick(0, nil)
		for i, m := range members {
			if m.Target == got {
				order.WriteByte(byte('a' + i))
			}
		}
	}
	return order.String()
}

// TestRoundRobinSpreads: the order of smooth weighted round robin, as nginx has
// it: a heavy target isn't picked several times in a row where that can be
// avoided, and the cycle is as short as the weights allow.
func TestRoundRobinSpreads(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		weights []int
		cycle   string
	}{
		{[]int{1}, "a"},
		{[]int{7}, "a"},
		{[]int{1, 1, 1}, "abc"},
		{[]int{4, 4, 0, 4}, "abd"},
		{[]int{5, 1, 1}, "aabacaa"},
		{[]int{50, 10, 10}, "aabacaa"},
		{[]int{0, 5, 1, 1}, "bbcbdbb"},
		{[]int{2, 1}, "aba"},
		{[]int{1, 2}, "bab"},
		{[]int{3, 2}, "ababa"},
		{[]int{6, 4}, "ababa"},
		{[]int{4, 3, 2, 1}, "abcabdacba"},
	} {
		if got := picks(set(c.weights...), 2*len(c.cycle)); got != c.cycle+c.cycle {
			t.Errorf("weights %v: got %s, want %s twice", c.weights, got, c.cycle)
		}
	}
	if long := strings.Repeat("aabacaa", 10_000); picks(set(5, 1, 1), len(long)) != long {
		t.Error("weights 5, 1 and 1: the order changes after a while")
	}
}

// TestRoundRobinWithLargeWeights: proportions hold where a cycle of the exact
// weights would be too long, and nobody's share is none.
func TestRoundRobinWithLargeWeights(t *testing.T) {
	t.Parallel()
	const n = 65536
	for _, c := range []struct {
		weights []int
		least   []int // of n picks, each
	}{
		{[]int{65535, 1}, []int{65535, 1}}, // just as long as is allowed
		{[]int{3_000_000, 1_000_000}, []int{49152, 16384}},
		{[]int{1_000_000, 1, 0}, []int{65534, 1, 0}},
		{[]int{1_000_000, 1_000_001}, []int{32767, 32767}},
	} {
		order := picks(set(c.weights...), n)
		for i, least := range c.least {
			if got := strings.Count(order, string(rune('a'+i))); got < least || least <= 1 && got > least {
				t.Errorf("weights %v: target %d gets %d of %d picks, want %d, and of large ones no less", c.weights, i, got, n, least)
			}
		}
	}
	// One more than is allowed is scaled down.
	if order := picks(set(65536, 1), 2*n); strings.Count(order, "b") < 2 {
		t.Error("a cycle is longer than 65,536 picks")
	}
}

// TestRetriesTakeNobodysTurn: what is picked after a failure doesn't move the
// turns of first picks, and neither do targets that are down meanwhile.
func TestRetriesTakeNobodysTurn(t *testing.T) {
	t.Parallel()
	members := set(1, 1, 1, 1)
	picker := balance.Algorithms()[0].New(members, nil)
	retried := map[balance.Target]int{}
	for i := range 12 {
		if got := picker.Pick(0, nil); got != members[i%4].Target {
			t.Errorf("pick %d isn't the target whose turn it is", i)
		}
		retried[picker.Pick(0, []balance.Target{members[0].Target})]++
	}
	for _, m := range members[1:] {
		if retried[m.Target] < 3 {
			t.Errorf("retries aren't spread: one target had %d of 12", retried[m.Target])
		}
	}
	members[1].Target.(*target).down = true // since the picker was made
	for i, want := range []int{0, 2, 2, 3, 0, 2, 2, 3} {
		if got := picker.Pick(0, nil); got != members[want].Target {
			t.Errorf("pick %d with the second target down: got %v, want target %d, the next one", i, got, want)
		}
	}
}
