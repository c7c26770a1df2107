package acme

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/files"
)

// The usual times of Directory.
const (
	lockBeat = 3 * time.Second
	lockDead = 20 * time.Second
)

// seenLocks is what has been seen of locks that others hold. Their age is told by
// our own clock, from when they were seen first as they still are: the clocks of
// other machines, and of file servers, may be wrong.
type seenLocks struct {
	mu   sync.Mutex
	list map[string]seenLock // by path; guarded by mu
}

type seenLock struct {
	token string
	beat  time.Time // of the file
	since time.Time // monotonic
}

// unchanged returns for how long a lock has been seen as it is.
func (s *seenLocks) unchanged(path, token string, beat time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.list[path]
	if !ok || known.token != token || !known.beat.Equal(beat) {
		s.list[path] = seenLock{token, beat, time.Now()}
		return 0
	}
	return time.Since(known.since)
}

func (s *seenLocks) forget(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.list, path)
}

// Lock makes a file that only one can make, and writes its time again and again
// while it is held.
func (d *Directory) Lock(key string) (release func(), ok bool, err error) {
	path, err := d.file(key + ".lock")
	if err != nil {
		return nil, false, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, false, err
	}
	token := rand.Text()
	err = writeNew(path, []byte(token))
	if errors.Is(err, fs.ErrExist) && d.bury(path) {
		err = writeNew(path, []byte(token))
	}
	if errors.Is(err, fs.ErrExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	d.seen.forget(path)
	return d.hold(path, token), true, nil
}

// hold shows that a lock's holder lives, until it is released.
func (d *Directory) hold(path, token string) (release func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(d.beat)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case now := <-ticker.C:
				if holds(path, token) {
					_ = os.Chtimes(path, now, now)
				}
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(stop)
		<-stopped
		if holds(path, token) {
			_ = os.Remove(path)
		}
	})
}

func holds(path, token string) bool {
	text, err := files.Read(path, maxValue)
	return err == nil && string(text) == token
}

// bury takes away the lock of somebody who has given no sign of life for long.
// Whoever does it at the same time may take the next holder's instead, and puts
// that back.
func (d *Directory) bury(path string) bool {
	text, err := files.Read(path, maxValue)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	info, err := os.Stat(path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	if d.seen.unchanged(path, string(text), info.ModTime()) < d.dead {
		return false
	}
	grave := filepath.Join(filepath.Dir(path), "."+rand.Text())
	if os.Rename(path, grave) != nil {
		return false
	}
	defer func() { _ = os.Remove(grave) }()
	if !holds(grave, string(text)) {
		_ = os.Link(grave, path)
		return false
	}
	return true
}
