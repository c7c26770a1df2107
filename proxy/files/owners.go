package files

import (
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// Owners are the names of those who share a Dir. Their directories are looked
// at when a link first leads through one, and then not again.
type Owners struct {
	names []string

	mu    sync.Mutex
	found map[identity][]string // whose a directory is; guarded by mu; nil: not looked yet
}

// identity is what a file or directory is, under whatever name.
type identity struct{ device, inode uint64 }

func identityOf(s *unix.Stat_t) identity {
	return identity{uint64(s.Dev), s.Ino} //nolint:unconvert // int32 on macOS; an identity, not a number
}

// NewOwners returns the owners of directories with these names.
func NewOwners(names []string) *Owners { return &Owners{names: names} }

// foreign reports whether a directory is that of another owner than name. One
// that two have, because a link says so, is foreign to both.
func (o *Owners) foreign(dir string, status *unix.Stat_t, name string) bool {
	for _, owner := range o.look(dir)[identityOf(status)] {
		if owner != name {
			return true
		}
	}
	return false
}

func (o *Owners) look(dir string) map[identity][]string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.found == nil {
		o.found = map[identity][]string{}
		for _, name := range o.names {
			var status unix.Stat_t
			if unix.Stat(filepath.Join(dir, name), &status) == nil && status.Mode&unix.S_IFMT == unix.S_IFDIR {
				id := identityOf(&status)
				o.found[id] = append(o.found[id], name)
			}
		}
	}
	return o.found
}
