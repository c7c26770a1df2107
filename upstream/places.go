package upstream

import (
	"fmt"
	"sync"
	"syscall"
)

// Places bounds how many connections the process has open besides those of
// clients, since each takes a descriptor: all together, and those of a tenant,
// so that none can take the last ones from the others. Its methods may be called
// at once; nil bounds nothing.
type Places struct {
	most, ofOne int

	mu    sync.Mutex
	taken map[string]int // by tenant; guarded by mu, as is all
	all   int
}

// NewPlaces returns so many places, of which a tenant may have three quarters.
func NewPlaces(most int) *Places {
	return &Places{most: most, ofOne: most - most/4, taken: map[string]int{}}
}

// Take takes a place for a connection of a tenant; giveBack must be called once.
// The error says that the process is short of descriptors.
func (p *Places) Take(tenant string) (giveBack func(), err error) {
	if p == nil {
		return func() {}, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all >= p.most || p.taken[tenant] >= p.ofOne {
		return nil, fmt.Errorf("%d connections to targets and of scripts are open, %d of them the tenant's, of at most %d and %d, which the limit on open files leaves: %w",
			p.all, p.taken[tenant], p.most, p.ofOne, syscall.EMFILE)
	}
	p.all++
	p.taken[tenant]++
	return func() { p.giveBack(tenant) }, nil
}

func (p *Places) giveBack(tenant string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if p.taken[tenant]--; p.taken[tenant] == 0 {
		delete(p.taken, tenant)
	}
}
