package lua

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// script is one script of a tenant, over all its VMs: its quarantine.
//
// Runs are judged by the share of those that use up their budget, client by
// client: one for whom most runs did gets no more for a while, and nobody else
// is touched, since it may be what that client sends. A script that works for
// nobody is kept from all; then once a second one request of a client that has
// done no harm is let through, and ends the quarantine if it succeeds.
type script struct {
	name   string
	worked atomic.Uint64 // runs that have succeeded
	// watched says that there is anything below; the usual script has nothing.
	watched atomic.Bool

	mu       sync.Mutex
	all      record
	clients  map[netip.Addr]*record // those for whom a run has used up its budget
	seen     uint64                 // worked when watching ended last
	swept    int64                  // half of the window in which clients were looked through
	nextTest int64                  // when the next harmless client may try
}

// record is what became of runs in a window that slides by halves.
type record struct {
	bad, good [2]int // of this half, and of the one before
	half      int64
	until     int64 // end of the last quarantine, in nanoseconds; 0 is none
	spells    int   // quarantines in a row
}

const (
	// halfWindow is half of the time over which runs are judged.
	halfWindow = int64(15 * time.Second)
	// Lengths of a quarantine.
	firstQuarantine = time.Second
	lastQuarantine  = time.Minute
	// testPause is between two harmless clients that try a script that is kept
	// from all.
	testPause = int64(time.Second)
	// manyClients is for how many a script that has worked must fail, and work
	// for none, to be kept from all.
	manyClients = 3
	// maxCredit bounds the runs, as a multiple of quarantine_after, that a client
	// is given credit for.
	maxCredit = 10
	// maxClients bounds the clients that are remembered.
	maxClients = 256
)

// clientOf is whom an address stands for: a /64 of IPv6 is one client's.
func clientOf(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		prefix, _ := addr.Prefix(64) // never fails for this length
		return prefix.Addr()
	}
	return addr
}

// quarantined returns for how long the script must not run for a client; 0 is
// not at all.
func (s *script) quarantined(addr netip.Addr, now func() int64) time.Duration {
	if !s.watched.Load() {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now()
	s.sweep(at)
	r := s.clients[clientOf(addr)]
	left := s.all.until - at
	if left > 0 && r == nil && at >= s.nextTest {
		s.nextTest = at + testPause
		left = 0
	}
	if r != nil {
		left = max(left, r.until-at)
	}
	return max(0, time.Duration(left))
}

// onTrial reports whether the script has been in quarantine, for the client or
// for all, since it last succeeded.
func (s *script) onTrial(addr netip.Addr) bool {
	if !s.watched.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.clients[clientOf(addr)]
	return s.all.until != 0 || r != nil && r.until != 0
}

// succeeded counts a run. trial says that it began after a quarantine, or as a
// test of one: then that is over for good.
func (s *script) succeeded(addr netip.Addr, trial bool, now func() int64) {
	s.worked.Add(1)
	if !s.watched.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at, client := now(), clientOf(addr)
	s.all.roll(at)
	s.all.good[0]++
	if r := s.clients[client]; r != nil {
		r.roll(at)
		r.good[0]++
		if trial && r.until <= at {
			r.until, r.spells = 0, 0
		}
	}
	if trial {
		s.all.until, s.all.spells = 0, 0
	}
}

// exhausted counts a run that has used up its budget; it returns the length of
// the quarantine that begins with it, or 0, and whether it is for all.
func (s *script) exhausted(after int, addr netip.Addr, now int64) (length time.Duration, whole bool) {
	if after == 0 {
		return 0, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watched.Load() {
		s.sweep(now)
	}
	if !s.watched.Load() {
		s.all.roll(now)
		s.all.good[0] += int(min(s.worked.Load()-s.seen, 1<<30))
		s.swept = now / halfWindow
		s.watched.Store(true)
	}
	s.all.roll(now)
	r := s.recordOf(clientOf(addr), after, now)
	s.all.bad[0]++
	if now < r.until { // it began before the quarantine did
		return 0, false
	}
	r.roll(now)
	r.bad[0]++
	bad, good := r.sums()
	if r.until != 0 || bad >= after && bad > good { // after one, the first failure is enough
		length = r.confine(now)
	}
	bad, good = s.all.sums()
	if now >= s.all.until && good == 0 && (s.all.until != 0 || bad >= after && (s.worked.Load() == 0 || s.confined() >= manyClients)) {
		length, whole = s.all.confine(now), true
	}
	return length, whole
}

// recordOf returns the record of a client, for which another one may go. What
// succeeded before it was kept may have been the client's: it is given credit.
func (s *script) recordOf(client netip.Addr, after int, now int64) *record {
	r := s.clients[client]
	if r != nil {
		return r
	}
	if s.clients == nil {
		s.clients = map[netip.Addr]*record{}
	}
	if len(s.clients) >= maxClients {
		var victim netip.Addr
		for address, other := range s.clients { // in no order that anybody can know
			if victim = address; other.until <= now {
				break
			}
		}
		delete(s.clients, victim)
	}
	r = &record{half: s.all.half}
	_, good := s.all.sums()
	r.good[0] = min(good, maxCredit*after)
	s.clients[client] = r
	return r
}

// confined is how many clients have been in quarantine.
func (s *script) confined() (n int) {
	for _, r := range s.clients {
		if r.until != 0 {
			n++
		}
	}
	return n
}

// sweep forgets, once in half a window, what is long over.
func (s *script) sweep(now int64) {
	half := now / halfWindow
	if half == s.swept {
		return
	}
	s.swept = half
	for client, r := range s.clients {
		if r.roll(now); r.over(now) {
			delete(s.clients, client)
		}
	}
	if s.all.roll(now); len(s.clients) == 0 && s.all.over(now) {
		s.all = record{}
		s.seen = s.worked.Load()
		s.watched.Store(false)
	}
}

// release ends all quarantines.
func (s *script) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all, s.clients, s.nextTest, s.seen = record{}, nil, 0, s.worked.Load()
	s.watched.Store(false)
}

// state returns the end of the last quarantine that is in force, 0 for none,
// and whether it is for all; else it is for so many clients.
func (s *script) state(now int64) (until int64, whole bool, clients int) {
	if !s.watched.Load() {
		return 0, false, 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.clients {
		if r.until > now {
			clients++
			until = max(until, r.until)
		}
	}
	if s.all.until > now {
		return s.all.until, true, clients
	}
	return until, false, clients
}

// roll moves the window on.
func (r *record) roll(now int64) {
	half := now / halfWindow
	switch half - r.half {
	case 0:
		return
	case 1:
		r.bad[1], r.good[1] = r.bad[0], r.good[0]
	default:
		r.bad[1], r.good[1] = 0, 0
	}
	r.bad[0], r.good[0], r.half = 0, 0, half
}

func (r *record) sums() (bad, good int) { return r.bad[0] + r.bad[1], r.good[0] + r.good[1] }

// over reports whether nothing in the record matters any more.
func (r *record) over(now int64) bool {
	bad, _ := r.sums()
	return bad == 0 && (r.until == 0 || now-r.until > int64(lastQuarantine))
}

// confine begins a quarantine.
func (r *record) confine(now int64) time.Duration {
	length := min(firstQuarantine<<min(r.spells, 10), lastQuarantine)
	r.bad, r.good = [2]int{}, [2]int{}
	r.spells++
	r.until = now + int64(length)
	return length
}
