package proxy

import "github.com/keystone-gateway/keystone-gateway/lua"

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
