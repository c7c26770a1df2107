package files

import (
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Dir is a directory of files that several owners share: an owner has what is
// below the directory that bears its name. Files are named by paths with
// slashes below the directory.
//
// A link may lead anywhere below the first directory of a name, and not out of
// it: owner/lib/x.lua stays within owner, whatever it and lib are. A link that
// is an entry of the directory itself, which is the operator's, may lead
// anywhere below the directory, but not into what another owner has. Absolute
// links lead out. Hard links can't be told from files.
type Dir struct {
	Path   string
	Owners *Owners // nil: there are none
}

// Read returns the content of a regular file, of at most limit bytes, with a
// stamp taken before: what is written meanwhile shows.
func (d Dir) Read(name string, limit int64) ([]byte, Stamp, error) {
	root, err := openDir(unix.AT_FDCWD, d.Path, 0)
	if err != nil {
		return nil, Stamp{}, err
	}
	w := &walk{dir: d, open: []int{root}}
	defer w.close()
	first, rest, nested := strings.Cut(name, "/")
	if nested {
		w.owner = first
		if err := w.enter(first); err != nil {
			return nil, Stamp{}, err
		}
		w.confine()
		name = rest
	}
	fd, status, err := w.file(name)
	if err != nil {
		return nil, Stamp{}, err
	}
	defer func() { _ = unix.Close(fd) }()
	stamp := newStamp(&status, time.Now())
	content, err := readAll(fd, limit)
	return content, stamp, err
}

// Foreign reports whether a file belongs to another owner than the one of that
// name: whether it lies in a directory that bears the other's.
func (d Dir) Foreign(name, owner string) bool {
	first, _, nested := strings.Cut(name, "/")
	if !nested || d.Owners == nil {
		return false
	}
	var status unix.Stat_t
	err := retry(func() error { return unix.Stat(filepath.Join(d.Path, first), &status) })
	return err != nil || d.Owners.foreign(d.Path, &status, owner)
}

// walk goes along a path, one directory at a time, each opened in the one
// before: so names can't lead elsewhere while it looks.
type walk struct {
	dir   Dir
	owner string // of whose directory the path speaks; "" is nobody's
	open  []int  // descriptors: the directory that nothing leads out of, and on to where the walk is
	above []int  // those above it, kept until the end
	links int
}

// Bounds of a walk: how many links there may be on the way, as in Linux, and
// how many directories below each other, since each takes a descriptor.
const (
	maxLinks = 40
	maxDepth = 100
)

func (w *walk) close() {
	for _, fd := range append(w.open, w.above...) {
		_ = unix.Close(fd)
	}
}

// confine has nothing lead out of where the walk is now.
func (w *walk) confine() {
	last := len(w.open) - 1
	w.above, w.open = append(w.above, w.open[:last]...), w.open[last:]
}

func (w *walk) here() int { return w.open[len(w.open)-1] }

// enter goes to a directory.
func (w *walk) enter(path string) error {
	for part := range strings.SplitSeq(path, "/") {
		if err := w.step(part); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) step(part string) error {
	switch part {
	case "", ".":
		return nil
	case "..":
		if len(w.open) == 1 {
			return ErrOutside
		}
		_ = unix.Close(w.here())
		w.open = w.open[:len(w.open)-1]
		return nil
	}
	fd, err := openDir(w.here(), part, unix.O_NOFOLLOW)
	if err == nil {
		if w.open = append(w.open, fd); len(w.open) > maxDepth {
			return errDepth
		}
		return w.admit(fd)
	}
	target, isLink := w.follow(part)
	if !isLink {
		return err
	}
	if err := w.through(target); err != nil {
		return err
	}
	return w.enter(target)
}

// file opens the regular file at the end of a path.
func (w *walk) file(path string) (fd int, status unix.Stat_t, err error) {
	for {
		at := strings.LastIndexByte(path, '/')
		if err := w.enter(path[:max(at, 0)]); err != nil {
			return -1, status, err
		}
		last := path[at+1:]
		if last == "" || last == "." || last == ".." {
			return -1, status, ErrNotRegular
		}
		fd, status, err = openAt(w.here(), last, unix.O_NOFOLLOW)
		if err == nil {
			return fd, status, nil
		}
		target, isLink := w.follow(last)
		if !isLink {
			return -1, status, err
		}
		if err := w.through(target); err != nil {
			return -1, status, err
		}
		path = target
	}
}

// follow returns what an entry that is a link leads to.
func (w *walk) follow(name string) (target string, ok bool) {
	buffer := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(w.here(), name, buffer)
	return string(buffer[:max(n, 0)]), err == nil
}

// through is asked before a link is followed.
func (w *walk) through(target string) error {
	w.links++
	switch {
	case w.links > maxLinks:
		return errLinks
	case strings.HasPrefix(target, "/"):
		return ErrOutside
	}
	return nil
}

// admit refuses what somebody else has, once a link has led there: without
// links it is the name that says so.
func (w *walk) admit(fd int) error {
	if w.links == 0 || len(w.above) > 0 || w.dir.Owners == nil {
		return nil
	}
	var status unix.Stat_t
	if err := retry(func() error { return unix.Fstat(fd, &status) }); err != nil {
		return err
	}
	if w.dir.Owners.foreign(w.dir.Path, &status, w.owner) {
		return ErrForeign
	}
	return nil
}

// openDir opens a directory and nothing else: O_DIRECTORY keeps it from waiting
// for a pipe.
func openDir(at int, name string, flags int) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Openat(at, name, openFlags|unix.O_DIRECTORY|flags, 0)
		return err
	})
	return fd, err
}
