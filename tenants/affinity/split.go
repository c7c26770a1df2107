package affinity

import (
	"math"
)

// Split shares requests out among several, such as pools, by weight: those that belong
// together always to the same one.
type Split struct {
	key  Key
	seed uint64
	list []part
}

type part struct {
	index  int
	weight float64
	seed   uint64
}

// NewSplit returns a split without parts. The salt, such as a route's place, has two
// splits draw independently of each other.
func NewSplit(key Key, salt string) *Split { return &Split{key: key, seed: hashOf([]byte(salt))} }

// Add adds a part under its name. One of weight 0 gets nothing.
func (s *Split) Add(name string, index, weight int) {
	if weight > 0 {
		s.list = append(s.list, part{index, float64(weight), hashOf([]byte(name))})
	}
}

// Pick returns the index of the part that a request belongs to. A request that doesn't
// have what requests are told apart by goes by its client's address, and where that
// isn't known either, by chance: random is asked. When weights change, no more requests
// change sides than have to (weighted rendezvous hashing).
func (s *Split) Pick(r *Request, scratch []byte, random func() uint64) (index int, used []byte) {
	key, scratch := s.key.Of(r, scratch)
	if key == 0 {
		key = clientKey(r.Client)
	}
	if key == 0 {
		key = random()
	}
	highest := math.Inf(-1)
	for i := range s.list {
		p := &s.list[i]
		u := (float64(mix(key^s.seed^p.seed)>>11) + 0.5) / (1 << 53) // between 0 and 1, neither of them
		if score := p.weight / -math.Log(u); score > highest {
			highest, index = score, p.index
		}
	}
	return index, scratch
}
