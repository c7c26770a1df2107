// Package files opens and reads files that somebody else may have put there:
// regular ones only, without ever waiting for one to be opened, up to a size,
// and those of a Dir only below it. What a name or a link leads to is decided
// by what was opened, not by a look before, so that nothing can be exchanged in
// between.
//
//	text, err := files.Read("config.yaml", 16<<20) // files.ErrTooLarge beyond
//
// It knows no paths of the gateway, and leaves it to others when a file is read
// again (Stamp tells whether it may have changed).
package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Why a file isn't read.
var (
	// ErrNotRegular is about a pipe, a device, a socket or a directory: reading
	// it might never end, and even opening some devices does something.
	ErrNotRegular = errors.New("not a regular file")
	// ErrTooLarge is about a file with more bytes than were asked for.
	ErrTooLarge = errors.New("it is too large")
	// ErrOutside is about a name or a link that leads out of its directory.
	ErrOutside = errors.New("it leads out of its directory")
	// ErrForeign is about a link that leads into the directory of somebody else.
	ErrForeign = errors.New("it is a link into another tenant's directory")

	// ErrDirectory is ErrNotRegular of a directory.
	ErrDirectory = fmt.Errorf("it is a directory: %w", ErrNotRegular)

	errLinks = errors.New("there are too many links on the way")
	errDepth = errors.New("there are too many directories on the way")
	errWaits = errors.New("reading it would have to wait")
)

// openFlags never wait: for the other end of a pipe, for a modem, for a lease.
const openFlags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC

// Read returns the content of the regular file at path, of at most limit
// bytes. It follows links anywhere: path is the operator's.
func Read(path string, limit int64) ([]byte, error) {
	fd, _, err := openAt(unix.AT_FDCWD, path, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	content, err := readAll(fd, limit)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return content, nil
}

// Begins reports whether the regular file at path begins with a text.
func Begins(path, text string) bool {
	fd, _, err := openAt(unix.AT_FDCWD, path, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	first := make([]byte, len(text))
	n := 0
	for n < len(first) {
		more, err := readSome(fd, first[n:])
		if err != nil || more == 0 {
			return false
		}
		n += more
	}
	return string(first) == text
}

// openAt opens a regular file. It looks before it opens, because opening a
// device may rewind a tape or start a watchdog, and again at what it has opened.
func openAt(dir int, name string, flags int) (fd int, status unix.Stat_t, err error) {
	look := 0
	if flags&unix.O_NOFOLLOW != 0 {
		look = unix.AT_SYMLINK_NOFOLLOW
	}
	err = retry(func() error { return unix.Fstatat(dir, name, &status, look) })
	if err != nil {
		return -1, status, err
	}
	if err := regular(&status); err != nil {
		return -1, status, err
	}
	err = retry(func() error {
		fd, err = unix.Openat(dir, name, openFlags|flags, 0)
		return err
	})
	if err != nil {
		return -1, status, err
	}
	if err = retry(func() error { return unix.Fstat(fd, &status) }); err == nil {
		err = regular(&status)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, status, err
	}
	return fd, status, nil
}

// errLink says that a name which was not to be followed is a link.
var errLink = fmt.Errorf("it is a symbolic link: %w", ErrNotRegular)

func regular(status *unix.Stat_t) error {
	kind := "something unknown"
	switch status.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return nil
	case unix.S_IFLNK:
		return errLink
	case unix.S_IFDIR:
		return ErrDirectory
	case unix.S_IFIFO:
		kind = "a pipe"
	case unix.S_IFCHR, unix.S_IFBLK:
		kind = "a device"
	case unix.S_IFSOCK:
		kind = "a socket"
	}
	return fmt.Errorf("it is %s: %w", kind, ErrNotRegular)
}

// readAll reads to the end of the file, wherever that is by then: what stat
// says of files in /proc is 0, and others grow while they are read.
func readAll(fd int, limit int64) ([]byte, error) {
	content := make([]byte, 0, 4096)
	for {
		n, err := readSome(fd, content[len(content):min(cap(content), int(limit)+1)])
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return content, nil
		}
		if content = content[:len(content)+n]; int64(len(content)) > limit {
			return nil, fmt.Errorf("it has more than %d bytes: %w", limit, ErrTooLarge)
		}
		if len(content) == cap(content) {
			content = append(content, 0)[:len(content)]
		}
	}
}

// readSome reads without waiting for bytes that aren't there yet, as some files
// of the kernel's that count as regular would have it.
func readSome(fd int, to []byte) (n int, err error) {
	err = retry(func() error {
		n, err = unix.Read(fd, to)
		return err
	})
	if errors.Is(err, unix.EAGAIN) {
		err = errWaits
	}
	return max(n, 0), err
}

// retry calls f until no signal interrupts it.
func retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// OpenLog opens a file for appending, and creates it if create says so. A pipe
// that nobody reads is an error rather than a wait.
func OpenLog(path string, create bool) (*os.File, error) {
	flags := os.O_APPEND | os.O_WRONLY | unix.O_NONBLOCK | unix.O_NOCTTY
	if create {
		flags |= os.O_CREATE
	}
	return os.OpenFile(path, flags, 0o640) //nolint:gosec // G302, G304: the operator's file and group
}
