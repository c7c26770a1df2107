package upstream

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/keystone-gateway/keystone-gateway/upstream/balance"
)

var (
	// ErrNoHealthyTarget says that every target of a pool is down.
	ErrNoHealthyTarget = errors.New("no target of the pool is healthy")
	// ErrDrained says that every target of a pool has weight 0.
	ErrDrained = errors.New("every target of the pool has weight 0")
	// ErrNoOther says that none is healthy but those that the request has tried.
	ErrNoOther = errors.New("no other target of the pool is healthy")
)

// Pool is a named group of targets and who chooses between them.
type Pool struct {
	name      poolName
	timeouts  TimeoutsConfig
	retryOn   grpcSet
	retry     *retryRules // nil: what holds without the section
	algorithm balance.Algorithm

	guard      *guard // nil: nothing is done about targets by how they answer
	introduces bool   // some target is told who clients are

	state atomic.Pointer[state] // loaded once a pick
	mu    sync.Mutex            // serialises replace
}

// state is the targets of a pool at one time. It is immutable, and replaced as
// a whole.
type state struct {
	members []member
	targets []*Target // of members
	drained bool      // all of them have weight 0
	picker  balance.Picker
}

// member is a target with the settings that its pool has for it. The pool's
// generation holds a reference to the target.
type member struct {
	target *Target
	tuned  *tuning
	weight int // in this pool
	tier   int
}

// Name returns the name of the pool, which is unique in its tenant.
func (p *Pool) Name() string { return p.name.pool }

// Tenant returns the name of the pool's tenant.
func (p *Pool) Tenant() string { return p.name.tenant }

// Algorithm returns the name of what chooses between the targets.
func (p *Pool) Algorithm() string { return p.algorithm.Name }

// Timeouts returns the time-outs of exchanges with the pool's targets.
func (p *Pool) Timeouts() TimeoutsConfig { return p.timeouts }

// RetriesRefused returns the number of retries that there was no budget for.
func (p *Pool) RetriesRefused() uint64 {
	if p.retry == nil {
		return 0
	}
	return p.retry.budget.spent.Load()
}

// Targets returns all targets in the order of the configuration. The caller
// must not change the slice.
func (p *Pool) Targets() []*Target { return p.state.Load().targets }

// Healthy returns the number of healthy targets that requests are shared among:
// those of weight 0 don't count.
func (p *Pool) Healthy() int {
	n := 0
	for _, m := range p.state.Load().members {
		if m.weight > 0 && m.target.Well() {
			n++
		}
	}
	return n
}

// Drained reports whether all targets have weight 0, so that no request goes there.
func (p *Pool) Drained() bool { return p.state.Load().drained }

// States are the targets' states in the order of the configuration, with the weights
// that they have in this pool.
func (p *Pool) States() []TargetState {
	members := p.state.Load().members
	list := make([]TargetState, len(members))
	for i, m := range members {
		list[i] = m.target.State()
		list[i].Weight = m.weight
	}
	return list
}

// pick returns the target for the next attempt, or ErrNoHealthyTarget, or
// ErrDrained; or, of a request that has tried some, another one or ErrNoOther.
// It doesn't allocate.
func (p *Pool) pick(key uint64, tried []balance.Target) (*Target, error) {
	s := p.state.Load()
	if t, ok := s.picker.Pick(key, tried).(*Target); ok {
		if t.gate.Load()&(gateTrial|gateRamp) == 0 {
			return t, nil
		}
		if t = p.pickRoomy(s, key, tried, t); t != nil {
			return t, nil
		}
	}
	switch {
	case len(tried) > 0:
		return nil, ErrNoOther
	case s.drained:
		return nil, ErrDrained
	}
	return nil, ErrNoHealthyTarget
}

// Keeps reports whether a first attempt with that key, which balance.KeyOf has made of a
// target's, would go to that target.
func (p *Pool) Keeps(key uint64) bool {
	keeper, ok := p.state.Load().picker.(balance.Keeper)
	return ok && keeper.Keeps(key)
}

// rebuildPicker has the picker reckon with what is healthy now. Not for the request
// path.
func (p *Pool) rebuildPicker() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replaceLocked(p.state.Load().members)
}

// replaceLocked makes members the pool's targets.
func (p *Pool) replaceLocked(members []member) {
	next := &state{members: members, drained: len(members) > 0}
	panics := p.guard.panics(members)
	set := make([]balance.Member, len(members))
	next.targets = make([]*Target, len(members))
	for i, m := range members {
		if p.guard != nil && m.tuned.guard == p.guard {
			if panics {
				m.target.gate.Or(gatePanic)
			} else if m.target.gate.Load()&gatePanic != 0 {
				m.target.gate.And(^gatePanic)
			}
		}
		set[i] = balance.Member{Target: m.target, ID: m.target.key, Weight: m.weight, Tier: m.tier}
		next.targets[i] = m.target
		next.drained = next.drained && m.weight == 0
	}
	var before balance.Picker
	if old := p.state.Load(); old != nil {
		before = old.picker
	}
	next.picker = p.algorithm.New(set, before)
	p.state.Store(next)
}

// maxDown and maxReason bound what is said about targets that are down.
const (
	maxDown   = 4
	maxReason = 160
)

// downReasons names the targets that are down, and why each is.
func (p *Pool) downReasons() string {
	members := p.state.Load().members
	if len(members) == 0 {
		return "there are no targets" + p.ofPool()
	}
	parts := make([]string, 0, maxDown+1)
	for _, m := range members {
		if len(parts) == maxDown {
			parts = append(parts, fmt.Sprintf("and %d more", len(members)-maxDown))
			break
		}
		parts = append(parts, fmt.Sprintf("%q %s", m.target.Name(), m.target.downReason(m.weight)))
	}
	return "no target" + p.ofPool() + " is healthy: " + strings.Join(parts, "; ")
}

// ofPool says in messages which pool it is, where its tenant has others.
func (p *Pool) ofPool() string {
	if p.name.pool == DefaultPool {
		return ""
	}
	return fmt.Sprintf(" of the pool %q", p.name.pool)
}
