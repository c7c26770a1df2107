package listener_test

import (
	"math/rand/v2"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
)

// member is in a set, or isn't.
type member struct{ listener.Place }

// TestSet: a set has what was added and not removed, whatever the order, each once; to
// remove what isn't there changes nothing.
func TestSet(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var set listener.Set[*member]
	all, want := make([]member, 20), map[*member]bool{}
	for range 2000 {
		c := &all[random.IntN(len(all))]
		if random.IntN(2) == 0 {
			set.Remove(c)
			delete(want, c)
		} else if !want[c] {
			set.Add(c)
			want[c] = true
		}
		left := len(want)
		for got := range set.All() {
			if left--; !want[got] {
				t.Fatal("the set has one that was removed")
			}
		}
		if left != 0 {
			t.Fatalf("of %d members the set has %d more or less", len(want), -left)
		}
	}
	for range set.All() {
		break // which must leave it usable
	}
	set.Add(&member{})
}
