package listener

import (
	"net"
	"os"
	"strconv"
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

// pinned returns a name of the socket at a path that stays its own, whatever is put
// into its place, until release; a file that isn't the expected one is an error.
func pinned(path string, expected FileID) (name string, release func(), err error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	release = func() { _ = unix.Close(fd) }
	var stat unix.Stat_t
	if err = unix.Fstat(fd, &stat); err == nil && (stat.Mode&unix.S_IFMT != unix.S_IFSOCK || expected != FileID{} && expected != FileID{stat.Dev, stat.Ino}) {
		err = errReplaced
	}
	name = "/proc/self/fd/" + strconv.Itoa(fd)
	if _, missing := os.Lstat(name); missing != nil { // a container without /proc
		name = path
	}
	if err != nil {
		release()
		return "", nil, err
	}
	return name, release, nil
}
