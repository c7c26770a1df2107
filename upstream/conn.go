package upstream

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
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
	born        int64               // socket.Nanotime
	until       int64               // when the target is about to close it, unused; 0 is never
	served      bool                // a request has ended on it
	used        bool                // it was there before this request
	dirty       bool                // it must not serve another one
	connectTime time.Duration

	// Of one that began with a header of the PROXY protocol: see introduced.
	header    []byte
	era       int
	idleSince int64
}

// newConn wraps a freshly opened connection: a socket, or TLS on one.
func newConn(conn net.Conn, connectTime time.Duration) *Conn {
	c := &Conn{Conn: conn, Sock: socketOf(conn), born: socket.Nanotime(), connectTime: connectTime}
	c.Reader.Acquire = memory.AcquireMedium
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
// bounds both the dialling and the queueing for a place, from now on. unchecked
// leaves it to send to find out whether a plain connection is good, which saves
// a system call.
func (t *Target) acquire(wait time.Duration, unchecked bool, now int64) (*Conn, error) {
	client := t.Client()
	for {
		kept, err := client.AcquireConn(wait, false)
		if err != nil {
			return nil, err
		}
		c := kept.Conn().(*Conn) //nolint:forcetypeassert // our dialler makes no other
		if c.giveBack == nil {
			c.giveBack = func(reusable bool) {
				// A reload may have replaced the client: its connections go.
				if reusable && client == t.Client() && !t.retired.Load() {
					client.ReleaseConn(kept)
				} else {
					client.CloseConn(kept)
				}
			}
		}
		// One that was dialled while this request waited is new, unless it came
		// from another one that has ended since. HostClient also keeps
		// connections that it has dialled for a request which has given up:
		// those are looked at like any other.
		c.used = c.served || c.born < now
		if !c.used || !c.expired(now) && (unchecked && c.isPlain() && c.Reader.Buffered() == 0 || c.quiet()) {
			return c, nil
		}
		c.giveBack(false)
	}
}

// quiet reports whether a kept connection may be used: the target may have
// closed it, or sent bytes nobody asked for, an answer that must not reach
// another request. TLS may hold such bytes where the socket shows none.
func (c *Conn) quiet() bool {
	if c.Reader.Buffered() > 0 || !c.Sock.Quiet() {
		return false
	}
	if c.isPlain() {
		return true
	}
	var one [1]byte
	c.Sock.ExpireReads()
	n, err := c.Read(one[:])
	c.Sock.SetReadExpiry(0)
	return n == 0 && errors.Is(err, socket.ErrTimeout)
}

func (c *Conn) isPlain() bool { return c.Conn == net.Conn(c.Sock) }

// release gives the connection back to its target.
func (c *Conn) release(reusable bool) {
	c.Sock.SetReadExpiry(0)
	c.Sock.SetWriteExpiry(0)
	c.Reader.Release()
	c.Reader.Allowance = nil
	c.served = true
	c.giveBack(reusable)
}

// send writes a request, given in two parts, and may read the first bytes of
// the answer into the reader. It returns how much was written.
func (c *Conn) send(head, body []byte) (written int, err error) {
	switch {
	case c.isPlain() && len(body) > 0:
		return c.Sock.WriteVec(head, body, nil)
	case c.isPlain():
		return c.sendReceive(head)
	}
	if written, err = c.Write(head); err != nil || len(body) == 0 {
		return written, err
	}
	n, err := c.Write(body)
	return written + n, err
}

func (c *Conn) sendReceive(out []byte) (written int, err error) {
	written, buf, n, err := c.Sock.SendReceive(out, memory.AcquireMedium, memory.ReleaseBuffer, c.used)
	if buf != nil {
		c.Reader.Adopt(buf, n)
	}
	c.dirty = c.Sock.Early()
	return written, err
}

// isOverflow tells "no place among the connections" from a failed dial.
func isOverflow(err error) bool {
	return errors.Is(err, errFull) || errors.Is(err, fasthttp.ErrNoFreeConns) || errors.Is(err, fasthttp.ErrTimeout)
}

// isLocal tells a shortage on this machine, which is no fault of the target.
func isLocal(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) ||
		errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
}
