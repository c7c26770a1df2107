package tickets

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/files"
)

// File has keys come from a file, and takes it up when it changes. The zero value
// has none, and leaves the keys to the process.
type File struct {
	mu     sync.Mutex // guards all below, and changes of the keys' source
	path   string     // "": the process's own
	sum    [sha256.Size]byte
	stamp  files.Stamp // of what was read
	seen   files.Stamp // of a change, until it is left alone
	broken error       // why what there is now can't be used
	since  time.Time   // and since when that is known
}

// Broken says why the file can't be used as it is, and since when that is known; err is
// nil while it can.
func (f *File) Broken() (path string, since time.Time, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.path, f.since, f.broken
}

// Use has keys come from a file's secret, which Read has returned; "" is the
// process's own.
func (f *File) Use(keys *Keys, path string, secret Shared) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sum := sha256.Sum256(secret)
	if f.path == path && (path == "" || f.sum == sum) {
		return
	}
	f.path, f.sum, f.stamp, f.broken = path, sum, files.Stamp{}, nil
	if path == "" {
		keys.Use(&own{})
		return
	}
	keys.Use(secret)
}

// watchEvery is the time between two looks.
const watchEvery = time.Second

// Watch takes the file up when it has changed and been left alone from one look to
// the next, until ctx is done. tell is told of that, and of what is wrong with it.
func (f *File) Watch(ctx context.Context, keys *Keys, tell func(path string, err error)) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if path, changed, err := f.refresh(keys); changed || err != nil {
				tell(path, err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// refresh reads what has changed. An error is told once.
func (f *File) refresh(keys *Keys) (path string, changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.path == "" {
		return "", false, nil
	}
	now, _ := files.Look(f.path) // reading says what is wrong
	if f.stamp.Certain(now) {
		f.broken = nil
		return "", false, nil
	}
	if !f.seen.Like(now) {
		f.seen = now
		return "", false, nil
	}
	secret, err := Read(f.path)
	if err != nil {
		if f.broken != nil && f.broken.Error() == err.Error() {
			return "", false, nil
		}
		if f.broken == nil {
			f.since = time.Now()
		}
		f.broken = err
		return f.path, false, err
	}
	f.stamp, f.broken = now, nil
	if sum := sha256.Sum256(secret); sum != f.sum {
		f.sum = sum
		keys.Use(secret)
		return f.path, true, nil
	}
	return "", false, nil
}
