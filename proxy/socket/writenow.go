package socket

import (
	"os"
	"syscall"
)

// WriteNow writes what the socket takes at once, and returns how much that was.
// Only the writing goroutine may call it.
func (c *Conn) WriteNow(p []byte) (int, error) {
	c.wbuf, c.wn, c.werr = p, 0, 0
	if c.nowFn == nil {
		c.nowFn = c.writeNow
	}
	err := c.rc.Control(c.nowFn)
	c.wbuf = nil
	if err == nil && c.werr != 0 {
		err = os.NewSyscallError("write", c.werr)
	}
	return c.wn, err
}

// writeNow ends where the socket is full.
func (c *Conn) writeNow(fd uintptr) {
	c.tune(fd, len(c.wbuf))
	for len(c.wbuf) > 0 {
		n := rawWrite(fd, c.wbuf)
		if n < 0 {
			if n != errAgain {
				c.werr = syscall.Errno(-n)
			}
			return
		}
		c.wn += n
		c.wbuf = c.wbuf[n:]
	}
}
