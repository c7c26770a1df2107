package lua

import (
	"sync"
	"sync/atomic"
	"time"
)

// script is one script of a tenant, over all its VMs: its quarantine.
type script struct {
	name     string
	until    atomic.Int64 // end of the last quarantine, in nanoseconds; 0 is none
	failures atomic.Int32 // for budget, in a row

	mu     sync.Mutex // serialises exhausted
	spells int        // quarantines in a row
}

// Lengths of a quarantine.
const (
	firstQuarantine = time.Second
	lastQuarantine  = time.Minute
)

// quarantined returns for how long the script must not run; 0 is not at all.
func (s *script) quarantined(now func() int64) time.Duration {
	until := s.until.Load()
	if until == 0 {
		return 0
	}
	return max(0, time.Duration(until-now()))
}

// succeeded ends a row of failures. trial says that the run began after a
// quarantine: then that is over for good.
func (s *script) succeeded(trial bool) {
	switch {
	case trial:
		s.release()
	case s.failures.Load() != 0 && s.until.Load() == 0:
		s.failures.Store(0)
	}
}

// onTrial reports whether the script has been in quarantine since it last
// succeeded.
func (s *script) onTrial() bool { return s.until.Load() != 0 }

// release ends a quarantine.
func (s *script) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures.Store(0)
	s.until.Store(0)
	s.spells = 0
}

// exhausted counts a failure for budget; it returns the length of the
// quarantine that begins with it, or 0.
func (s *script) exhausted(after int, now int64) time.Duration {
	if after == 0 {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	until := s.until.Load()
	if now < until { // it began before the quarantine did
		return 0
	}
	if int(s.failures.Add(1)) < after && until == 0 { // after one, the first failure is enough
		return 0
	}
	s.failures.Store(0)
	length := min(firstQuarantine<<min(s.spells, 10), lastQuarantine)
	s.spells++
	s.until.Store(now + int64(length))
	return length
}
