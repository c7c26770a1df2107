package proxy

import (
	"context"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// How files are watched. They are looked at rather than waited for (inotify,
// kqueue): that works on every file system, network and container mounts
// included, sees editors that write and rename, links that are exchanged and
// directories that are new, needs no descriptor for each of them and no
// module.
const (
	watchEvery = 250 * time.Millisecond
	// watchQuiet is how long files must have been left alone before a reload.
	watchQuiet = 100 * time.Millisecond
	// watchPatience is how long they may keep changing before they are read all
	// the same.
	watchPatience = 2 * time.Second
	// watchDoubt is how long before a snapshot was made a file may have changed
	// without being in it for certain: what is watched first is compared by it.
	watchDoubt = time.Second
	// watchShare bounds what looking takes: one part in so many of the time.
	watchShare = 100
)

// Watch reloads when files have changed, while lua.watch or always says so. It
// returns when ctx is done; Run doesn't call it.
func (s *Server) Watch(ctx context.Context, always bool) {
	var known look // the files as they were when they were last acted upon
	for pause := time.Duration(0); sleep(ctx, pause); {
		snap := s.current.Load()
		if !always && !snap.config.Lua.Watch {
			known, pause = look{}, watchEvery
			continue
		}
		began := time.Now()
		now := s.lookAround(snap.config)
		pause = max(watchEvery, watchShare*time.Since(began))
		changed := now.sum != known.sum
		if now.dir != known.dir { // the first look, or a reload chose another directory
			known, changed = now, now.newest.After(snap.made.Add(-watchDoubt))
		}
		if !changed {
			continue
		}
		if known = s.awaitQuiet(ctx, snap.config, now); ctx.Err() != nil {
			return
		}
		s.log.Info().Msg("files have changed")
		s.Reload() // which logs its result
	}
}

// awaitQuiet looks until nothing has changed between two looks, but not for
// ever.
func (s *Server) awaitQuiet(ctx context.Context, config *Config, now look) look {
	began := time.Now()
	for time.Since(began) < watchPatience && sleep(ctx, watchQuiet) {
		again := s.lookAround(config)
		if again.sum == now.sum {
			break
		}
		now = again
	}
	return now
}

// sleep returns false if ctx is done first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// look is what a look at the files has found.
type look struct {
	dir    string    // of the scripts
	sum    uint64    // of names, sizes, times and identities
	newest time.Time // the latest modification
}

// lookAround looks at the configuration file, the files that it names and all Lua files below the
// scripts directory.
func (s *Server) lookAround(config *Config) look {
	dir := config.scriptsDir(s.dir)
	sum := fnv.New64a()
	var newest time.Time
	var line []byte
	add := func(path string) {
		info, err := os.Stat(path) // follows links
		if err != nil {
			return
		}
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
		line = append(append(line[:0], path...), 0)
		line = strconv.AppendInt(append(line, ' '), info.Size(), 10)
		line = strconv.AppendInt(append(line, ' '), info.ModTime().UnixNano(), 10)
		line = strconv.AppendUint(append(line, ' '), identity(info), 10)
		_, _ = sum.Write(append(line, '\n'))
	}
	add(s.file)
	config.inputs.each(add)
	s.refused.Load().each(add) // what is missing may come
	if config.LuaRouting.Enabled {
		eachScript(dir, add)
	}
	return look{dir, sum.Sum64(), newest}
}

// eachScript calls f for each Lua file below a directory, in order. What can't
// be read counts as absent. Hidden files and directories are left out: editors
// and version control keep notes in them.
func eachScript(dir string, f func(path string)) {
	dir = filepath.Clean(dir)
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fs.SkipDir
		}
		hidden := strings.HasPrefix(entry.Name(), ".") && path != dir
		switch {
		case hidden && entry.IsDir():
			return fs.SkipDir
		case !hidden && !entry.IsDir() && filepath.Ext(path) == ".lua":
			f(path)
		}
		return nil
	})
}

// identity tells a file from another one of the same name.
func identity(info os.FileInfo) uint64 {
	if status, ok := info.Sys().(*syscall.Stat_t); ok {
		return status.Ino
	}
	return 0
}
