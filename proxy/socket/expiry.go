package socket

import "time"

// Expiries are Nanotime; a sweeper enforces them, within 100 ms.

// SetReadExpiry bounds the current and later reads: one that is parked at
// that moment (Nanotime) ends with ErrTimeout within a sweep. 0 is no bound.
func (c *Conn) SetReadExpiry(at int64) { c.readExpiry.Store(at) }

// SwapReadExpiry sets the read expiry unless somebody else has changed it.
func (c *Conn) SwapReadExpiry(before, at int64) { c.readExpiry.CompareAndSwap(before, at) }

// SetWriteExpiry does the same for writes.
func (c *Conn) SetWriteExpiry(at int64) {
	c.writeIdle, c.writeRate, c.writeTotal = 0, 0, 0
	c.changeWriteExpiry(at)
}

// changeWriteExpiry spares a store, which costs much more than a load: it is mostly
// 0 already.
func (c *Conn) changeWriteExpiry(at int64) {
	if c.writeExpiry.Load() != at {
		c.writeExpiry.Store(at)
	}
}

// earlier is the first of an expiry, 0 for none, and a moment.
func earlier(expiry, at int64) int64 {
	if expiry != 0 && expiry < at {
		return expiry
	}
	return at
}

// ExpireReads makes every read end with ErrTimeout at once, without a look at
// the socket, until another expiry is set: what a layer above still returns
// is what it has buffered itself.
func (c *Conn) ExpireReads() {
	c.readExpiry.Store(1)
	_ = c.nc.SetReadDeadline(longAgo) // fails only on a closed socket
}

// SetDeadline sets both expiries, for callers that know only net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	c.readExpiry.Store(expiryOf(t))
	c.writeExpiry.Store(expiryOf(t))
	return nil
}

// SetReadDeadline sets the read expiry, for callers that know only net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.readExpiry.Store(expiryOf(t))
	return nil
}

// SetWriteDeadline sets the write expiry, for callers that know only net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.writeExpiry.Store(expiryOf(t))
	return nil
}

func expiryOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return Nanotime() + int64(time.Until(t))
}
