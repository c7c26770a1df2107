package lua

import (
	"net/netip"
	"strconv"
	"testing"
	"time"
)

// addressOf is the n-th client's.
func addressOf(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}) }

// TestClientsOfAddresses: a /64 of IPv6 is one client's, and IPv4 is the same however
// it is written.
func TestClientsOfAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "2001:db8:1:3::1": "2001:db8:1:3::", "fe80::1%eth0": "fe80::",
	} {
		if got := clientOf(netip.MustParseAddr(address)); got != netip.MustParseAddr(want) {
			t.Errorf("%s is %s's, want %s", address, got, want)
		}
	}
	if clientOf(netip.Addr{}) != (netip.Addr{}) {
		t.Error("nobody's address is somebody's")
	}
}

// TestWindowsSlide: what was counted goes on into the next half of a window, and no
// further.
func TestWindowsSlide(t *testing.T) {
	t.Parallel()
	for halves, want := range map[int64]int{0: 7, 1: 7, 2: 0, 5: 0} {
		r := record{bad: [2]int{3, 4}, good: [2]int{4, 3}, half: 10}
		r.roll((10+halves)*halfWindow + halfWindow - 1)
		bad, good := r.sums()
		switch {
		case halves == 1:
			if bad != 3 || good != 4 || r.bad[0] != 0 || r.good[0] != 0 {
				t.Errorf("in the next half: %+v", r)
			}
		case bad != want || good != want:
			t.Errorf("after %d halves: %+v", halves, r)
		}
		if r.half != 10+halves {
			t.Errorf("after %d halves it is the %d.", halves, r.half)
		}
	}
	const end = int64(lastQuarantine)
	for _, c := range []struct {
		r    record
		now  int64
		over bool
	}{
		{record{}, 0, true}, {record{bad: [2]int{0, 1}}, 0, false}, {record{good: [2]int{5, 5}}, 0, true},
		{record{until: 100}, 100 + end, false}, {record{until: 100}, 101 + end, true},
	} {
		if c.r.over(c.now) != c.over {
			t.Errorf("%+v is over at %d: %v", c.r, c.now, !c.over)
		}
	}
}

// TestQuarantinesGetLonger: each is twice as long as the one before, up to a minute,
// and forgets what led to it.
func TestQuarantinesGetLonger(t *testing.T) {
	t.Parallel()
	var r record
	for i, seconds := range []int64{1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60, 60} {
		want := time.Duration(seconds * 1e9)
		r.bad, r.good = [2]int{1, 2}, [2]int{3, 4}
		if got := r.confine(1000); got != want || r.until != 1000+int64(got) || r.spells != i+1 || r.bad != [2]int{} || r.good != [2]int{} {
			t.Errorf("the %d.: %v, %+v", i+1, got, r)
		}
	}
}

// TestWhenQuarantinesBegin: as many runs must have used up their budget, and more than
// have succeeded.
func TestWhenQuarantinesBegin(t *testing.T) {
	t.Parallel()
	const after, now = 3, int64(time.Hour)
	one := addressOf(1)
	for _, c := range []struct {
		good, bad int
		length    time.Duration // with the last of them
		whole     bool
	}{
		{0, 2, 0, false}, {0, 3, time.Second, true}, {1, 3, 0, false}, // who has succeeded before is given credit
		{3, 3, 0, false}, {3, 4, time.Second, false}, {2, 3, time.Second, false},
	} {
		s := &script{name: "a.lua"}
		for range c.good {
			s.succeeded(one, false, func() int64 { return now })
		}
		length, whole := time.Duration(0), false
		for i := range c.bad {
			if length, whole = s.exhausted(after, one, now); length > 0 && i < c.bad-1 {
				t.Errorf("%+v: it begins with the %d.", c, i+1)
			}
		}
		if want := c; c.good == 1 {
			want.length = time.Second
			c = want
		}
		if length != c.length || whole != c.whole {
			t.Errorf("%+v: %v, for all: %v", c, length, whole)
		}
		if left := s.quarantined(one, func() int64 { return now + 1 }); (left > 0) != (c.length > 0) || left > c.length {
			t.Errorf("%+v: %v are left", c, left)
		}
		if other := s.quarantined(addressOf(2), func() int64 { return now + 1 }); c.length > 0 && !c.whole && other != 0 {
			t.Errorf("%+v: another client waits for %v", c, other)
		}
	}
	s := &script{}
	if length, whole := s.exhausted(0, one, now); length != 0 || whole || s.watched.Load() {
		t.Error("without quarantines, one begins")
	}
}

