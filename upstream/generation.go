package upstream

import (
	"iter"
	"sync"
	"time"
)

// Generation is the set of pools of one snapshot. It is immutable.
type Generation struct {
	pools    []*Pool
	byName   map[poolName]*Pool
	tuned    map[*Target]*tuning // while it is built
	released bool                // guarded by the registry's lock
}

// poolName is unique in a generation.
type poolName struct{ tenant, pool string }

// members are those of all pools.
func (g *Generation) members() iter.Seq2[*Pool, member] {
	return func(yield func(*Pool, member) bool) {
		for _, p := range g.pools {
			for _, m := range p.state.Load().members {
				if !yield(p, m) {
					return
				}
			}
		}
	}
}

// Pools returns the pools in the order of the configuration. The caller must
// not change the slice.
func (g *Generation) Pools() []*Pool { return g.pools }

// Pool returns the pool DefaultPool of a tenant, or nil.
func (g *Generation) Pool(tenant string) *Pool { return g.Named(tenant, DefaultPool) }

// Named returns a pool of a tenant by its name, or nil.
func (g *Generation) Named(tenant, pool string) *Pool { return g.byName[poolName{tenant, pool}] }

// awaitNames waits until every name was looked up once, at most for limit.
func (g *Generation) awaitNames(limit time.Duration) {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for _, m := range g.members() {
		select {
		case <-m.target.source.Tried():
		case <-m.target.ctx.Done(): // closed, so nobody looks it up
		case <-timeout.C:
			return
		}
	}
}

// goroutines starts and awaits those of one registry.
type goroutines struct {
	crashed func(cause any) // told of a panic, which ends that goroutine only

	mu     sync.Mutex
	closed bool // guarded by mu
	group  sync.WaitGroup
}

// start runs f in a goroutine; false after close.
func (g *goroutines) start(f func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.group.Go(func() {
		defer func() {
			if cause := recover(); cause != nil {
				g.crashed(cause)
			}
		}()
		f()
	})
	return true
}

// close refuses further starts and waits for what runs.
func (g *goroutines) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.group.Wait()
}
