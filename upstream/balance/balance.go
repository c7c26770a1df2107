// Package balance chooses between the targets of a pool. A balancer is a file
// here and a line in Algorithms:
//
//	picker := balance.Algorithms()[0].New(members, nil)
//	target := picker.Pick(0, nil)
//
// What targets are, when they are healthy and how often a request is tried is
// left to others.
package balance

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
}

// Algorithms returns all there are; the first is the default.
func Algorithms() []Algorithm {
	return []Algorithm{
		{"round_robin", newRoundRobin},
	}
}
