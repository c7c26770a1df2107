package upstream

// Abort gives the call up, from any goroutine: what is parked on its
// connection ends with cause.
func (c *Call) Abort(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.aborted = cause
	if c.conn != nil {
		c.conn.Sock.Abort(cause)
	}
}

// Aborted returns the cause given to Abort, or nil.
func (c *Call) Aborted() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.aborted
}

func (c *Call) attach(conn *Conn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.aborted == nil {
		c.conn = conn
	}
	return c.aborted
}

func (c *Call) detach() {
	c.mu.Lock()
	c.conn = nil
	c.mu.Unlock()
}
