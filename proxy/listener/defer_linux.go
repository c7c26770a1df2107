package listener

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// silence is for how many seconds a connection may be kept back until its
// client says something.
const silence = 1

// defers has the kernel hand over a connection with its first bytes: HTTP and
// TLS clients speak first, so that nobody parks in between. Until then it is
// the kernel's, counts for no limit, and is reset if the listener ends.
func defers(network, _ string, c syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, silence) // only a saving
	})
}
