package clients

import (
	"errors"

	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// linger ends a connection on which the client may be sending still: closing
// it at once would make its system throw away the answer that it has not read
// yet, and many a client reads only once it has sent all (RFC 9112 §9.6). So
// only the sending side is closed, and what comes is read and dropped, until
// the client closes, sends nothing for linger_idle, or linger has passed.
func (c *client) linger() {
	if !c.lingers {
		return
	}
	c.lingers = false
	defer func() {
		if cause := recover(); cause != nil {
			c.server.Plane.LogPanic(cause)
		}
	}()
	c.Sock.ClearAbort()
	if err := c.Sock.CloseWrite(); err != nil {
		return
	}
	limits := c.server.Limits.Load()
	c.head = nil
	buf := memory.AcquireBuffer(memory.SmallBuffer)
	defer memory.ReleaseBuffer(buf)
	now := socket.Nanotime()
	end, progress := now+limits.Linger, now
	for {
		expiry := min(end, progress+limits.LingerIdle)
		c.Sock.SetReadExpiry(min(expiry, now+int64(lingerTime))) // now and then it looks for a drain
		_, err := c.Sock.Read(buf)
		now = socket.Nanotime()
		switch {
		case err == nil:
			progress = now
		case !errors.Is(err, socket.ErrTimeout) || now >= expiry:
			return
		}
		if c.ending() {
			end = min(end, now+int64(lingerTime))
		}
		if now >= end {
			return
		}
	}
}
