package files

import (
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Stamp is what tells without reading whether a file is still the one that was
// read. The time of its last change of status (ctime), unlike that of its
// content, can't be set by rsync, tar and the like.
type Stamp struct {
	identity
	size              int64
	modified, changed unix.Timespec
	settled           bool
}

// settling is how old a change must be to be sure that another one would get a
// time of its own: more than the coarsest clock of a file system has (FAT: 2 s).
const settling = 3 * time.Second

func newStamp(s *unix.Stat_t, now time.Time) Stamp {
	return Stamp{
		identity: identityOf(s), size: s.Size, modified: s.Mtim, changed: s.Ctim,
		settled: now.Sub(time.Unix(s.Ctim.Unix())) > settling,
	}
}

// Look returns the stamp of the file at path, wherever links lead.
func Look(path string) (Stamp, error) {
	var status unix.Stat_t
	if err := retry(func() error { return unix.Stat(path, &status) }); err != nil {
		return Stamp{}, err
	}
	return newStamp(&status, time.Now()), nil
}

// Like reports whether another stamp is of the same state, as far as times tell.
func (s Stamp) Like(other Stamp) bool {
	other.settled = s.settled
	return other == s
}

// Certain reports whether a file that now has another stamp is certainly still
// the one that it was.
func (s Stamp) Certain(now Stamp) bool { return s.settled && s.Like(now) }

// Holds reports whether the file of that name is certainly the one that was
// read.
func (s *Stamp) Holds(dir, name string) bool {
	var now unix.Stat_t
	if !s.settled || unix.Stat(filepath.Join(dir, filepath.FromSlash(name)), &now) != nil {
		return false
	}
	return s.Like(newStamp(&now, time.Time{}))
}
