package proxy

import (
	"math"
	"syscall"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// Descriptors that clients must leave to others.
const (
	// ownDescriptors are for the admin API, logs, scripts, probes and the like.
	ownDescriptors = 64
	// leastConnections are served however few descriptors there are.
	leastConnections = 8
)

// descriptors is how many the process may have open; 0 is not known.
func descriptors() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return limit.Cur
}

// clampConnections returns how many connections of clients may be open, so that
// descriptors are left for targets, which have so many places, and for the
// gateway itself, and how many of one address. wanted and ofOne are what the
// configuration says, 0 for no limit.
func clampConnections(wanted, ofOne int, descriptors uint64, places int) (most, mostOfOne int) {
	if descriptors == 0 || descriptors > math.MaxInt32 {
		return wanted, ofOne
	}
	all := int(descriptors)
	all -= min(ownDescriptors+2*socket.MaxPipes, all/4)
	most = max(all-min(places, all/4), leastConnections)
	if wanted > 0 && wanted <= most {
		return wanted, ofOne
	}
	if ofOne >= most {
		ofOne = shareOfOne(most)
	}
	return most, ofOne
}

// shareOfOne is what one address may have of so many connections by default: not
// all, unless they are very few.
func shareOfOne(connections int) int {
	if connections < 4 {
		return connections
	}
	return connections - max(1, connections/8)
}

// targetConnections is how many connections to targets the configuration allows.
func (c *Config) targetConnections() int {
	n := 0
	for i := range c.Tenants {
		n = min(n+c.Tenants[i].Connections.MaxPerTarget*len(c.Tenants[i].Services), math.MaxInt32)
	}
	return n
}

// connectionLimits are those of the listener; what they have been lowered to is
// logged.
func (s *Server) connectionLimits(c *Config) (most, ofOne int) {
	limit := descriptors()
	most, ofOne = clampConnections(c.Server.MaxConnections, c.Server.MaxConnectionsPerAddress, limit, c.targetConnections())
	if most != c.Server.MaxConnections {
		s.log.Warn().Int("max_connections", c.Server.MaxConnections).Int("used", most).Int("per_address", ofOne).Uint64("descriptors", limit).
			Msg("the process may have too few open files (ulimit -n) for server.max_connections, which is lowered")
	}
	return most, ofOne
}