// TestScriptsThatWorkForNobody: one that has worked is kept from all when it fails for
// three clients and works for none; then one client a second may try it.
func TestScriptsThatWorkForNobody(t *testing.T) {
	t.Parallel()
	const after, now = 1, int64(time.Hour)
	at := func(n int64) func() int64 { return func() int64 { return n } }
	s := &script{}
	s.worked.Store(5)
	s.watched.Store(true) // what has worked is long ago
	s.seen = 5
	for n := range 3 {
		_, whole := s.exhausted(after, addressOf(n), now)
		if whole != (n == 2) {
			t.Errorf("with the client %d it is for all: %v", n+1, whole)
		}
	}
	until, whole, clients := s.state(now)
	if !whole || clients != 3 || until != now+int64(time.Second) {
		t.Errorf("until %d, for all: %v, %d clients", until-now, whole, clients)
	}
	if until, whole, clients := s.state(now + int64(time.Second)); until != 0 || whole || clients != 0 {
		t.Errorf("when it is over: %d, %v, %d", until, whole, clients)
	}
	if left := s.quarantined(addressOf(9), at(now+1)); left != 0 {
		t.Errorf("the first one to try it waits for %v", left)
	}
	if left := s.quarantined(addressOf(10), at(now+2)); left == 0 {
		t.Error("two try it at once")
	}
	if !s.onTrial(addressOf(9)) || !s.onTrial(addressOf(1)) {
		t.Error("nobody tries it")
	}
	if s.succeeded(addressOf(9), true, at(now+3)); s.quarantined(addressOf(11), at(now+4)) != 0 {
		t.Error("it is kept from all although it works again")
	}
	if s.quarantined(addressOf(1), at(now+4)) == 0 {
		t.Error("a client for whom it failed needn't wait any more")
	}
	if s.release(); s.quarantined(addressOf(1), at(now+4)) != 0 || s.onTrial(addressOf(1)) || s.watched.Load() {
		t.Error("a release ends not all of it")
	}
}

// TestTrialsEndQuarantines: a run that began after a quarantine ends it for good if it
// succeeds, and begins a longer one if it doesn't.
func TestTrialsEndQuarantines(t *testing.T) {
	t.Parallel()
	const now = int64(time.Hour)
	one := addressOf(1)
	for _, works := range []bool{true, false} {
		s := &script{}
		s.worked.Store(1 << 40)
		at := now
		clock := func() int64 { return at }
		for n := range 2 {
			s.exhausted(1, addressOf(20+n), now) // so that it has failed for others too
		}
		for s.clients[one] == nil || s.clients[one].until == 0 {
			s.exhausted(1, one, at)
		}
		at += int64(time.Second) + 1
		if s.quarantined(one, clock) != 0 || !s.onTrial(one) {
			t.Fatal("it isn't over")
		}
		if works {
			if s.succeeded(one, true, clock); s.onTrial(one) {
				t.Error("it is still on trial")
			}
			if length, _ := s.exhausted(1, one, at); length > time.Second {
				t.Errorf("the next one is for %v", length)
			}
			continue
		}
		if length, _ := s.exhausted(1, one, at); length != 2*time.Second {
			t.Errorf("the next one is for %v, want 2s", length)
		}
	}
}

// TestClientsAreForgotten: so many are remembered, and none whose quarantine is long
// over; then nothing is watched any more.
func TestClientsAreForgotten(t *testing.T) {
	t.Parallel()
	now := int64(time.Hour)
	s := &script{}
	s.worked.Store(100)
	for n := range maxClients + 50 {
		s.exhausted(5, addressOf(n), now)
	}
	if len(s.clients) != maxClients {
		t.Errorf("%d clients are remembered, want %d", len(s.clients), maxClients)
	}
	if r := s.clients[addressOf(maxClients+49)]; r == nil || r.good[0] != 50 {
		t.Errorf("the newest client has %+v, want the credit of 50 runs", r)
	}
	if now += halfWindow; s.quarantined(addressOf(1), func() int64 { return now }) != 0 || len(s.clients) != maxClients {
		t.Error("they are forgotten within the window")
	}
	if now += 2 * halfWindow; s.quarantined(addressOf(1), func() int64 { return now }) != 0 || len(s.clients) != 0 || s.watched.Load() || s.seen != 100 {
		t.Errorf("%d clients are remembered, %s of %d runs are seen", len(s.clients), strconv.FormatUint(s.seen, 10), 100)
	}
}
