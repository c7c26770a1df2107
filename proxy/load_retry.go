package proxy

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
)

// retry is when a tenant's scripts are loaded again that could not be loaded for
// want of time or memory. What is wrong with them otherwise stays wrong until
// somebody changes it, and then reloads.
type retry struct {
	of    *scriptsLoad // that failed last
	tries int
	at    time.Time
	begun *scriptsLoad // the retry itself; nil: it is not yet time
}

// The pause before the first retry; each is twice as long as the one before, up
// to longestRetry.
const (
	firstRetry   = time.Second
	longestRetry = time.Minute
	// mostRetries are under way at once: those that were refused memory together
	// would be so again.
	mostRetries = 4
)

// compare sorts what is due: who has failed less often goes first. So those that
// fail again and again, however many they are, don't keep the others waiting.
func (r *retry) compare(other *retry) int {
	return cmp.Or(cmp.Compare(r.tries, other.tries), r.at.Compare(other.at))
}

// passing reports whether a load has failed for want of time or memory.
func (l *scriptsLoad) passing() bool {
	list, ok := errors.AsType[lua.BrokenScripts](l.err)
	return ok && list.Passing()
}

// hasEnded reports whether the result is there.
func (l *scriptsLoad) hasEnded() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// planRetries decides when the loads that have failed are tried again.
// reloadMu is held.
func (s *Server) planRetries(failed map[string]*scriptsLoad) {
	if s.retries.timer != nil {
		s.retries.timer.Stop()
	}
	next, first, begun := map[string]*retry{}, time.Time{}, 0
	for name, l := range failed {
		r := s.retries.list[name]
		switch {
		case !l.hasEnded():
			if r != nil { // this is the retry
				next[name] = r
				begun++
			}
			continue
		case !l.passing():
			continue
		case r == nil || r.of != l:
			tries := 0
			if r != nil {
				tries = r.tries
			}
			pause := min(firstRetry<<min(tries, 10), longestRetry)
			r = &retry{of: l, tries: tries + 1, at: time.Now().Add(pause)}
		}
		next[name] = r
		if r.begun != nil {
			begun++
		} else if first.IsZero() || r.at.Before(first) {
			first = r.at
		}
	}
	s.retries.list = next
	if !first.IsZero() && begun < mostRetries && !s.draining.Load() {
		s.retries.timer = time.AfterFunc(time.Until(first), s.retry)
	}
}

// retries are guarded by reloadMu.
type retries struct {
	list  map[string]*retry // by tenant
	timer *time.Timer
}

// retry loads again what is due. Nobody waits for that: reloads go on meanwhile.
func (s *Server) retry() {
	s.reloadMu.Lock()
	defer s.reloadMu.Unlock()
	if s.draining.Load() {
		return
	}
	snap := s.current.Load()
	list := s.candidates(snap.asked)
	var loads []*scriptsLoad
	begun := 0
	for _, r := range s.retries.list {
		if r.begun != nil {
			begun++
		}
	}
	due := slices.DeleteFunc(list, func(c candidate) bool {
		r := s.retries.list[c.asked.Name]
		return r == nil || r.begun != nil || time.Until(r.at) > 0
	})
	slices.SortFunc(due, func(a, b candidate) int {
		return s.retries.list[a.asked.Name].compare(s.retries.list[b.asked.Name])
	})
	for i := range due[:min(len(due), max(0, mostRetries-begun))] {
		l := s.newLoad(snap.asked, &due[i], snap.asked.scriptsDir(s.dir))
		s.retries.list[due[i].asked.Name].begun = l
		loads = append(loads, l)
	}
	s.planRetries(snap.failed)
	if len(loads) > 0 {
		s.runLoads(loads)
		go s.useLaterLoads(snap.asked, loads)
	}
}
