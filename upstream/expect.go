package upstream

import (
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// continueTime is how long a target's 100 Continue is waited for: one that doesn't
// know it says nothing, and waits for the body (RFC 9110 §10.1.1).
const continueTime = time.Second

// awaitContinue waits for the target to say something before the body is sent.
// After continueTime the body is sent all the same: then it is no longer withheld.
func (c *Call) awaitContinue(conn *Conn) (withheld bool, err error) {
	now := socket.Nanotime()
	conn.Sock.SetReadExpiry(expiry(now, continueTime, c.Expiry))
	err = conn.Reader.Wait()
	switch {
	case err == nil:
		conn.Sock.SetReadExpiry(expiry(now, c.Timeouts.ResponseHeader, c.Expiry))
		return true, nil
	case isTimeout(err) && conn.Sock.Aborted() == nil && (c.Expiry == 0 || socket.Nanotime() < c.Expiry):
		c.upload(conn)
		return false, nil
	}
	return true, err
}

// upload starts sending a body that was withheld.
func (c *Call) upload(conn *Conn) {
	conn.Sock.SetReadExpiry(c.Expiry) // Upload sets the rest when it is done
	c.Caller.Upload()
}
