package lua

import (
	"sync/atomic"
	"time"
)

// script is one script of a tenant, over all its VMs: its quarantine.
type script struct {
	name     string
	failures atomic.Int32 // for budget, in a row
	until    atomic.Int64 // end of the quarantine, nanotime; 0 is none
	spells   atomic.Int32 // quarantines in a row
}

// Lengths of a quarantine.
const (
	firstQuarantine = time.Second
	lastQuarantine  = time.Minute
)

// quarantined reports whether the script must not run.
func (s *script) quarantined(now func() int64) bool {
	until := s.until.Load()
	return until != 0 && now() < until
}

// succeeded ends a row of failures.
func (s *script) succeeded() {
	if s.failures.Load() != 0 {
		s.failures.Store(0)
	}
	if s.until.Load() != 0 {
		s.until.Store(0)
		s.spells.Store(0)
	}
}

// exhausted counts a failure for budget; it returns the length of the
// quarantine that begins with it, or 0.
func (s *script) exhausted(after int, now int64) time.Duration {
	if after == 0 {
		return 0
	}
	failures := int(s.failures.Add(1))
	trial := s.until.Load() != 0 // a request that was let through after a quarantine
	if failures < after && !trial {
		return 0
	}
	s.failures.Store(0)
	length := min(firstQuarantine<<min(s.spells.Load(), 10), lastQuarantine)
	s.spells.Add(1)
	s.until.Store(now + int64(length))
	return length
}
