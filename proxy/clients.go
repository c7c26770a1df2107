package proxy

import "sync"

// clients is the set of open client connections.
type clients struct {
	mu   sync.Mutex
	open map[*client]struct{}
}

func (s *clients) add(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[*client]struct{})
	}
	s.open[c] = struct{}{}
}

func (s *clients) remove(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

// closeIdle closes those that have been idle since before that time and
// returns how many are left. One to which something has been sent stays; once
// chosen, none can begin a request.
func (s *clients) closeIdle(before int64) int {
	var idle []*client
	s.mu.Lock()
	for c := range s.open {
		if c.idleSince.Load() < before && !c.Sock.Readable() && c.finish() {
			idle = append(idle, c)
		}
	}
	left := len(s.open) - len(idle)
	s.mu.Unlock()
	for _, c := range idle {
		_ = c.end()
	}
	return left
}

// closeAll cuts every connection, and gives up what they wait for.
func (s *clients) closeAll() {
	s.mu.Lock()
	all := make([]*client, 0, len(s.open))
	for c := range s.open {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		c.abandon(faultDrained)
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
