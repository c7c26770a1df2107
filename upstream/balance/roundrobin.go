package balance

import "sync/atomic"

// roundRobin is smooth weighted round robin, exact under concurrency. Over any
// run of picks as long as one cycle every healthy target gets exactly its share,
// whichever goroutines pick, because they all draw numbers from one counter into
// one precomputed sequence.
type roundRobin struct {
	members []Member
	order   []uint16 // one cycle of indexes into members: those that were healthy
	turns   *turns
}

// turns go on from set to set.
type turns struct {
	drawn   atomic.Uint64 // numbers drawn by first picks
	retries atomic.Uint64 // drawn by later ones: they don't disturb the others' shares
}

// RoundRobin gives each target its share in turn. It is the default: it is exact, and
// right where requests cost about the same.
func RoundRobin() Algorithm { return Algorithm{Name: "round_robin", New: newRoundRobin} }

func newRoundRobin(members []Member, before Picker) Picker {
	p := &roundRobin{members: members}
	if before, ok := before.(*roundRobin); ok {
		p.turns = before.turns
	} else {
		p.turns = new(turns)
	}
	weights := make([]int, len(members))
	for i, m := range members {
		if m.Target.Healthy() {
			weights[i] = m.Weight
		}
	}
	p.order = sequence(weights)
	return p
}

func (p *roundRobin) Pick(_ uint64, tried []Target) Target {
	if len(p.order) == 0 {
		return nil
	}
	if len(tried) > 0 {
		return p.scan(p.turns.retries.Add(1), tried)
	}
	n := p.turns.drawn.Add(1) - 1 // so that the first pick is the first target
	if t := p.members[p.order[n%uint64(len(p.order))]].Target; t.Healthy() {
		return t
	}
	return p.scan(n, nil)
}

// scan is the slow path: the first target from number n on that will do. It
// serves retries, and the moment between a target going down and the next set.
func (p *roundRobin) scan(n uint64, tried []Target) Target {
	size := uint64(len(p.order))
	for i := range size {
		if t := p.members[p.order[(n+i)%size]].Target; usable(t, tried) {
			return t
		}
	}
	return nil
}

// maxSequence bounds the length of a cycle: 128 KiB a pool.
const maxSequence = 65536

// sequence returns one cycle of smooth weighted round robin: each index i as
// often as weights[i], divided by their greatest common divisor, spread as
// evenly as can be. An index of weight 0 doesn't appear. Where the cycle would
// be longer than maxSequence the weights are scaled down, none below 1. There
// are at most 65536 weights.
func sequence(weights []int) []uint16 {
	weights = scale(weights)
	total, largest := 0, 0
	for _, w := range weights {
		total += w
		largest = max(largest, w)
	}
	order := make([]uint16, 0, total)
	if largest == 1 { // equal weights: no need for n² steps
		for i, w := range weights {
			if w == 1 {
				order = append(order, uint16(i))
			}
		}
		return order
	}
	current := make([]int, len(weights))
	for range total {
		best := -1
		for i, w := range weights {
			current[i] += w
			if w > 0 && (best < 0 || current[i] > current[best]) {
				best = i
			}
		}
		current[best] -= total
		order = append(order, uint16(best))
	}
	return order
}

// scale returns the weights with the same proportions and the shortest cycle.
func scale(weights []int) []int {
	total := 0
	for _, w := range weights {
		total += w
	}
	scaled := make([]int, len(weights))
	for i, w := range weights {
		scaled[i] = w
		if w > 0 && total > maxSequence {
			scaled[i] = max(1, w*maxSequence/total)
		}
	}
	divisor := 0
	for _, w := range scaled {
		divisor = gcd(divisor, w)
	}
	for i := range scaled {
		scaled[i] /= max(divisor, 1)
	}
	return scaled
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
