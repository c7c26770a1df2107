package lua

import (
	"testing"
	"time"
)

// TestRunsAreCountedWhenTheyAre: what succeeds or fails counts for the half of the window
// in which it does, for all and for whoever is watched.
func TestRunsAreCountedWhenTheyAre(t *testing.T) {
	t.Parallel()
	now := 100 * halfWindow
	clock := func() int64 { return now }
	s := &script{}
	s.worked.Store(1)
	s.exhausted(50, addressOf(1), now)
	for range 20 {
		s.succeeded(addressOf(1), false, clock)
		s.succeeded(addressOf(2), false, clock)
		s.exhausted(50, addressOf(1), now)
	}
	for halves, want := range [][4]int{{21, 41, 21, 21}, {21, 41, 21, 21}, {0, 0, 0, 0}} {
		now = (100 + int64(halves)) * halfWindow
		s.all.roll(now)
		one := s.clients[addressOf(1)]
		one.roll(now)
		bad, good := s.all.sums()
		ownBad, ownGood := one.sums()
		if got := [4]int{bad, good, ownBad, ownGood}; got != want {
			t.Errorf("after %d halves, %d are counted, want %d", halves, got, want)
		}
	}
	if s.worked.Load() != 41 || s.clients[addressOf(2)] != nil {
		t.Errorf("%d runs have succeeded; who does no harm is watched: %v", s.worked.Load(), s.clients[addressOf(2)] != nil)
	}
}

// TestTestsOfQuarantines: while a script is kept from all, a client that has done no harm
// may try once in a while; at the end of the quarantine nobody has to.
func TestTestsOfQuarantines(t *testing.T) {
	t.Parallel()
	now := int64(time.Hour)
	clock := func() int64 { return now }
	s := &script{}
	for range 5 {
		s.exhausted(5, addressOf(1), now)
	}
	until := s.all.until
	if until != now+int64(firstQuarantine) || s.quarantined(addressOf(1), clock) == 0 {
		t.Fatal("the script isn't kept from all")
	}
	if s.quarantined(addressOf(2), clock) != 0 || s.nextTest != now+testPause {
		t.Error("a harmless client may not try")
	}
	if s.quarantined(addressOf(3), clock) != firstQuarantine {
		t.Error("another one may at once")
	}
	now = until - 1
	s.nextTest = now + 1
	if s.quarantined(addressOf(3), clock) != 1 {
		t.Error("another one may too soon")
	}
	s.nextTest = now
	if s.quarantined(addressOf(3), clock) != 0 || s.nextTest != now+testPause {
		t.Error("a harmless client may not try after the pause")
	}
	now, s.nextTest = until, 0
	if s.quarantined(addressOf(1), clock) != 0 || s.quarantined(addressOf(3), clock) != 0 || s.nextTest != 0 {
		t.Error("the quarantine doesn't end, or takes a test to")
	}
	if !s.onTrial(addressOf(1)) || !s.onTrial(addressOf(3)) {
		t.Error("after a quarantine nobody is on trial")
	}
	s.succeeded(addressOf(3), true, clock)
	if s.all.until != 0 || s.all.spells != 0 || s.onTrial(addressOf(3)) || !s.onTrial(addressOf(1)) {
		t.Error("a success doesn't end the trial of all, or that of who has done harm")
	}
	s.succeeded(addressOf(1), true, clock)
	if r := s.clients[addressOf(1)]; r == nil || r.until != 0 || r.spells != 0 || s.onTrial(addressOf(1)) {
		t.Error("a success doesn't end the client's trial")
	}
}
