package proxy

import "github.com/keystone-gateway/keystone-gateway/lua"

// What a connection holds besides buffers that grow, in bytes, as measured.
const (
	// sleepSize is a connection that sleeps, and awakeSize one with a goroutine.
	sleepSize = 2 << 10
	awakeSize = 8 << 10
	// secureSize is the state of TLS, with the record that is being read.
	secureSize = 40 << 10
)

// rebase says what the connection itself holds from now on; once it has ended,
// it holds nothing.
func (c *client) rebase(size int64) {
	if c.Secure {
		size += secureSize
	}
	for {
		before := c.base.Load()
		if before == 0 {
			return
		}
		if c.base.CompareAndSwap(before, size) {
			c.server.unrouted.Memory.Hold(size - before)
			return
		}
	}
}

// mayAccept reports whether there is memory for one more connection.
func (s *Server) mayAccept() bool { return s.unrouted.Memory.Allows(awakeSize) }

const (
	// ceilingShare, in eighths, of the memory that the process may use is for what
	// is held; garbage and the collector need the rest.
	ceilingShare = 5
	// tenantShare of the ceiling is what one tenant's requests may hold.
	tenantShare = 4
)

// limitMemory sets the limits of a snapshot.
func (s *Server) limitMemory(snap *snapshot) {
	ceiling := s.ceilingOf(snap.config)
	s.memory.SetCeiling(ceiling)
	s.unrouted.Memory.SetLimit(ceiling / tenantShare)
	for _, t := range snap.tenants {
		limit := t.Config.MaxClientMemory.Int64()
		if limit == 0 {
			limit = ceiling / tenantShare
		}
		t.Stats.Memory.SetLimit(limit)
	}
}

// ceilingOf is server.max_memory, resolved.
func (s *Server) ceilingOf(c *Config) int64 {
	if ceiling := c.Server.MaxMemory.Int64(); ceiling != 0 {
		return ceiling
	}
	return s.available / 8 * ceilingShare
}

// loadBudget is what loads of scripts have to do with.
func (s *Server) loadBudget() lua.Budget {
	b := lua.Budget{Ceiling: s.memory.Ceiling(), Held: s.memory.Used()}
	if snap := s.current.Load(); snap != nil {
		for _, scripts := range snap.scripts {
			b.Held += scripts.Memory()
		}
	}
	return b
}
