package terms

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/files"
)

// watchEvery is the time between two looks.
const watchEvery = time.Second

// Change is what has become of files.
type Change struct {
	Taken   []string  // the files of terms of which some have changed
	Problem []Problem // what can't be used: the terms stay as they were
}

// Watch looks at the files of a set until ctx is done, and takes up those that
// have changed and been left alone from one look to the next.
func Watch(ctx context.Context, current func() *Set, tell func(Change)) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		for _, t := range current().known {
			if change := t.refresh(); len(change.Taken)+len(change.Problem) > 0 {
				tell(change)
			}
		}
	}
}

// Broken is a file that can't be used, since when that is known. What was read before is
// in use, unless it has ended.
type Broken struct {
	Problem
	Since time.Time
}

// Broken lists the files of a set that can't be used as they are at a time.
func (s *Set) Broken(at time.Time) (list []Broken) {
	for _, t := range s.known {
		list = append(list, t.brokenAt(at)...)
	}
	return list
}

// errEnded says that a revocation list isn't one any more.
var errEnded = errors.New("a revocation list has ended, whose authority's clients are refused: expected a newer one")

func (t *Terms) brokenAt(at time.Time) (list []Broken) {
	for _, l := range t.trust.Load().lists {
		if !l.next.IsZero() && at.After(l.next) {
			list = append(list, Broken{Problem{l.path, errEnded}, l.next})
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.broken {
		list = append(list, Broken{p, t.since})
	}
	return list
}

// refresh takes up what has changed.
func (t *Terms) refresh() (change Change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.look()
	if slices.EqualFunc(t.stamps, now, files.Stamp.Certain) {
		t.seen, t.said, t.broken = nil, "", nil
		return change
	}
	if t.seen == nil || !slices.EqualFunc(t.seen, now, files.Stamp.Like) {
		t.seen = now // and is read once it is left alone
		return change
	}
	taken, problems := t.take(now)
	if len(problems) > 0 && t.said != problems[0].Error() {
		t.said, change.Problem = problems[0].Error(), problems
	}
	if taken {
		change.Taken = t.paths()
	}
	return change
}

// renew takes up what has changed, at once.
func (t *Terms) renew() []Problem {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.look()
	if slices.EqualFunc(t.stamps, now, files.Stamp.Certain) {
		return nil
	}
	_, problems := t.take(now)
	return problems
}

// take reads the files, whose stamps were these before; t.mu is held.
func (t *Terms) take(stamps []files.Stamp) (taken bool, problems []Problem) {
	fresh, problems := t.read()
	if len(problems) > 0 {
		if t.broken == nil {
			t.since = time.Now()
		}
		t.broken = problems
		return false, problems
	}
	t.stamps, t.seen, t.said, t.broken = stamps, nil, "", nil
	if taken = !t.same(fresh); taken {
		t.trust.Store(fresh)
	}
	return taken, nil
}

// same reports whether nothing but the files' times has changed.
func (t *Terms) same(fresh *trust) bool {
	before := t.trust.Load()
	if before.sum != fresh.sum || len(before.lists) != len(fresh.lists) {
		return false
	}
	for owner, list := range fresh.lists {
		old := before.lists[owner]
		if old == nil || !old.made.Equal(list.made) || !old.next.Equal(list.next) || len(old.revoked) != len(list.revoked) {
			return false
		}
		for serial := range list.revoked {
			if _, known := old.revoked[serial]; !known {
				return false
			}
		}
	}
	return true
}
