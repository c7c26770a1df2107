package socket

import "golang.org/x/sys/unix"

// boundUnsent bounds what a socket takes before it has been sent. Without it a
// send buffer grows to megabytes, and a writer is woken only when a third of it
// is free: a peer that reads steadily, but less than that within write_idle,
// would look as if it took nothing. Accepted sockets don't inherit the option.
func boundUnsent(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentLimit) // without it, write_idle is only coarser
}
