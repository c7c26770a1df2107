package upstream

import "github.com/keystone-gateway/keystone-gateway/upstream/balance"

// tiers are those of the services: as they say, or, where none does, by their order;
// and those of the pool's zone before others.
func (c *PoolConfig) tiers() []int {
	list, said := make([]int, len(c.Services)), false
	for i := range c.Services {
		said = said || c.Services[i].Tier != 0
	}
	for i := range c.Services {
		tier := c.Services[i].Tier
		if !said && c.Zone == "" {
			tier = i
		}
		if list[i] = 2 * tier; c.Zone != "" && c.Services[i].Zone != c.Zone {
			list[i]++
		}
	}
	return list
}

// Key is what a picker finds the target by that goes by keys of targets
// (balance.Sticky): the same in all generations, and in all gateways that have the
// target under the same tenant.
func (t *Target) Key() uint64 { return balance.KeyOf(t.key) }
