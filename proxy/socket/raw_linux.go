package socket

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The raw calls return the count, or the negated errno. They never block,
// since package net sets its descriptors to non-blocking, so the scheduler
// need not hear of them. send and recv pass by the file layer, which costs read
// and write about 100 ns each.
//
// Each makes its call itself: a pointer that became a uintptr stays good only
// within the expression that holds the call (package unsafe, rule 4).

func rawRead(fd uintptr, p []byte) int {
	for {
		r, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), //nolint:gosec // G103: see above
			syscall.MSG_DONTWAIT, 0, 0)
		if errno != syscall.EINTR {
			return count(r, errno)
		}
	}
}

func rawWrite(fd uintptr, p []byte) int {
	for {
		r, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), //nolint:gosec // G103: see above
			syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
		if errno != syscall.EINTR {
			return count(r, errno)
		}
	}
}

func count(r uintptr, errno syscall.Errno) int {
	if errno != 0 {
		return -int(errno)
	}
	return int(r)
}

func rawWriteVec(fd uintptr, vec *[3][]byte) int {
	var iov [3]syscall.Iovec
	n := 0
	for _, p := range vec {
		if len(p) > 0 {
			iov[n].Base = unsafe.SliceData(p) //nolint:gosec // G103: see above
			iov[n].SetLen(len(p))
			n++
		}
	}
	if n == 0 {
		return 0
	}
	for {
		r, _, errno := syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&iov[0])), uintptr(n)) //nolint:gosec // G103: see above
		if errno != syscall.EINTR {
			return count(r, errno)
		}
	}
}

// rawPeek reads what stays there to be read again.
func rawPeek(fd uintptr, p []byte) int {
	for {
		r, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), //nolint:gosec // G103: see above
			syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
		if errno != syscall.EINTR {
			return count(r, errno)
		}
	}
}

// pollPeer sees a FIN even behind unread data, which a peek would not.
func pollPeer(fd uintptr) Peer {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}} //nolint:gosec // G115: descriptors are small
	n, err := unix.Poll(fds[:], 0)
	switch {
	case err != nil || n == 0:
		return PeerOpen
	case fds[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0:
		return PeerGone
	case fds[0].Revents&unix.POLLRDHUP != 0:
		return PeerFinished
	}
	return PeerOpen
}
