package proxy

import (
	"slices"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
)

// clients is the set of open client connections.
type clients struct{ listener.Set[*client] }

// closeIdle closes those that have been idle since before that time and
// returns how many are left. One to which something has been sent stays; once
// chosen, none can begin a request.
func (s *clients) closeIdle(before int64) (left int) {
	var idle []*client
	for c := range s.All() {
		if c.idleSince.Load() < before && !c.Sock.Readable() && c.finish() {
			idle = append(idle, c)
		} else {
			left++
		}
	}
	for _, c := range idle {
		_ = c.end()
	}
	return left
}

// closeAll cuts every connection, and gives up what they wait for.
func (s *clients) closeAll() {
	for _, c := range slices.Collect(s.All()) {
		c.abort(exchange.Drained)
		_ = c.end()
	}
}

// finish ends a client that isn't busy, for the caller to close.
func (c *client) finish() bool {
	for _, state := range []int32{clientIdle, clientDozing, clientAsleep} {
		if c.state.CompareAndSwap(state, clientEnded) {
			return true
		}
	}
	return false
}
