package lua

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// maxFile bounds a script file, in bytes.
const maxFile = 1 << 20

// file is one script file as it was read.
type file struct {
	name    string // below the scripts directory, with slashes
	sum     [sha256.Size]byte
	program *vm.Program
}

// Cache keeps scripts as they were read and compiled, so that VMs, tenants and
// generations share them. In one generation a file is looked at once, whoever
// asks for it, and it is read again only where it may have changed.
type Cache struct {
	mu         sync.Mutex
	generation uint64              // guarded by mu, as are those below
	entries    map[cacheKey]*entry // by file
}

type cacheKey struct {
	dir, name string
	cover     bool
}

// entry is one file.
type entry struct {
	used uint64 // the last generation that asked for it; guarded by Cache.mu

	mu     sync.Mutex
	looked uint64 // the last generation that looked at it; guarded by mu, as are those below
	stamp  stamp
	file   *file // nil with err
	err    error
}

// NewCache returns an empty cache.
func NewCache() *Cache { return &Cache{generation: 1, entries: map[cacheKey]*entry{}} }

// Begin starts a generation: files are looked at again, each once.
func (c *Cache) Begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
}

// Sweep drops the files that nobody has asked for since Begin.
func (c *Cache) Sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, e := range c.entries {
		if e.used != c.generation {
			delete(c.entries, key)
		}
	}
}

// Check reads and compiles the file that a name of the configuration stands
// for, without running it.
func (c *Cache) Check(dir, name string) error {
	name, err := ScriptName(name)
	if err != nil {
		return err
	}
	_, err = c.load(dir, name, false)
	return err
}

// load returns a script of the directory, read and compiled.
func (c *Cache) load(dir, name string, cover bool) (*file, error) {
	key := cacheKey{dir, name, cover}
	c.mu.Lock()
	e := c.entries[key]
	if e == nil {
		e = &entry{}
		c.entries[key] = e
	}
	generation := c.generation
	e.used = generation
	c.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.looked != generation {
		e.look(key)
		e.looked = generation
	}
	return e.file, e.err
}

// look reads and compiles the file if it may have changed.
func (e *entry) look(key cacheKey) {
	if e.file != nil && e.stamp.holds(filepath.Join(key.dir, filepath.FromSlash(key.name))) {
		return
	}
	source, stamp, err := read(key.dir, key.name)
	if err != nil {
		e.file, e.err = nil, err
		return
	}
	e.stamp = stamp
	f := &file{name: key.name, sum: sha256.Sum256(source)}
	if e.file != nil && e.file.sum == f.sum {
		return
	}
	if f.program, err = vm.Compile(source, key.name, vm.Options{Cover: key.cover}); err != nil {
		f = nil
	}
	e.file, e.err = f, err
}

// stamp is what tells without reading whether a file is still the one that was
// read. The time of its last change of status (ctime), unlike that of its
// content, can't be set by rsync, tar and the like.
type stamp struct {
	device, inode     uint64
	size              int64
	modified, changed unix.Timespec
	settled           bool
}

// settling is how old a change must be to be sure that another one would get a
// time of its own: more than the coarsest clock of a file system has (FAT: 2 s).
const settling = 3 * time.Second

func newStamp(s *unix.Stat_t, now time.Time) stamp {
	return stamp{
		device: uint64(s.Dev), inode: s.Ino, size: s.Size, modified: s.Mtim, changed: s.Ctim, //nolint:unconvert // int32 on macOS; an identity, not a number
		settled: now.Sub(time.Unix(s.Ctim.Unix())) > settling,
	}
}

// holds reports whether the file at path is certainly the one that was read.
func (s *stamp) holds(path string) bool {
	var now unix.Stat_t
	if !s.settled || unix.Stat(path, &now) != nil {
		return false
	}
	fresh := newStamp(&now, time.Time{})
	fresh.settled = true
	return fresh == *s
}

// read returns the content of a file below dir; symbolic links can't lead
// outside of it.
func read(dir, name string) ([]byte, stamp, error) {
	f, err := os.OpenInRoot(dir, filepath.FromSlash(name))
	if err != nil {
		return nil, stamp{}, fmt.Errorf("cannot open script %q: %w", name, err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, stamp{}, fmt.Errorf("script %q is not a regular file", name)
	}
	var read stamp // taken before the content: what is written meanwhile shows
	if status := new(unix.Stat_t); unix.Fstat(int(f.Fd()), status) == nil {
		read = newStamp(status, time.Now())
	}
	source, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, stamp{}, fmt.Errorf("cannot read script %q: %w", name, err)
	}
	if len(source) > maxFile {
		return nil, stamp{}, fmt.Errorf("script %q is too large, expected at most %d bytes", name, maxFile)
	}
	return source, read, nil
}

// ScriptName turns a name of the configuration into that of a file below the
// scripts directory: without an extension it gets ".lua".
func ScriptName(name string) (string, error) {
	if filepath.Ext(name) == "" {
		name += ".lua"
	}
	name = filepath.ToSlash(filepath.Clean(name))
	if !filepath.IsLocal(name) || strings.ContainsAny(name, "\x00") {
		return "", fmt.Errorf("script %q is not a path below the scripts directory, expected one like auth.lua", name)
	}
	return name, nil
}

// moduleName turns the argument of require into the name of a file: dots are
// slashes, as everywhere in Lua.
func moduleName(name string) (string, error) {
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || strings.ContainsAny(part, "/\\\x00") {
			return "", errors.New("expected names joined by dots, such as lib.auth")
		}
	}
	return strings.ReplaceAll(name, ".", "/") + ".lua", nil
}
