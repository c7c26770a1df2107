package lua

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// addCode counts the code of a file, which stays as long as the scripts do, and
// says why they may not have it. Only what is much is refused: by small
// scripts, the process is as large as there are tenants.
func (s *Scripts) addCode(f *file) error {
	size := f.program.Size()
	s.code += size
	if most := max(mostCode, s.options.Config.MaxVMMemory.Int64()); s.code > most {
		return fmt.Errorf("%s: the compiled code of the tenant's scripts and modules takes more than %d bytes", f.name, most)
	}
	if why := s.loading.Lend(size); why != nil {
		return errors.New(why.Limit)
	}
	if s.code > smallCode && !s.options.Loads.keep(s.code) {
		why := s.loading.relieve("the compiled code of the tenant's scripts and modules takes what memory there is left")
		return errors.New(why.Limit)
	}
	return nil
}

// smallCode is how many bytes of code a tenant may always have, mostCode how
// many at most, unless lua.max_vm_memory is more.
const (
	smallCode = 1 << 20
	mostCode  = 64 << 20
)

// forgetCode has the cache forget the code of scripts that could not be loaded,
// if it is much.
func (s *Scripts) forgetCode() {
	if s.code <= smallCode {
		return
	}
	for name, f := range s.files {
		s.options.Cache.forget(s.options.key(name, f.counted), f)
	}
}

// forget drops a file, unless it has been read again.
func (c *Cache) forget(key cacheKey, f *file) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[key]; e != nil && e.ended() && e.file == f {
		delete(c.entries, key)
	}
}

// waited says that one fewer waits for a file.
func (c *Cache) waited(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.waiters--
}

// looked says that the look at a file has ended. What is large, and what all who
// wanted it have given up, is not kept.
func (c *Cache) looked(key cacheKey, e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.waiters == 0 && c.entries[key] == e && (e.file == nil || e.file.program.Size() > smallCode) {
		delete(c.entries, key)
	}
	close(e.done)
}

// wanted reports whether anybody waits for a file.
func (c *Cache) wanted(e *entry) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return e.waiters > 0
}

// compile compiles a source. Large ones are compiled one after the other, while
// they are wanted: until it is done, that takes a hundred times as much memory
// as the source.
func (c *Cache) compile(source []byte, key cacheKey, e *entry) (*vm.Program, error) {
	if len(source) > largeSource {
		c.large.Lock()
		defer c.large.Unlock()
		if !c.wanted(e) {
			return nil, errors.New("nobody waits for it any more")
		}
	}
	return vm.Compile(source, key.name, vm.Options{Cover: key.cover, CountNames: key.counted})
}

// largeSource is from how many bytes on a source is large.
const largeSource = 64 << 10

// Mentions reports whether the scripts name a file of the tenant's directory as
// a module, although they have not loaded it: requests can't require it.
func (s *Scripts) Mentions(path string) bool {
	below, err := filepath.Rel(filepath.Join(s.options.Dir, s.options.Tenant), path)
	module, isLua := strings.CutSuffix(filepath.ToSlash(below), ".lua")
	if err != nil || !isLua || !filepath.IsLocal(below) {
		return false
	}
	module = strings.ReplaceAll(module, "/", ".")
	for _, f := range s.files {
		if f.program.Mentions(module) {
			return true
		}
	}
	return false
}
