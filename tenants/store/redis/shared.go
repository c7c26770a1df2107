package redis

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// Shared is the store of a process, if it has one. What is told of it here holds for
// whichever server the configuration names now. The zero value has none. Its methods may
// be called at once, but Use and Close only one after the other.
type Shared struct {
	// Tell is told, by one goroutine at a time, that the server is away (err says why) or
	// back (err is nil), and for how long it was; nil tells nobody.
	Tell func(address string, err error, away time.Duration)

	current   atomic.Pointer[client]
	next      atomic.Pointer[client] // while Use waits for it
	announced atomic.Pointer[reach]
	counts    counts
	running   sync.WaitGroup
	ending    chan struct{} // closed by Close
}

// counts are of the process, whatever the server.
type counts struct{ answered, unusable, late, failed, spared, local atomic.Uint64 }

// Counts are how calls have ended, since the process began.
type Counts struct {
	Answered uint64 // in time
	Unusable uint64 // likewise, but the key held something else
	Late     uint64 // no answer within the time-out
	Failed   uint64 // an error, of the network or of the server
	Spared   uint64 // not made, since the server was away
	Local    uint64 // not made, since enough of the limit had been taken before
}

// Status is how the store is.
type Status struct {
	Address string    // as configured, or the master that Sentinels have named
	Here    bool      // it answers in time
	Since   time.Time // when that began
	Err     error     // why it is away
	Counts  Counts
}

// The errors of calls that weren't answered.
var (
	ErrNone = errors.New("there is no shared store")
	ErrAway = errors.New("the store is away")
	ErrLate = errors.New("the store has not answered in time")
)

// Use has calls go to the server of a section from now on; nil is none. The one of before
// is left to the calls that it has. Where a server is new, Use waits for it, up to
// patience; calls aren't held up by that. It says whether that is another server.
func (s *Shared) Use(config *Config, patience time.Duration) (changed bool) {
	old := s.current.Load()
	if old != nil && old.config.same(config) || old == nil && config == nil {
		return false
	}
	var fresh *client
	if config != nil {
		fresh = newClient(config, s)
		s.next.Store(fresh)
		s.running.Go(fresh.run)
		s.running.Go(fresh.tend)
		s.running.Go(func() { fresh.reach.lookUp(fresh.context, config) })
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-fresh.looked:
		case <-timer.C:
		}
	}
	s.current.Store(fresh)
	s.next.Store(nil)
	if old != nil {
		old.retire()
	}
	return true
}

func (s *Shared) begin() <-chan struct{} {
	if s.ending == nil {
		s.ending = make(chan struct{})
	}
	return s.ending
}

// Close ends what Use has begun, and waits for that.
func (s *Shared) Close() {
	if s.ending != nil {
		close(s.ending)
		s.ending = nil
	}
	if old := s.current.Swap(nil); old != nil {
		old.retire()
	}
	s.running.Wait()
}

// Status says how the store is; ok is false if there is none.
func (s *Shared) Status() (status Status, ok bool) {
	c := s.current.Load()
	if c == nil {
		return Status{}, false
	}
	status = c.status()
	n := &s.counts
	status.Counts = Counts{n.answered.Load(), n.unusable.Load(), n.late.Load(), n.failed.Load(), n.spared.Load(), n.local.Load()}
	return status, true
}

// call has f ask the server, within its time-out.
func (c *client) call(ctx context.Context, f func(ctx context.Context, r rueidis.Client) error) error {
	l := c.link.Load()
	if l == nil {
		c.counts.spared.Add(1)
		return ErrAway
	}
	within, cancel := context.WithTimeoutCause(ctx, c.config.Timeout.Std(), ErrLate)
	defer cancel()
	err := guarded(func() error { return f(within, l.redis) })
	return c.outcome(ctx, within, l, err)
}
