package lua

import "github.com/keystone-gateway/keystone-gateway/lua/modules"

// Hops is modules.Hopping's: what the requests of this one's scripts carry.
func (c *call) Hops() string {
	if x, ok := c.exchange.(modules.Hopping); ok {
		return x.Hops()
	}
	return "" // while scripts are loaded, and for exchanges that aren't the proxy's
}
