// Package balance chooses between the targets of a pool. A balancer is a file
// here and a line in Algorithms:
//
//	picker := balance.LeastRequest(nil).New(members, nil)
//	target := picker.Pick(0, nil)
//
// What targets are, when they are healthy and how often a request is tried is
// left to others.
package balance

import (
	"math/rand/v2"
	"slices"
)

// Target is what a picker asks of a target while it is used. Targets are
// compared with ==.
type Target interface {
	// Healthy reports whether it may get requests.
	Healthy() bool
	// Active is the number of requests that it is busy with.
	Active() int64
}

// Member is a target and its share of the requests; one of weight 0 gets none.
type Member struct {
	Target Target
	ID     string // the target's own in its set, and the same in the next
	Weight int
	Tier   int // for First: those of lower ones come first
}

// Picker chooses between the members of one set, which never changes: another
// set, or a target that has become healthy or unhealthy, makes another picker.
// Pick may be called concurrently. It doesn't block and doesn't allocate.
type Picker interface {
	// Pick returns the target of an attempt: a healthy one of a weight above 0
	// that isn't among those that the request has tried, or nil where there is
	// none. Requests of the same key, if it isn't 0, belong together; a picker
	// may send them to the same target.
	Pick(key uint64, tried []Target) Target
}

// Algorithm is a way to choose.
type Algorithm struct {
	Name string
	// New makes the picker of a set of at most 65535 members, some of which may
	// be down. before is the one whose place it takes, made by the same
	// algorithm, which may be in use for a while; nil at first.
	New func(members []Member, before Picker) Picker
	// Times says that targets are asked how long they take (Timed), which costs
	// something to know.
	Times bool
}

// Algorithms returns all there are, as they are without settings; the first is the
// default.
func Algorithms() []Algorithm {
	return []Algorithm{
		RoundRobin(),
		LeastRequest(nil),
		PeakEWMA(nil),
		Random(nil),
		Hash(0, nil),
		Sticky(RoundRobin()),
		First(RoundRobin()),
	}
}

// Source gives random numbers, all of whose bits count. It may be called concurrently.
type Source func() uint64

// orDefault is the runtime's source, which takes no lock, where there is none.
func (s Source) orDefault() Source {
	if s == nil {
		return rand.Uint64
	}
	return s
}

// usable reports whether an attempt may use a target of a weight above 0.
func usable(t Target, tried []Target) bool { return !slices.Contains(tried, t) && t.Healthy() }

// KeyOf is a key of a text, never 0, which is the same on all gateways.
func KeyOf[T []byte | string](text T) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	h := uint64(offset)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * prime
	}
	return max(1, Mix(h))
}

// Mix spreads what differs in a few bits over all of them (the finalizer of MurmurHash3).
func Mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
