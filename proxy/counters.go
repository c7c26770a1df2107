package proxy

import (
	"sync/atomic"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
)

// serverCounters are counters of the server that are not a tenant's.
type serverCounters struct {
	handshakes atomic.Uint64 // of TLS with clients, that failed
	noHeaders  atomic.Uint64 // connections without a header of the PROXY protocol that is believed
	reloads    atomic.Uint64
	failed     atomic.Uint64
	partial    atomic.Uint64 // reloads after which not every tenant was as asked for
}

// counting counts requests for their tenants.
type counting struct{ server *Server }

// End counts a request.
func (c counting) End(r *exchange.Record) {
	if r.Tenant != nil {
		r.Tenant.Stats.Count(r)
	} else {
		c.server.unrouted.Count(r)
	}
}
