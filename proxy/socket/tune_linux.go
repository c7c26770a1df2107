package socket

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawUnsent is how many bytes the socket has taken that its peer has not
// (tcp(7), SIOCOUTQ); -1 is not known. It is unix.IoctlGetInt that tells the
// scheduler nothing and allocates nothing.
func rawUnsent(fd uintptr) int {
	var n int32
	if _, _, errno := syscall.RawSyscall(syscall.SYS_IOCTL, fd, unix.SIOCOUTQ, uintptr(unsafe.Pointer(&n))); errno != 0 { //nolint:gosec // G103: what ioctl takes
		return -1
	}
	return int(n)
}

// boundUnsent bounds what a socket takes before it has been sent. Without it a
// send buffer grows to megabytes, and a writer is woken only when a third of it
// is free: a peer that reads steadily, but less than that within write_idle,
// would look as if it took nothing. Accepted sockets don't inherit the option.
func boundUnsent(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentLimit) // without it, write_idle is only coarser
}
