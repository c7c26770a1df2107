//go:build !linux

package listener

import (
	"net"
	"os"
	"syscall"
)

// withMode does nothing; see mode_linux.go.
func withMode(os.FileMode) func(string, string, syscall.RawConn) error { return nil }

// masked has the umask take away what the mode doesn't have, while the socket's
// file is made. The umask is the process's: other files that are made in that
// moment are closed to others too.
func masked(mode os.FileMode, listen func() (net.Listener, error)) func() (net.Listener, error) {
	return func() (net.Listener, error) {
		before := syscall.Umask(int(^mode.Perm() & 0o777))
		defer syscall.Umask(before)
		return listen()
	}
}

// pinned looks whether the socket at a path is the expected one; see mode_linux.go.
func pinned(path string, expected FileID) (name string, release func(), err error) {
	file, err := socketAt(path)
	if err == nil && expected != (FileID{}) && expected != file {
		err = errReplaced
	}
	return path, func() {}, err
}
