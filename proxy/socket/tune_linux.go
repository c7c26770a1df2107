package socket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// unsentLimit bounds what a socket takes before it has been sent. Without it
// a send buffer grows to megabytes, and a writer is woken only when a third of
// it is free: a peer that reads steadily, but less than that within write_idle,
// would look as if it took nothing.
const unsentLimit = 128 << 10

// tune sets what every TCP socket needs. Accepted ones don't inherit it.
func tune(c syscall.RawConn) error {
	var err error
	if controlErr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentLimit)
	}); controlErr != nil {
		return controlErr
	}
	return err
}
