package upstream

import (
	"fmt"
	"sync"
	"syscall"
)

// Places bounds how many connections the process has open besides those of
// clients, since each takes a descriptor: all together, and those of a tenant,
// so that none can take the last ones from the others. A quarter is shared out
// among all tenants, so that each can have its part whatever the others have
// taken: one connection at least, where there are so many. Its methods may be
// called at once; nil bounds nothing.
type Places struct {
	most, ofOne int

	mu     sync.Mutex
	part   int            // of each tenant; guarded by mu, as are those below
	shared int            // what all may have beyond their parts
	taken  map[string]int // by tenant
	all    int
	beyond int // of all: what tenants have beyond their parts
}

// NewPlaces returns so many places, of which a tenant may have three quarters.
func NewPlaces(most int) *Places {
	return &Places{most: most, ofOne: most - most/4, part: 1, shared: most, taken: map[string]int{}}
}

// SetTenants says how many tenants share the places.
func (p *Places) SetTenants(n int) {
	if p == nil || n == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	quarter := p.most / 4
	p.part = max(1, quarter/n)
	p.shared = p.most - min(quarter, n*p.part)
	p.beyond = 0
	for _, taken := range p.taken {
		p.beyond += max(0, taken-p.part)
	}
}

// Take takes a place for a connection of a tenant; giveBack must be called once.
// The error says that the process is short of descriptors.
func (p *Places) Take(tenant string) (giveBack func(), err error) {
	if p == nil {
		return func() {}, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.taken[tenant]
	if p.all >= p.most || taken >= p.ofOne || taken >= p.part && p.beyond >= p.shared {
		return nil, fmt.Errorf("%d connections to targets and of scripts are open, %d of them the tenant's, of at most %d and %d, which the limit on open files leaves, a part of them for each tenant: %w",
			p.all, taken, p.most, p.ofOne, syscall.EMFILE)
	}
	p.all++
	if p.taken[tenant]++; taken >= p.part {
		p.beyond++
	}
	return func() { p.release(tenant) }, nil
}

func (p *Places) release(tenant string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if p.taken[tenant]--; p.taken[tenant] >= p.part {
		p.beyond--
	}
	if p.taken[tenant] == 0 {
		delete(p.taken, tenant)
	}
}
