package clients

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
	size = c.baseOf(size)
	for {
		before := c.base.Load()
		if before == 0 {
			return
		}
		if c.base.CompareAndSwap(before, size) {
			c.server.Memory.Hold(size - before)
			return
		}
	}
}

// baseOf is what a connection of that size holds with what TLS needs.
func (c *client) baseOf(size int64) int64 {
	if c.Secure {
		size += secureSize
	}
	return size
}

// mayAccept reports whether there is memory for one more connection.
func (s *Server) mayAccept() bool { return s.Memory.Allows(awakeSize) }
