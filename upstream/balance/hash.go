package balance

import (
	"math/bits"
	"slices"
	"sync/atomic"
)

// Hash sends requests of one key to one target: consistent hashing on a ring. When a
// target leaves or goes down, its keys alone go elsewhere, spread over all others, and
// they come back with it; when one joins, it takes its share from each. What is healthy
// doesn't change the ring, so that a target which comes and goes costs nothing.
//
// With a factor, no target gets a request while it is busy with more than that many
// times its share of all that are in progress (consistent hashing with bounded loads,
// Mirrokni et al.), eight at least; the key's request then goes on along the ring. 0 is
// no bound. A request without a key goes anywhere.
func Hash(factor float64, source Source) Algorithm {
	source = source.orDefault()
	return Algorithm{Name: "hash", New: func(members []Member, before Picker) Picker {
		old, _ := before.(*hash)
		return newHash(members, factor, source, old)
	}}
}

type hash struct {
	members []Member // of weights above 0
	ring    *ring
	factor  float64
	source  Source
	weights float64 // of all members

	looks atomic.Uint64 // at sum
	sum   atomic.Int64  // of what all are busy with, lately
}

// ring is where the members' points are, in order.
type ring struct {
	points []uint64
	owners []uint16 // indexes into the members, of each point
	starts []uint32 // of the points with the same upper bits: the first one that isn't below
	shift  int      // how many bits are not upper ones
}

const (
	// pointsEach is how many points a member of the largest weight has: with 256,
	// members of the same weight have the same share within some 15 %.
	pointsEach = 256
	// mostPoints bounds the points of a ring: where there are many members, each has
	// fewer.
	mostPoints = 1 << 18
	// boundFrom is the number of requests below which no target is full.
	boundFrom = 8
	// longestWalk bounds how far along the ring a target is looked for.
	longestWalk = 64
	// sumEvery is how often what all are busy with is counted anew.
	sumEvery = 32
)

func newHash(all []Member, factor float64, source Source, old *hash) *hash {
	p := &hash{factor: factor, source: source}
	for _, m := range all {
		if m.Weight > 0 {
			p.members = append(p.members, m)
			p.weights += float64(m.Weight)
		}
	}
	same := func(a, b Member) bool { return a.ID == b.ID && a.Weight == b.Weight }
	if old != nil && slices.EqualFunc(old.members, p.members, same) {
		p.ring = old.ring
	} else {
		p.ring = newRing(p.members)
	}
	return p
}

func newRing(members []Member) *ring {
	heaviest := 0
	for _, m := range members {
		heaviest = max(heaviest, m.Weight)
	}
	each := pointsEach
	for each > 4 && each*len(members) > mostPoints {
		each /= 2 // by halves, so that it seldom changes
	}
	type point struct {
		at    uint64
		owner uint16
	}
	var all []point
	for i, m := range members {
		seed := KeyOf(m.ID)
		for j := range max(1, each*m.Weight/heaviest) {
			all = append(all, point{Mix(seed + uint64(j)*0x9e3779b97f4a7c15), uint16(i)})
		}
	}
	slices.SortFunc(all, func(a, b point) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return int(a.owner) - int(b.owner)
	})
	r := &ring{points: make([]uint64, len(all)), owners: make([]uint16, len(all))}
	for i, p := range all {
		r.points[i], r.owners[i] = p.at, p.owner
	}
	r.index()
	return r
}

// index makes starts, about one for each point.
func (r *ring) index() {
	upper := bits.Len(uint(len(r.points)))
	r.shift = 64 - upper
	r.starts = make([]uint32, 1<<upper)
	at := 0
	for i := range r.starts {
		for at < len(r.points) && r.points[at]>>r.shift < uint64(i) {
			at++
		}
		r.starts[i] = uint32(at)
	}
}

// find is the first point that isn't below at, or the first of all.
func (r *ring) find(at uint64) int {
	i := int(r.starts[at>>r.shift])
	for i < len(r.points) && r.points[i] < at {
		i++
	}
	if i == len(r.points) {
		return 0
	}
	return i
}

func (p *hash) Pick(key uint64, tried []Target) Target {
	if len(p.members) == 0 {
		return nil
	}
	if key == 0 {
		key = p.source()
	}
	key = Mix(key)
	owners := p.ring.owners
	for i, steps := p.ring.find(key), 0; steps < min(longestWalk, len(owners)); steps++ {
		m := &p.members[owners[i]]
		if usable(m.Target, tried) && !p.full(m) {
			return m.Target
		}
		if i++; i == len(owners) {
			i = 0
		}
	}
	return p.anyway(key, tried)
}

// full reports whether a target is busy with more than its bound.
func (p *hash) full(m *Member) bool {
	if p.factor == 0 {
		return false
	}
	active := m.Target.Active()
	return active >= boundFrom && float64(active+1) > p.factor*float64(p.busy()+1)*float64(m.Weight)/p.weights
}

// busy is about how many requests all targets are busy with.
func (p *hash) busy() int64 {
	if p.looks.Add(1)%sumEvery != 1 {
		return p.sum.Load()
	}
	sum := int64(0)
	for i := range p.members {
		sum += p.members[i].Target.Active()
	}
	p.sum.Store(sum)
	return sum
}

// anyway is the slow path, where most targets are down or full: of those that will do
// the one with the highest score of this key (rendezvous hashing), full or not.
func (p *hash) anyway(key uint64, tried []Target) (best Target) {
	highest := uint64(0)
	for i := range p.members {
		m := &p.members[i]
		if score := Mix(key ^ KeyOf(m.ID)); usable(m.Target, tried) && (best == nil || score > highest) {
			best, highest = m.Target, score
		}
	}
	return best
}
