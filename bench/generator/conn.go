package generator

import "net"

// conn is a connection to a server. It belongs to one worker at a time.
type conn struct {
	net.Conn
	client         *client
	received, sent int64 // bytes of HTTP
	broken         error // what ended it, the server's closing included
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.received += int64(n)
	if err != nil {
		c.broken = err
	}
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.sent += int64(n)
	if err != nil {
		c.broken = err
	}
	return n, err
}

func (c *conn) Close() error {
	c.client.forget(c)
	return c.Conn.Close()
}
