package acme

import (
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener/certificates"
)

// State is what has become of a name.
type State string

// The states.
const (
	Waiting  State = "waiting"  // to be ordered
	Ordering State = "ordering" // on its way, there is no certificate yet
	Valid    State = "valid"
	Renewing State = "renewing" // on its way, the one before is served meanwhile
	Failing  State = "failing"  // the last try has failed; a certificate from before is served
	Covered  State = "covered"  // a file has a certificate for it
)

// Status is what there is to know of a name.
type Status struct {
	Name, Tenant string
	State        State
	OnDemand     bool
	NotAfter     time.Time // zero: there is no certificate
	Renewal      time.Time // when it is renewed; zero without a certificate
	Next         time.Time // when it is looked at again
	Failures     int       // in a row
	Error        string    // of the last try, or what is waited for; "" is nothing
	ErrorAt      time.Time
}

// entry is one name. It is guarded by the manager's lock.
type entry struct {
	name     string
	tenant   string
	demanded bool // nobody's domain spells it out
	state    State
	busy     bool // it is being looked after
	ordering bool // and ordered

	cert    *certificates.Certificate // nil: none yet
	used    atomic.Bool               // since it was installed
	renewal time.Time                 // when it is renewed
	ask     time.Time                 // when the authority is asked for a better time
	next    time.Time

	failures int
	err      string
	errAt    time.Time

	concluded chan struct{} // closed when there is a certificate, or won't be one for now
	conclude  func()
}

// keyFor is the key under which a name is in Manager.entries: wildcards by what
// follows the asterisk, so that looking for one needs no memory.
func keyFor(name string) string { return strings.TrimPrefix(name, "*") }

func newEntry(name, tenant string, now time.Time) *entry {
	e := &entry{name: name, tenant: tenant, state: Waiting, next: now, concluded: make(chan struct{})}
	e.conclude = sync.OnceFunc(func() { close(e.concluded) })
	return e
}

const (
	// longestPlan is further than anything is planned ahead.
	longestPlan = 25 * time.Hour
	// longestPause is the longest time until an entry is looked at again.
	longestPause = 24 * time.Hour
	// askAgain is how often the authority is asked when to renew, if it doesn't say.
	askAgain = 6 * time.Hour
	// firstPause and longestBackoff bound the pause after a try that has failed.
	firstPause     = time.Minute
	longestBackoff = 3 * time.Hour
)

// install takes up a certificate.
func (e *entry) install(c *certificates.Certificate, now time.Time) {
	e.cert, e.state, e.failures, e.err, e.errAt = c, Valid, 0, "", time.Time{}
	e.used.Store(false)
	life := c.NotAfter.Sub(c.NotBefore)
	e.renewal = c.NotBefore.Add(life*2/3 - jitter(life/24)).Round(0)
	e.ask = now
	e.plan(now)
	e.conclude()
}

// plan says when the entry is looked at next.
func (e *entry) plan(now time.Time) {
	e.next = e.renewal
	for _, at := range []time.Time{e.ask, now.Add(longestPause)} {
		if at.Before(e.next) {
			e.next = at
		}
	}
}

// leastAge is how old a certificate is at least when it is renewed: neither a clock
// that is wrong nor an authority that has it wrong makes us order without end.
func leastAge(c *certificates.Certificate) time.Duration {
	return min(time.Hour, c.NotAfter.Sub(c.NotBefore)/10)
}

// backoff is the pause after so many failures in a row.
func backoff(failures int) time.Duration {
	pause := firstPause
	for range min(failures-1, 8) {
		pause = min(4*pause, longestBackoff)
	}
	return pause + jitter(pause/8)
}

// jitter is a random part of a duration.
func jitter(most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return rand.N(most) //nolint:gosec // G404: nobody gains by guessing it
}

func (e *entry) status() Status {
	s := Status{
		Name: e.name, Tenant: e.tenant, State: e.state, OnDemand: e.demanded, Next: e.next,
		Failures: e.failures, Error: e.err, ErrorAt: e.errAt,
	}
	if e.cert != nil {
		s.NotAfter, s.Renewal = e.cert.NotAfter, e.renewal
	}
	if e.ordering {
		if s.State = Renewing; e.cert == nil {
			s.State = Ordering
		}
	}
	return s
}
