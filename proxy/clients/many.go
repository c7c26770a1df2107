package clients

import (
	"net"

	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/http2/streams"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// A connection of HTTP/2 carries many streams, which are served by a streams.Conn. It
// is chosen by ALPN, or by how a connection without TLS begins, and sleeps as one of
// HTTP/1 does: while its goroutine has it, it is busy.

// ProtocolMany is the name of HTTP/2 in ALPN.
const ProtocolMany = "h2"

// takesMany reports whether a connection that ALPN has chosen nothing for is one of
// HTTP/2: whether that is what the head says that was read first, where it is spoken
// without TLS.
func (c *client) takesMany() bool {
	return c.many.Load() != nil ||
		c.Protocols&listener.HTTP2 != 0 && !c.Secure && c.headErr == nil && string(c.head) == http2.PrefaceHead
}

// serveMany is what fasthttp calls where ALPN has chosen HTTP/2.
func (s *Server) serveMany(conn net.Conn) error {
	c := clientOf(conn)
	if !c.broken {
		c.runMany()
		c.linger()
	}
	return nil
}

// runMany serves the streams of a connection until it ends or dozes.
func (c *client) runMany() {
	defer func() {
		if cause := recover(); cause != nil {
			c.server.Plane.LogPanic(cause)
		}
	}()
	many := c.many.Load()
	switch {
	case many == nil:
		c.state.CompareAndSwap(clientIdle, clientBusy)
		many = c.beginMany()
	case !c.state.CompareAndSwap(clientIdle, clientBusy):
		return // somebody else closes it
	}
	c.served = 1 // it may sleep
	if c.woken {
		c.headAt = socket.Nanotime()
		c.noteSleep()
	}
	switch many.Serve() {
	case streams.Drowsy:
		c.markIdle(many.IdleSince())
		c.doze()
	case streams.Linger:
		c.endWriting()
		c.lingers = true
	}
}

// beginMany goes on with what has been read: the preface, as far as it looks like a
// head, is in it where ALPN hasn't chosen.
func (c *client) beginMany() *streams.Conn {
	left := http2.Preface
	if c.served > 0 {
		left = http2.Preface[len(http2.PrefaceHead):]
	}
	many := streams.New(&c.server.Streams, streams.Options{
		Conn: c.Conn.Conn, Sock: c.Sock, Client: &c.who, Read: c.reader.Take(), Preface: left,
		Patience:     func() (int64, bool) { return c.patience(c.server.Limits.Load()) },
		Ending:       c.ending,
		MostRequests: func() int { return c.Listener().Settings().MaxRequests },
	})
	c.reader.Release()
	c.head = nil
	c.many.Store(many)
	return many
}

// leaveMany has a connection of HTTP/2 end once its streams have.
func (c *client) leaveMany() {
	if c.state.CompareAndSwap(clientAsleep, clientIdle) {
		c.resume()
	}
	c.many.Load().Leave()
}
