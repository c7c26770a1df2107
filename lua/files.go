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

// Cache keeps compiled scripts by their content, so that VMs, tenants and
// generations share them.
type Cache struct {
	mu       sync.Mutex
	programs map[cacheKey]*vm.Program
	used     map[cacheKey]bool
}

type cacheKey struct {
	name  string
	sum   [sha256.Size]byte
	cover bool
}

// NewCache returns an empty cache.
func NewCache() *Cache {
	return &Cache{programs: map[cacheKey]*vm.Program{}, used: map[cacheKey]bool{}}
}

// Begin starts a generation: Sweep drops what isn't used after it.
func (c *Cache) Begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.used)
}

// Sweep drops the programs that were not used since Begin.
func (c *Cache) Sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.programs {
		if !c.used[key] {
			delete(c.programs, key)
		}
	}
}

// load reads and compiles a script of the directory.
func (c *Cache) load(dir, name string, cover bool) (*file, error) {
	source, err := read(dir, name)
	if err != nil {
		return nil, err
	}
	f := &file{name: name, sum: sha256.Sum256(source)}
	key := cacheKey{name, f.sum, cover}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used[key] = true
	if f.program = c.programs[key]; f.program != nil {
		return f, nil
	}
	if f.program, err = vm.Compile(source, name, vm.Options{Cover: cover}); err != nil {
		return nil, err
	}
	c.programs[key] = f.program
	return f, nil
}

// read returns the content of a file below dir; symbolic links can't lead
// outside of it.
func read(dir, name string) ([]byte, error) {
	f, err := os.OpenInRoot(dir, filepath.FromSlash(name))
	if err != nil {
		return nil, fmt.Errorf("cannot open script %q: %w", name, err)
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("script %q is not a regular file", name)
	}
	source, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read script %q: %w", name, err)
	}
	if len(source) > maxFile {
		return nil, fmt.Errorf("script %q is too large, expected at most %d bytes", name, maxFile)
	}
	return source, nil
}

// scriptName turns a name of the configuration into that of a file: without
// an extension it gets ".lua".
func scriptName(name string) (string, error) {
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
