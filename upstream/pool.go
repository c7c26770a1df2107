package upstream

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
)

var (
	// ErrNoHealthyTarget says that every target of a pool is down.
	ErrNoHealthyTarget = errors.New("no target of the pool is healthy")
	// ErrDrained says that every target of a pool has weight 0.
	ErrDrained = errors.New("every target of the pool has weight 0")
	// ErrNoOther says that the excluded target is the only healthy one, or that
	// none is.
	ErrNoOther = errors.New("no other target of the pool is healthy")
)

// Pool is a named group of targets and chooses between them: smooth weighted
// round robin, exact under concurrency. Over any run of picks as long as one
// cycle every healthy target gets exactly its share, whichever goroutines pick,
// because they all draw numbers from one counter into one precomputed sequence.
type Pool struct {
	name     string
	timeouts TimeoutsConfig
	members  []*Target // never changed
	weights  []int     // of members
	drained  bool      // all of them are 0

	drawn   atomic.Uint64            // numbers drawn by first picks
	retries atomic.Uint64            // drawn by picks that exclude a target: they don't disturb the others' shares
	order   atomic.Pointer[[]uint16] // one cycle of indexes into members

	mu sync.Mutex // serialises refresh
}

// Name returns the name of the pool, which is its tenant's.
func (p *Pool) Name() string { return p.name }

// Timeouts returns the time-outs of exchanges with the pool's targets.
func (p *Pool) Timeouts() TimeoutsConfig { return p.timeouts }

// Targets returns all targets in the order of the configuration. The caller
// must not change the slice.
func (p *Pool) Targets() []*Target { return p.members }

// Drained reports whether every target has weight 0.
func (p *Pool) Drained() bool { return p.drained }

// Healthy returns the number of healthy targets that requests are shared among:
// those of weight 0 don't count.
func (p *Pool) Healthy() int {
	n := 0
	for i, t := range p.members {
		if p.weights[i] > 0 && t.Healthy() {
			n++
		}
	}
	return n
}

// Pick returns the target for the next request, or ErrNoHealthyTarget, or
// ErrDrained. With exclude set, as for a retry, it returns another one or ErrNoOther. It doesn't
// allocate.
func (p *Pool) Pick(exclude *Target) (*Target, error) {
	order := *p.order.Load()
	if exclude != nil {
		if t := p.scan(order, p.retries.Add(1), exclude); t != nil {
			return t, nil
		}
		return nil, ErrNoOther
	}
	if len(order) == 0 {
		if p.drained {
			return nil, ErrDrained
		}
		return nil, ErrNoHealthyTarget
	}
	n := p.drawn.Add(1) - 1 // so that the first pick is the first target
	if t := p.members[order[n%uint64(len(order))]]; t.Healthy() {
		return t, nil
	}
	if t := p.scan(order, n, nil); t != nil {
		return t, nil
	}
	return nil, ErrNoHealthyTarget
}

// scan is the slow path: the first healthy target from number n on. It serves
// retries, and the moment between a target going down and the next refresh.
func (p *Pool) scan(order []uint16, n uint64, exclude *Target) *Target {
	size := uint64(len(order))
	for i := range size {
		if t := p.members[order[(n+i)%size]]; t != exclude && t.Healthy() {
			return t
		}
	}
	return nil
}

// refresh computes the sequence of the targets that are healthy now. Not for
// the request path.
func (p *Pool) refresh() {
	p.mu.Lock()
	defer p.mu.Unlock()
	weights := make([]int, len(p.members))
	for i, t := range p.members {
		if t.Healthy() {
			weights[i] = p.weights[i]
		}
	}
	order := sequence(weights)
	p.order.Store(&order)
}

// maxDown and maxWhy bound what is said about targets that are down.
const (
	maxDown = 4
	maxWhy  = 160
)

// whyDown names the targets that are down, and why each is.
func (p *Pool) whyDown() string {
	if len(p.members) == 0 {
		return "there are no targets"
	}
	parts := make([]string, 0, maxDown+1)
	for i, t := range p.members {
		if len(parts) == maxDown {
			parts = append(parts, fmt.Sprintf("and %d more", len(p.members)-maxDown))
			break
		}
		parts = append(parts, fmt.Sprintf("%q %s", t.Name(), t.health.why(p.weights[i])))
	}
	return "no target is healthy: " + strings.Join(parts, "; ")
}
