package upstream

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// Conn is a connection to a target. It is kept in the target's HostClient
// between requests and belongs to one Call at a time.
type Conn struct {
	net.Conn // TLS or plain: what HTTP is spoken on

	// Sock is the socket beneath: expiries, abort, the peer's state.
	Sock *socket.Conn
	// Reader buffers what the target sends.
	Reader http1.Reader

	giveBack    func(reusable bool) // back to the HostClient; made once a connection
	used        bool                // it has served a request before
	connectTime time.Duration
}

// newConn wraps a freshly opened connection: a socket, or TLS on one.
func newConn(conn net.Conn, connectTime time.Duration) *Conn {
	c := &Conn{Conn: conn, Sock: socketOf(conn), connectTime: connectTime}
	c.Reader.Reset(conn)
	return c
}

// socketOf returns the socket beneath what connect returned.
func socketOf(conn net.Conn) *socket.Conn {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	return conn.(*socket.Conn) //nolint:forcetypeassert // connect makes no other
}

// Close closes the connection; the HostClient calls it too, when the
// connection has idled for too long.
func (c *Conn) Close() error {
	return c.Sock.Close() // a TLS close_notify could block, and is of no use to HTTP
}

// acquire returns a kept connection that is still good, or a new one. wait
// bounds both the dialling and the queueing for a place.
func (t *Target) acquire(wait time.Duration) (*Conn, error) {
	client := t.Client()
	for {
		kept, err := client.AcquireConn(wait, false)
		if err != nil {
			return nil, err
		}
		c := kept.Conn().(*Conn) //nolint:forcetypeassert // our dialler makes no other
		if c.giveBack == nil {
			c.giveBack = func(reusable bool) {
				if reusable {
					client.ReleaseConn(kept)
				} else {
					client.CloseConn(kept)
				}
			}
		}
		// The target may have closed a kept connection, or sent bytes nobody
		// asked for: an answer that must not reach another request.
		if !c.used || c.Reader.Buffered() == 0 && c.Sock.Quiet() {
			return c, nil
		}
		c.giveBack(false)
	}
}

// release gives the connection back to its target.
func (c *Conn) release(reusable bool) {
	c.Sock.SetReadExpiry(0)
	c.Sock.SetWriteExpiry(0)
	c.Reader.Release()
	c.used = true
	c.giveBack(reusable)
}

// send writes a request and reads the first bytes of the answer into the
// reader. It returns how much was written.
func (c *Conn) send(out []byte) (written int, err error) {
	if c.Conn != net.Conn(c.Sock) { // TLS
		return c.Write(out)
	}
	written, n, err := c.Sock.SendReceive(out, c.Reader.Space())
	c.Reader.FilledBy(n)
	return written, err
}

// isOverflow tells "no place among the connections" from a failed dial.
func isOverflow(err error) bool {
	return errors.Is(err, fasthttp.ErrNoFreeConns) || errors.Is(err, fasthttp.ErrTimeout)
}

// isLocal tells a shortage on this machine, which is no fault of the target.
func isLocal(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) ||
		errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
}
