package socket

import "golang.org/x/sys/unix"

// Readable reports whether there is something to read, the end included. Any
// goroutine may call it.
func (c *Conn) Readable() bool {
	ready := false
	err := c.rc.Control(func(fd uintptr) {
		fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}} //nolint:gosec // G115: descriptors are small
		n, err := unix.Poll(fds[:], 0)
		ready = err == nil && n > 0 && fds[0].Revents&unix.POLLIN != 0
	})
	return err == nil && ready
}
