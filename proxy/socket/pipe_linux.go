package socket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// create opens the pipe. It fails where descriptors or pages are short.
func (p *Pipe) create() bool {
	var fds [2]int
	if unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK) != nil {
		return false
	}
	p.r, p.w = fds[0], fds[1]
	_, _ = unix.FcntlInt(uintptr(p.w), unix.F_SETPIPE_SZ, pipeBytes) // a smaller one serves too
	if size, err := unix.FcntlInt(uintptr(p.w), unix.F_GETPIPE_SZ, 0); err != nil || size < leastPipe {
		p.close()
		return false
	}
	return true
}

func (p *Pipe) close() {
	_, _ = unix.Close(p.r), unix.Close(p.w) // nothing is lost that is still wanted
}

// rawSplice moves up to n bytes without waiting; see raw_linux.go.
func rawSplice(from, to, n int) int {
	for {
		r, _, errno := syscall.RawSyscall6(syscall.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n),
			unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		if errno != syscall.EINTR {
			return count(r, errno)
		}
	}
}
