package proxy

import (
	"math"
	"syscall"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// Descriptors that clients must leave to others.
const (
	// ownDescriptors are for the admin API, logs, scripts, probes and the like.
	ownDescriptors = 64
	// leastDescriptors are what the process needs by itself.
	leastDescriptors = 24
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
// descriptors are left for targets and scripts, and for the gateway itself, and
// how many of one address. wanted and ofOne are what the configuration says, 0
// for no limit. Which targets there are, a reload changes.
func clampConnections(wanted, ofOne int, descriptors uint64) (most, mostOfOne int) {
	if descriptors == 0 || descriptors > math.MaxInt32 {
		return wanted, ofOne
	}
	all := forConnections(int(descriptors))
	most = max(all-all/4, leastConnections)
	if wanted > 0 && wanted <= most {
		return wanted, ofOne
	}
	if ofOne >= most {
		ofOne = shareOfOne(most)
	}
	return most, ofOne
}

// forConnections is how many of so many descriptors are for connections.
func forConnections(descriptors int) int { return max(0, descriptors-reserved(descriptors)) }

// reserved is how many descriptors are for the gateway itself, pipes included.
func reserved(descriptors int) int {
	return min(ownDescriptors+2*socket.MaxPipes, max(descriptors/4, leastDescriptors))
}

// mostPipes is how many pipes there may be, so that the gateway itself has what
// it needs of what is reserved.
func mostPipes(descriptors uint64) int {
	if descriptors == 0 || descriptors > math.MaxInt32 {
		return socket.MaxPipes
	}
	reserve := reserved(int(descriptors))
	own := min(ownDescriptors, max(leastDescriptors, reserve/2))
	return min(max(0, (reserve-own)/2), socket.MaxPipes)
}

// placesBeside are those for connections to targets and of scripts beside so
// many clients: without a bound of their own, one tenant whose targets are slow
// takes all descriptors, and then nobody is accepted any more.
func placesBeside(clients int, descriptors uint64) *upstream.Places {
	if descriptors == 0 || descriptors > math.MaxInt32 {
		return nil
	}
	return upstream.NewPlaces(max(leastConnections, forConnections(int(descriptors))-clients))
}

// shareOfOne is what one address may have of so many connections by default: not
// all, unless they are very few.
func shareOfOne(connections int) int {
	if connections < 4 {
		return connections
	}
	return connections - max(1, connections/8)
}

// connectionLimits are those of the listener; what they have been lowered to is
// logged.
func (s *Server) connectionLimits(c *Config) (most, ofOne int) {
	limit := descriptors()
	most, ofOne = clampConnections(c.Server.MaxConnections, c.Server.MaxConnectionsPerAddress, limit)
	if most != c.Server.MaxConnections {
		s.log.Warn().Int("max_connections", c.Server.MaxConnections).Int("used", most).Int("per_address", ofOne).Uint64("descriptors", limit).
			Msg("fewer connections are accepted than server.max_connections says: the process may have too few open files (ulimit -n)")
	}
	return most, ofOne
}
