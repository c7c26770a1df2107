package upstream

import "github.com/keystone-gateway/keystone-gateway/upstream/streams"

// Abort gives the call up, from any goroutine: what is parked on its
// connection ends with cause.
func (c *Call) Abort(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.aborted = cause
	if c.sleeping != nil {
		select {
		case c.sleeping.wake <- struct{}{}:
		default:
		}
	}
	switch {
	case c.conn.conn != nil:
		c.conn.conn.Sock.Abort(cause)
	case c.conn.stream != nil:
		c.conn.stream.Abort(cause)
	}
}

// Aborted returns the cause given to Abort, or nil.
func (c *Call) Aborted() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.aborted
}

func (c *Call) attach(conn *Conn) error { return c.attachTo(sending{conn: conn}) }

func (c *Call) attachStream(s *streams.Stream) error { return c.attachTo(sending{stream: s}) }

func (c *Call) attachTo(what sending) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.aborted == nil {
		c.conn = what
	}
	return c.aborted
}

func (c *Call) detach() {
	c.mu.Lock()
	c.conn = sending{}
	c.mu.Unlock()
}
