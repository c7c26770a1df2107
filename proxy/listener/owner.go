package listener

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
)

// Owner is who has a Unix socket's file; -1 leaves that to the process.
type Owner struct{ UID, GID int }

// FindOwner reads "user", "user:group" or ":group", by name or number.
func FindOwner(text string) (*Owner, error) {
	name, group, _ := strings.Cut(text, ":")
	o := &Owner{UID: -1, GID: -1}
	if name == "" && group == "" {
		return nil, errors.New("names nobody")
	}
	if name != "" {
		id, err := userID(name)
		if err != nil {
			return nil, err
		}
		o.UID = id
	}
	if group != "" {
		id, err := groupID(group)
		if err != nil {
			return nil, err
		}
		o.GID = id
	}
	return o, nil
}

// maxID is the largest number of a user or group; the one above it is nobody.
const maxID = 1<<32 - 2

func userID(name string) (int, error) {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil && n <= maxID {
		return int(n), nil
	}
	found, err := user.Lookup(name)
	if err != nil {
		return 0, fmt.Errorf("names the user %q, who isn't known here", name)
	}
	return strconv.Atoi(found.Uid)
}

func groupID(name string) (int, error) {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil && n <= maxID {
		return int(n), nil
	}
	found, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("names the group %q, which isn't known here", name)
	}
	return strconv.Atoi(found.Gid)
}

// ParseMode reads the mode of a Unix socket, such as 0660. Without the zero it could
// be a decimal number, which 432 is where a program has written 0660.
func ParseMode(text string) (os.FileMode, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(text, "0o"), 8, 32)
	if err != nil || n == 0 || n > 0o777 || text[0] != '0' {
		return 0, errors.New("is not one of a file, expected one like 0660, with the zero")
	}
	return os.FileMode(n), nil
}

// Guard gives the file of a Unix socket its mode and owner; 0 and nil leave them as
// they are.
func (l *Listener) Guard(mode os.FileMode, owner *Owner) error {
	return guard(pathOf(l.opts.Address), l.file, mode, owner)
}

func guard(path string, file FileID, mode os.FileMode, owner *Owner) error {
	if path == "" || mode == 0 && owner == nil {
		return nil
	}
	name, release, err := pinned(path, file)
	if err != nil {
		return fmt.Errorf("cannot give the socket %q its mode and owner: %w", path, err)
	}
	defer release()
	if owner != nil {
		if err := os.Chown(name, owner.UID, owner.GID); err != nil {
			return fmt.Errorf("cannot give the socket %q its owner: %w", path, err)
		}
	}
	if mode != 0 {
		if err := os.Chmod(name, mode); err != nil {
			return fmt.Errorf("cannot give the socket %q its mode: %w", path, err)
		}
	}
	return nil
}

// errReplaced is that a Unix socket's file isn't at its path any more.
var errReplaced = errors.New("another file has taken its place")

// SocketPath is the path of a Unix socket's file; ok is false where an address has none.
func SocketPath(address string) (path string, ok bool) {
	path = pathOf(address)
	return path, path != "" && path[0] == '/'
}

// pathOf is the path of a Unix socket's address, or nothing.
func pathOf(address string) string {
	path, ok := strings.CutPrefix(address, "unix:")
	if !ok {
		return ""
	}
	return strings.TrimPrefix(path, "//")
}
