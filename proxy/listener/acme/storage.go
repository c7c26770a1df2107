package acme

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/files"
)

// Storage keeps what outlives the process, under keys such as
// "certificates/ca.example.com/shop.example.com.pem". Several gateways may share
// one. Its methods may be called concurrently, and wait.
type Storage interface {
	// Load returns a value; the error is fs.ErrNotExist where there is none.
	Load(key string) ([]byte, error)
	// Save writes a value: whoever reads sees it whole, or the one before.
	Save(key string, value []byte) error
	// Delete removes a value. There being none is no error.
	Delete(key string) error
	// Lock takes a lock, if nobody has it: then release gives it back. It ends by
	// itself when its owner dies. Two may have it at once if clocks stop for long:
	// what it guards must come to no harm by that.
	Lock(key string) (release func(), ok bool, err error)
}

// maxValue bounds a value, in bytes.
const maxValue = 1 << 20

// Directory is a Storage in a directory, which is made when something is saved
// first. All in it is readable for its owner alone.
type Directory struct {
	path string
	// beat is how often the holder of a lock shows that it lives; without a sign for
	// as long as dead, another one takes the lock.
	beat, dead time.Duration

	seen seenLocks
}

// NewDirectory returns the storage at a path.
func NewDirectory(path string) *Directory {
	return &Directory{path: path, beat: lockBeat, dead: lockDead, seen: seenLocks{list: map[string]seenLock{}}}
}

// file is the path of a key, whose parts come from host names and URLs.
func (d *Directory) file(key string) (string, error) {
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || strings.HasPrefix(part, ".") || strings.ContainsAny(part, "\\\x00") || len(part) > 255 {
			return "", fmt.Errorf("BUG: the key %q is no path", key)
		}
	}
	return filepath.Join(d.path, filepath.FromSlash(key)), nil
}

// Load reads a file.
func (d *Directory) Load(key string) ([]byte, error) {
	path, err := d.file(key)
	if err != nil {
		return nil, err
	}
	return files.Read(path, maxValue)
}

// Save writes a file beside the one before, and puts it in its place once it is
// on the disk.
func (d *Directory) Save(key string, value []byte) error {
	path, err := d.file(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	temporary := filepath.Join(filepath.Dir(path), "."+rand.Text())
	if err := writeNew(temporary, value); err != nil {
		_ = os.Remove(temporary)
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		_ = os.Remove(temporary)
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

// writeNew makes a file that isn't there yet.
func writeNew(path string, value []byte) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // G304: below the operator's directory
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.Write(value); err != nil {
		return err
	}
	return file.Sync()
}

// syncDirectory makes a renaming last. Some file systems can't, and that is none
// of an error: the file is whole either way.
func syncDirectory(path string) error {
	dir, err := os.Open(path) //nolint:gosec // G304: the operator's directory
	if err != nil {
		return err
	}
	_ = dir.Sync()
	return dir.Close()
}

// Delete removes a file.
func (d *Directory) Delete(key string) error {
	path, err := d.file(key)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
