package streams

import (
	"errors"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

const (
	// fullOut is how much waits to be written before bodies wait.
	fullOut = 64 << 10
	// mostOut bounds what only answers the target, on top of fullOut.
	mostOut = 1 << 20
	// keepOut is the largest buffer that an idle connection keeps.
	keepOut = 16 << 10
)

// outgoing is what a connection has to write. Whoever appends to it, with the
// lock held, calls flush: then it is written as far as the socket takes it at
// once, and the rest by the writer, with all that comes meanwhile.
type outgoing struct {
	buf     []byte // to be written next
	own     int    // bytes of it that are heads and trailer sections, which streams bound
	spare   []byte
	rest    []byte // of what is being written, for the writer
	full    bool   // streams wait since there was too much to be written
	writing bool   // somebody writes: who set it, or the writer
	written int64  // bytes the socket has taken
	offered int64  // bytes it may have taken: while it is asked, more than written
}

// offer says that the socket is about to be asked to take buf, the next to be
// written. It may be with the target long before the call returns.
func (o *outgoing) offer(buf []byte) { o.offered = o.written + int64(len(buf)) }

// took says that the socket has taken n of what it was offered, and of the rest
// nothing.
func (o *outgoing) took(n int) {
	o.written += int64(n)
	o.offered = o.written
}

// end is where in the whole of what the connection writes the next byte stands.
func (o *outgoing) end() int64 {
	return o.written + int64(len(o.rest)) + int64(len(o.buf))
}

var errOverrun = errors.New("the target asks for answers that it doesn't read")

// flush writes what there is, and unlocks the connection.
func (c *Conn) flush() {
	o := &c.out
	if len(o.buf)-o.own > mostOut && c.dead == nil {
		c.endLocked(errOverrun)
	}
	if o.writing || len(o.buf) == 0 || c.dead != nil {
		c.mu.Unlock()
		return
	}
	o.writing = true
	buf := o.buf
	o.buf, o.spare, o.own = o.spare[:0], nil, 0
	o.rest = buf
	if c.plain {
		o.offer(buf)
		c.mu.Unlock()
		n, err := c.sock.WriteNow(buf)
		c.mu.Lock()
		o.took(n)
		if o.rest = buf[n:]; err == nil && n == len(buf) && c.wrote(buf) {
			c.mu.Unlock()
			return
		}
	}
	if c.dead == nil {
		c.kick <- struct{}{} // holds one, and only who writes puts it there
	}
	c.mu.Unlock()
}

// wrote notes that all of buf is written, and reports whether that was all: if not, what
// has come since is next. Whoever waits for room goes on.
func (c *Conn) wrote(buf []byte) (all bool) {
	o := &c.out
	o.rest = nil
	o.keep(buf)
	if o.full {
		c.unblock()
	}
	if len(o.buf) == 0 {
		o.writing = false
		return true
	}
	o.rest, o.buf, o.spare, o.own = o.buf, o.spare, nil, 0
	return false
}

// write is the writer: it writes what the socket didn't take at once.
func (c *Conn) write() {
	for range c.kick {
		for c.writeOn() {
		}
	}
}

// writeOn writes what is left, and reports whether there is more since.
func (c *Conn) writeOn() bool {
	c.mu.Lock()
	o := &c.out
	buf := o.rest
	o.offer(buf)
	c.mu.Unlock()
	c.sock.SetWriteLimits(int64(c.o.WriteIdle), 0, 0)
	n, err := c.net.Write(buf)
	c.sock.SetWriteExpiry(0)
	c.mu.Lock()
	defer c.mu.Unlock()
	o.rest = nil
	if err != nil { // more may have been taken than n says, where there is TLS
		if errors.Is(err, socket.ErrTimeout) {
			err = errors.New("the target takes nothing of what it is sent")
		}
		c.endLocked(err)
		return false
	}
	o.took(n)
	return !c.wrote(buf)
}

// keep keeps a buffer that has been written, unless it has grown beyond what a
// busy connection fills.
func (o *outgoing) keep(buf []byte) {
	if cap(buf) <= 2*fullOut {
		o.spare = buf[:0]
	}
}

// trim is for a connection without streams.
func (o *outgoing) trim() {
	if cap(o.spare) > keepOut {
		o.spare = nil
	}
	if cap(o.buf) > keepOut && len(o.buf) == 0 {
		o.buf = nil
	}
}
