package proxy

import (
	"net/netip"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
)

// owns says whether this process listens at an address, or the store does that it
// shares with others, for its scripts.
func (s *Server) owns(at netip.AddrPort) fetch.Ownership {
	if s.shared.Reaches(at, listener.IsLocal) {
		return fetch.OwnAdmin // whoever writes there decides about limits
	}
	switch s.own.Find(at) {
	case listener.Public:
		return fetch.OwnPublic
	case listener.Operator:
		return fetch.OwnAdmin
	}
	return fetch.NotOwn
}

// reserve adds the listeners that are about to open: scripts are loaded first,
// and another process may listen there until then.
func (s *Server) reserve(c *Config) {
	for i := range c.listeners {
		s.own.Add(c.listeners[i].Address, listener.Public)
	}
	if c.Admin.Enabled {
		s.own.Add(c.Admin.Address, listener.Operator)
	}
}

// unreserve takes back what reserve has said of listeners that are open now.
func (s *Server) unreserve(c *Config) {
	for i := range c.listeners {
		s.own.Remove(c.listeners[i].Address, listener.Public)
	}
}

// Own is where listeners beside the server's add themselves, so that no script
// can reach them.
func (s *Server) Own() *listener.Own { return &s.own }

// Sockets are those of all listeners; nil where none can be handed on.
func (s *Server) Sockets() *listener.Sockets { return s.sockets }

// Tickets are the secrets by which clients' TLS sessions go on; nil where a file has
// them.
func (s *Server) Tickets() map[int64][]byte { return s.tickets.Own() }
