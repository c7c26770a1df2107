package lua

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/keystone-gateway/keystone-gateway/proxy/files"
	"github.com/keystone-gateway/keystone-gateway/proxy/spelling"
)

// index says where files lie, by their base names: those of a directory but for
// what bears a tenant's name, or those of one tenant, so that none can spoil the
// search of others. It belongs to one generation. It follows no links, and it only
// proposes: whether a file may be read is decided when it is opened.
type index struct {
	done  chan struct{}       // closed when the look has ended; what is below is fixed then
	top   map[string]bool     // what the directory itself has, whatever it is
	files map[string][]string // files below, with slashes
	seen  int                 // files and directories
	err   error
}

// indexKey is whose scripts in a directory an index is of; no owner is nobody's.
type indexKey struct{ dir, owner string }

// Bounds of an index.
const (
	maxIndexed    = 100_000 // files and directories
	maxIndexDepth = 32      // directories within each other
	maxGuessed    = 500     // files among which a misspelt name is looked for
)

var errIndex = fmt.Errorf("it has more than %d files, or directories nested more than %d deep", maxIndexed, maxIndexDepth)

// located is a script that was found below the directory.
type located struct{ owner, name, file string }

// owner is whose directory a script may be found in; empty is nobody's.
func (o *Options) owner(i int) string {
	if i < o.Global {
		return ""
	}
	return o.Tenant
}

// script returns the name of a script's file, and reads it.
func (s *Scripts) script(name, owner string) (string, error) {
	_, err := s.file(name)
	if err == nil {
		return name, nil
	}
	file, err := s.options.Cache.locate(s.loading.ctx, s.options.Dir, owner, name, err)
	if err != nil {
		return name, err
	}
	s.located = append(s.located, located{owner, name, file})
	_, err = s.file(file)
	return file, err
}

// stillLocated reports whether the scripts that were found would be found again.
func (s *Scripts) stillLocated(ctx context.Context, o *Options) bool {
	for _, l := range s.located {
		file, err := o.Cache.locate(ctx, o.Dir, l.owner, l.name, fs.ErrNotExist)
		if err != nil || file != l.file {
			return false
		}
	}
	return true
}

// locate returns the file that a name of the configuration, as ScriptName has
// made it, stands for: that file or, if there is none, the only one of that name
// in a directory below. What lies in a directory that bears the name of a tenant
// is for nobody but owner, where that is its name. notThere is why the name
// itself can't be read; it is the error where nothing is found.
func (c *Cache) locate(ctx context.Context, dir, owner, name string, notThere error) (string, error) {
	if !errors.Is(notThere, fs.ErrNotExist) {
		return "", notThere
	}
	if below, rest, ok := strings.Cut(name, "/"); ok {
		hint := ""
		if below == filepath.Base(dir) {
			hint = fmt.Sprintf("; names start from there: write %q", rest)
		}
		return "", fmt.Errorf("%w below lua_routing.scripts_dir%s", notThere, hint)
	}
	owners := []string{""}
	if owner != "" {
		owners = append(owners, owner)
	}
	var found, known []string
	for _, owner := range owners {
		i := c.index(indexKey{dir, owner})
		select {
		case <-i.done:
		case <-ctx.Done():
			return "", fmt.Errorf("script %q: looking for it below the scripts directory took too long: %w", name, context.Cause(ctx))
		}
		if i.err != nil {
			return "", fmt.Errorf("%w, and it can't be looked for below the scripts directory: %w", notThere, i.err)
		}
		if i.top[name] { // a link that leads nowhere is no reason to take another file
			return "", notThere
		}
		found = append(found, i.files[name]...)
		if len(i.top)+len(i.files) <= maxGuessed {
			known = slices.AppendSeq(slices.AppendSeq(known, maps.Keys(i.top)), maps.Keys(i.files))
		}
	}
	switch len(found) {
	case 0:
		hint := ""
		slices.Sort(known)
		if near := spelling.Nearest(name, known); strings.HasSuffix(near, ".lua") {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		return "", fmt.Errorf("%w below lua_routing.scripts_dir%s", notThere, hint)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("script %q could be %s, expected its name with the directory", name, strings.Join(shortened(found), " or "))
}

// shortened bounds the candidates that an error names.
func shortened(found []string) []string {
	const most = 5
	if len(found) > most {
		return append(found[:most:most], fmt.Sprintf("one of %d more", len(found)-most))
	}
	return found
}

// index returns this generation's index, which it begins to make if need be.
func (c *Cache) index(key indexKey) *index {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.indexes[key]
	if i != nil {
		return i
	}
	i = &index{done: make(chan struct{}), top: map[string]bool{}, files: map[string][]string{}}
	c.indexes[key] = i
	if !c.beginLocked(key) {
		i.err = fmt.Errorf("it has been looked through %d times without an end", maxRunning)
		close(i.done)
		return i
	}
	dir := files.Dir{Path: key.dir, Owners: c.owners}
	go func() { // it ends when the file system has answered; nobody waits for that but for as long as they want
		defer c.end(key)
		defer close(i.done)
		if key.owner == "" {
			i.err = i.add(dir, "", 0)
		} else if info, err := os.Lstat(filepath.Join(key.dir, key.owner)); err == nil && info.IsDir() && !dir.Foreign(key.owner+"/", key.owner) {
			i.err = i.add(dir, key.owner+"/", 1)
		}
	}()
	return i
}

// add adds what is in a directory. What can't be read counts as absent. Hidden
// files and directories are left out: editors and version control keep notes in
// them.
func (i *index) add(dir files.Dir, below string, depth int) error {
	flags := 0
	if below != "" {
		flags = syscall.O_NOFOLLOW // it was no link when it was found
	}
	entries, err := entriesOf(filepath.Join(dir.Path, filepath.FromSlash(below)), maxIndexed+1-i.seen, flags)
	if err != nil {
		return nil //nolint:nilerr // as the comment says
	}
	if i.seen += len(entries); i.seen > maxIndexed || depth > maxIndexDepth {
		return errIndex
	}
	for _, entry := range entries {
		name := entry.Name()
		if depth == 0 {
			i.top[name] = true
		}
		switch {
		case strings.HasPrefix(name, "."):
		case entry.IsDir():
			if depth == 0 && dir.Foreign(name+"/", "") { // a tenant's
				continue
			}
			if err := i.add(dir, below+name+"/", depth+1); err != nil {
				return err
			}
		case depth > 0 && entry.Type().IsRegular() && strings.HasSuffix(name, ".lua"):
			i.files[name] = append(i.files[name], below+name)
		}
	}
	return nil
}

// entriesOf returns what a directory has, by name, and no more than so much of
// it: a tenant may have put any number of files there, or a pipe in its place.
func entriesOf(path string, most, flags int) ([]fs.DirEntry, error) {
	directory, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_DIRECTORY|flags, 0) //nolint:gosec // G304: a directory below the scripts directory
	if err != nil {
		return nil, err //nolint:wrapcheck // nobody sees it
	}
	defer func() { _ = directory.Close() }()
	entries, err := directory.ReadDir(max(most, 1))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err //nolint:wrapcheck // as above
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}
