package socket

import "syscall"

// The functions below run inside the runtime poller: returning false parks
// the goroutine until the descriptor is ready, true ends the operation.

// Again is what TryWrite returns when the socket takes nothing now.
const Again = errAgain

// unsentLimit is what a socket that carries much takes before it has been sent.
const unsentLimit = 256 << 10

// errAgain is what the raw calls return when the socket isn't ready.
const errAgain = -int(syscall.EAGAIN)

// isQuiet reports whether nothing can be read, the end included.
func isQuiet(fd uintptr) bool {
	var b [1]byte
	return rawPeek(fd, b[:]) == errAgain
}

func (c *Conn) tryRead(fd uintptr) bool {
	c.rn = rawRead(fd, c.rbuf)
	return c.rn != errAgain
}

func (c *Conn) tryReadLazily(fd uintptr) bool {
	buf := c.acquire()
	c.rn = rawRead(fd, buf)
	if c.rn == errAgain {
		c.release(buf)
		return false
	}
	c.rbuf = buf
	return true
}

func (c *Conn) trySend(fd uintptr) bool {
	if c.sendStep == sendPending {
		// What is there before the request was written is no answer to it, and
		// the poller won't tell of it again.
		if c.early = !isQuiet(fd); c.early && c.kept {
			c.rn = 0
			c.sendStep = sendRefused
			return true
		}
		c.tune(fd, len(c.wbuf))
		for len(c.wbuf) > 0 {
			n := rawWrite(fd, c.wbuf)
			if n < 0 {
				c.rn = n
				return true // SendReceive carries on
			}
			c.wn += n
			c.wbuf = c.wbuf[n:]
		}
		c.sendStep = sendParked
		if !c.early {
			return false
		}
	}
	return c.tryReadLazily(fd)
}

// tune comes before a write of n bytes: a connection that carries little is
// spared a system call.
func (c *Conn) tune(fd uintptr, n int) {
	if c.wtotal += n; c.untuned && c.wtotal > unsentLimit/2 {
		c.untuned = false
		boundUnsent(fd)
	}
}

func (c *Conn) tryWrite(fd uintptr) bool {
	c.tune(fd, len(c.wbuf))
	for len(c.wbuf) > 0 {
		n := rawWrite(fd, c.wbuf)
		if n == errAgain {
			return c.parkWrite(fd)
		}
		if n < 0 {
			c.werr = syscall.Errno(-n)
			return true
		}
		c.wn += n
		c.wbuf = c.wbuf[n:]
	}
	return true
}

func (c *Conn) tryWriteVec(fd uintptr) bool {
	c.tune(fd, len(c.wvec[0])+len(c.wvec[1])+len(c.wvec[2]))
	for {
		n := rawWriteVec(fd, &c.wvec)
		if n == errAgain {
			return c.parkWrite(fd)
		}
		if n < 0 {
			c.werr = syscall.Errno(-n)
			return true
		}
		c.wn += n
		if !advance(&c.wvec, n) {
			return true
		}
	}
}

// advance drops the first n bytes and reports whether any are left.
func advance(vec *[3][]byte, n int) bool {
	left := 0
	for i := range vec {
		k := min(n, len(vec[i]))
		vec[i] = vec[i][k:]
		n -= k
		left += len(vec[i])
	}
	return left > 0
}
