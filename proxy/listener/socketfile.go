package listener

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// FileID tells the file of a Unix socket from whatever else may stand at its path
// by now; the zero value is not known.
type FileID struct {
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
}

var errNoSocket = errors.New("there is a file that is no socket")

// socketAt identifies the socket at a path, and follows no link to one.
func socketAt(path string) (FileID, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return FileID{}, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&os.ModeSocket == 0 {
		return FileID{}, errNoSocket
	}
	return FileID{uint64(stat.Dev), stat.Ino}, nil //nolint:unconvert // the type is another one elsewhere
}

// end closes the socket, and removes its file if that is still its own.
func (o *openSocket) end() error {
	if path, ok := o.inner.Addr().(*net.UnixAddr); ok {
		file, err := socketAt(path.Name)
		setUnlink(o.inner, o.unlink && err == nil && file == o.File)
	}
	return o.inner.Close()
}
