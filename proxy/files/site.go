package files

import (
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// File is a regular file that is open for reading. It belongs to one goroutine.
type File struct {
	fd     int
	status unix.Stat_t
}

// Open opens the regular file at a path with slashes below a directory: links may lead
// anywhere below it, and not out of it. The directory itself may be a link to anywhere. A
// directory is ErrDirectory.
func Open(directory, name string) (*File, error) {
	root, err := openDir(unix.AT_FDCWD, directory, 0)
	if err != nil {
		return nil, err
	}
	w := &walk{open: []int{root}}
	defer w.close()
	fd, status, err := w.file(name)
	if err != nil {
		return nil, err
	}
	return &File{fd, status}, nil
}

// Is reports whether Open would find a file.
func Is(directory, name string) bool {
	f, err := Open(directory, name)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// IsStrayed reports whether an error is of a path that goes along too many links or
// directories.
func IsStrayed(err error) bool { return errors.Is(err, errLinks) || errors.Is(err, errDepth) }

// Size is the length of the file when it was opened.
func (f *File) Size() int64 { return f.status.Size }

// Modified is when its content was last changed then.
func (f *File) Modified() time.Time { return time.Unix(f.status.Mtim.Unix()) }

// ReadAt fills p with what stands at offset; a file that has become too short for that is
// io.ErrUnexpectedEOF.
func (f *File) ReadAt(p []byte, offset int64) (n int, err error) {
	for n < len(p) {
		var more int
		err = retry(func() error {
			more, err = unix.Pread(f.fd, p[n:], offset+int64(n))
			return err
		})
		switch {
		case err != nil:
			return n, fmt.Errorf("reading the file: %w", err)
		case more == 0:
			return n, io.ErrUnexpectedEOF
		}
		n += more
	}
	return n, nil
}

// Close closes the file; a nil one is closed.
func (f *File) Close() {
	if f != nil && f.fd >= 0 {
		_ = unix.Close(f.fd)
		f.fd = -1
	}
}
