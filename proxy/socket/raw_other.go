//go:build !linux

package socket

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// Elsewhere than on Linux the portable calls serve; see raw_linux.go.

func rawRead(fd uintptr, p []byte) int {
	return result(func() (int, error) { return syscall.Read(int(fd), p) })
}

func rawWrite(fd uintptr, p []byte) int {
	return result(func() (int, error) { return syscall.Write(int(fd), p) })
}

func rawWriteVec(fd uintptr, vec *[3][]byte) int {
	for _, p := range vec {
		if len(p) > 0 {
			return rawWrite(fd, p)
		}
	}
	return 0
}

func rawPeek(fd uintptr, p []byte) int {
	return result(func() (int, error) {
		n, _, err := unix.Recvfrom(int(fd), p, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return n, err
	})
}

func result(call func() (int, error)) int {
	for {
		n, err := call()
		var errno syscall.Errno
		switch {
		case err == nil:
			return n
		case !errors.As(err, &errno):
			return -int(syscall.EIO)
		case errno != syscall.EINTR:
			return -int(errno)
		}
	}
}

func pollPeer(fd uintptr) Peer {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds[:], 0)
	switch {
	case err != nil || n == 0:
		return PeerOpen
	case fds[0].Revents&(unix.POLLERR|unix.POLLNVAL) != 0:
		return PeerGone
	case fds[0].Revents&unix.POLLHUP != 0 || rawPeek(fd, make([]byte, 1)) == 0:
		return PeerFinished
	}
	return PeerOpen
}
