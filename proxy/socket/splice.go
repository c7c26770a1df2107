package socket

import (
	"errors"
	"os"
	"syscall"
)

// ErrNoSplice reports that nothing was moved because there is no pipe, or the
// kernel can't splice such a socket: read and write instead.
var ErrNoSplice = errors.New("the socket can't be spliced now")

// splicing is one direction of a connection that has been spliced: few are.
type splicing struct {
	pipe *Pipe
	most int
	fn   func(uintptr) bool
}

// ReadPipe moves at most n bytes, n > 0, from the socket into a pipe without
// copying them, parking until something is there. It holds no pipe while it
// waits. It reads as Read does: expiries, Abort and io.EOF are the same.
//
// The pipe is the caller's: WritePipe or Discard takes it back.
func (c *Conn) ReadPipe(n int64) (*Pipe, error) {
	if c.spliceIn == nil {
		c.spliceIn = &splicing{fn: c.trySpliceIn}
	}
	c.spliceIn.most = int(min(n, pipeBytes))
	err := c.parkReading(c.spliceIn.fn)
	pipe := c.spliceIn.pipe
	c.spliceIn.pipe = nil
	switch {
	case pipe == nil && err == nil, err == nil && refused(syscall.Errno(-c.rn)):
		pipe.Discard()
		return nil, ErrNoSplice
	case err == nil && c.rn > 0:
		pipe.held = c.rn
		return pipe, nil
	}
	pipe.Discard()
	_, err = c.readResult(err)
	return nil, err
}

// WritePipe writes all that p holds, as Write does, and takes p back, also
// when it fails. It returns how many bytes the socket has taken.
func (c *Conn) WritePipe(p *Pipe) (int, error) {
	if c.spliceOut == nil {
		c.spliceOut = &splicing{fn: c.trySpliceOut}
	}
	c.spliceOut.pipe, c.wn, c.wparked, c.werr = p, 0, -1, 0
	err := c.parkWriting(c.spliceOut.fn)
	c.spliceOut.pipe = nil
	n := c.wn
	if n == 0 && refused(c.werr) {
		n, err = c.writeCopied(p)
	}
	p.Discard()
	return n, err
}

// writeCopied is WritePipe for a socket that takes no pages.
func (c *Conn) writeCopied(p *Pipe) (written int, err error) {
	buf := make([]byte, min(p.held, 16<<10))
	for p.held > 0 {
		n, err := syscall.Read(p.r, buf[:min(p.held, len(buf))])
		if err != nil {
			return written, os.NewSyscallError("read", err)
		}
		p.held -= n
		n, err = c.Write(buf[:n])
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// refused tells an error of splice itself from one of the socket. EPERM comes
// from filters of system calls.
func refused(errno syscall.Errno) bool {
	return errno == syscall.EINVAL || errno == syscall.ENOSYS || errno == syscall.EPERM
}

func (c *Conn) trySpliceIn(fd uintptr) bool {
	pipe := c.sweeper.pipes.acquire()
	if pipe == nil {
		return true
	}
	c.rn = pipe.pool.splice(int(fd), pipe.w, c.spliceIn.most)
	if c.rn == errAgain { // of the socket, since the pipe is empty
		pipe.Discard()
		return false
	}
	c.spliceIn.pipe = pipe
	return true
}

func (c *Conn) trySpliceOut(fd uintptr) bool {
	c.tune(fd, c.spliceOut.pipe.held)
	for p := c.spliceOut.pipe; p.held > 0; {
		n := p.pool.splice(p.r, int(fd), p.held)
		if n == errAgain { // of the socket, since the pipe is not empty
			return c.parkWrite(fd)
		}
		if n <= 0 {
			c.werr = syscall.EIO // the pipe is empty: BUG
			if n < 0 {
				c.werr = syscall.Errno(-n)
			}
			return true
		}
		c.wn += n
		p.held -= n
	}
	return true
}
