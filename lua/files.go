package lua

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/files"
)

// maxFile bounds a script file, in bytes.
const maxFile = 1 << 20

// file is one script file as it was read.
type file struct {
	name    string // below the scripts directory, with slashes
	sum     [sha256.Size]byte
	program *vm.Program
	counted bool // see uncounted
}

// Cache keeps scripts as they were read and compiled, so that VMs, tenants and
// generations share them. In one generation a file is looked at once, whoever
// asks for it, and it is read again only where it may have changed. Nobody
// waits for another generation's looks: a file of which one never ends is
// looked at anew in the next.
type Cache struct {
	large      sync.Mutex // held while a large source is compiled
	mu         sync.Mutex
	generation uint64              // guarded by mu, as are those below
	owners     *files.Owners       // the tenants of this generation
	entries    map[cacheKey]*entry // by file
	indexes    map[indexKey]*index // of this generation
	running    map[any]int         // loads by tenant, and looks by file, that have not ended
}

type cacheKey struct {
	dir, name string
	cover     bool
	counted   bool
}

// uncounted is how many files of a tenant may assign to some constant names
// without that being counted: by what all of them name, a table can grow.
const uncounted = 8

// entry is what one generation has found of a file.
type entry struct {
	generation uint64
	asked      bool          // somebody wanted it; guarded by Cache.mu
	waiters    int           // of those, who wait for it; guarded by Cache.mu
	done       chan struct{} // closed when the look has ended; what is below is fixed then
	stamp      files.Stamp
	file       *file // nil with err
	err        error
}

// NewCache returns an empty cache.
func NewCache() *Cache {
	return &Cache{generation: 1, entries: map[cacheKey]*entry{}, indexes: map[indexKey]*index{}, running: map[any]int{}}
}

// Begin starts a generation: files are looked at again, each once. Its tenants
// are those whose directories no link may lead into. Begin finds out which files
// have certainly not changed, so that nobody has to wait for a look at those.
func (c *Cache) Begin(tenants []string) {
	c.mu.Lock()
	c.generation++
	c.owners, c.indexes = files.NewOwners(tenants), map[indexKey]*index{}
	known := make(map[cacheKey]*entry, len(c.entries))
	for key, e := range c.entries {
		if e.ended() && e.file != nil {
			known[key] = e
		}
	}
	c.mu.Unlock()
	unchanged := make(chan map[cacheKey]*entry, 1)
	go func() { // it ends when the last stat does, which hangs on some file systems
		for key, e := range known {
			if !e.stamp.Holds(key.dir, key.name) {
				delete(known, key)
			}
		}
		unchanged <- known
	}()
	timer := time.NewTimer(statPatience)
	defer timer.Stop()
	select {
	case known = <-unchanged:
	case <-timer.C:
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, e := range known {
		fresh := *e
		fresh.generation, fresh.asked = c.generation, false
		c.entries[key] = &fresh
	}
}

// statPatience is how long Begin looks at files. What it has not seen by then is
// looked at by who needs it.
const statPatience = time.Second

// Sweep drops the files that nobody has asked for since Begin, and those of
// which the look has not ended.
func (c *Cache) Sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, e := range c.entries {
		if e.generation != c.generation || !e.asked || !e.ended() {
			delete(c.entries, key)
		}
	}
}

// Check reads and compiles the file that a name of the configuration stands
// for, without running it, until ctx is done. owner is the tenant whose script it
// is; empty is all tenants'.
func (c *Cache) Check(ctx context.Context, dir, owner, name string) error {
	name, err := ScriptName(name)
	if err != nil {
		return err
	}
	if _, err = c.load(ctx, cacheKey{dir: dir, name: name}); err == nil {
		return nil
	}
	if name, err = c.locate(ctx, dir, owner, name, err); err != nil {
		return err
	}
	_, err = c.load(ctx, cacheKey{dir: dir, name: name})
	return err
}

// load returns a script of the directory, read and compiled. It returns when
// ctx is done, whatever becomes of the look.
func (c *Cache) load(ctx context.Context, key cacheKey) (*file, error) {
	e := c.entry(key)
	defer c.waited(e)
	select {
	case <-e.done:
		return e.file, e.err
	case <-ctx.Done():
		return nil, fmt.Errorf("script %q: reading and compiling it took too long: %w", key.name, context.Cause(ctx))
	}
}

// entry returns this generation's look at a file, which it begins if need be.
func (c *Cache) entry(key cacheKey) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.entries[key]
	if before != nil && before.generation == c.generation {
		before.asked = true
		before.waiters++
		return before
	}
	e := &entry{generation: c.generation, asked: true, waiters: 1, done: make(chan struct{})}
	c.entries[key] = e
	if !c.beginLocked(key) {
		e.err = fmt.Errorf("script %q: it has been read and compiled %d times without an end", key.name, maxRunning)
		close(e.done)
		return e
	}
	if before != nil && before.ended() {
		e.stamp, e.file = before.stamp, before.file
	}
	dir := files.Dir{Path: key.dir, Owners: c.owners}
	go func() { // it ends when reading and compiling do; nobody waits for that but for as long as they want
		defer c.end(key)
		defer c.looked(key, e)
		defer func() {
			if cause := recover(); cause != nil {
				e.file, e.err = nil, fmt.Errorf("BUG: compiling %q has panicked: %v", key.name, cause)
			}
		}()
		e.look(c, dir, key)
	}()
	return e
}

// unchanged reports whether this generation knows already that a file is what it
// was.
func (c *Cache) unchanged(key cacheKey, was *file) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil || e.generation != c.generation || !e.ended() || e.file != was {
		return false
	}
	e.asked = true
	return true
}

// maxRunning bounds what is given up and goes on all the same, of one tenant
// and of one file: a system call that hangs, at worst.
const maxRunning = 8

// begin counts what ends with end, unless there are too many of it already.
func (c *Cache) begin(what any) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.beginLocked(what)
}

func (c *Cache) beginLocked(what any) bool {
	if c.running[what] >= maxRunning {
		return false
	}
	c.running[what]++
	return true
}

func (c *Cache) end(what any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running[what]--; c.running[what] == 0 {
		delete(c.running, what)
	}
}

func (e *entry) ended() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

// look reads and compiles the file if it may have changed.
func (e *entry) look(c *Cache, dir files.Dir, key cacheKey) {
	if e.file != nil && e.stamp.Holds(key.dir, key.name) {
		return
	}
	source, stamp, err := read(dir, key.name)
	if err != nil {
		e.file, e.err = nil, err
		return
	}
	e.stamp = stamp
	f := &file{name: key.name, sum: sha256.Sum256(source), counted: key.counted}
	if e.file != nil && e.file.sum == f.sum {
		return
	}
	if f.program, err = c.compile(source, key, e); err != nil {
		f = nil
	}
	e.file, e.err = f, err
}

// read returns the content of a script.
func read(dir files.Dir, name string) ([]byte, files.Stamp, error) {
	source, stamp, err := dir.Read(name, maxFile)
	if err != nil {
		return nil, stamp, cause.Of(fmt.Errorf("cannot open script %q: %w", name, err))
	}
	return source, stamp, nil
}

// ScriptName turns a name of the configuration into that of a file below the
// scripts directory: without ".lua" it gets that.
func ScriptName(name string) (string, error) {
	if filepath.Ext(name) != ".lua" {
		name += ".lua"
	}
	name = filepath.ToSlash(filepath.Clean(name))
	if !filepath.IsLocal(name) || strings.ContainsAny(name, "\x00") {
		return "", fmt.Errorf("script %q is not a path below the scripts directory, expected one like auth.lua", name)
	}
	return name, nil
}
