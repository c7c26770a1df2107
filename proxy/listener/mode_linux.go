package listener

import (
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// withMode gives a Unix socket its mode before it is bound: on Linux the file
// that bind makes has the mode of the socket, less the umask, so that nobody
// can connect in between.
func withMode(mode os.FileMode) func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) { failed = unix.Fchmod(int(fd), uint32(mode.Perm())) })
		if err != nil {
			return err
		}
		return failed
	}
}

// masked has nothing to add here; see mode_other.go.
func masked(_ os.FileMode, listen func() (net.Listener, error)) func() (net.Listener, error) {
	return listen
}
