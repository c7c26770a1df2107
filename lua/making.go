package lua

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// maker makes VMs of scripts that have been accepted, one at a time. What
// scripts do when they are loaded can fail later all the same (they ask for the
// time, for a key over HTTP): then it is tried again, after longer and longer
// pauses, in which requests that have no VM are refused.
type maker struct {
	mu       sync.Mutex
	current  *making   // guarded by mu, as are those below; nil: none
	failures int       // in a row
	after    int64     // no VM is made before, as of Scripts.now
	err      error     // why the last one was not made; nil if it was
	since    time.Time // of the first failure in the row
	closed   bool      // nobody needs VMs for new requests any more
}

// making is a VM on its way.
type making struct {
	done chan struct{} // closed when it is there, or err says why not
	sh   *shard
	err  error
}

// UnavailableError says that there is no VM of a tenant's scripts: loading what
// was accepted has failed, and is tried again.
type UnavailableError struct {
	Err  error
	Left time.Duration // until then
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("the scripts can't be loaded any more, it is tried again in %v: %v", e.Left.Round(time.Millisecond), e.Err)
}

// Memory reports whether memory was short.
func (e *UnavailableError) Memory() bool {
	list, ok := errors.AsType[BrokenScripts](e.Err)
	return ok && list.Memory()
}

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }

// first makes a VM where there is none any more.
func (s *Scripts) first() (*shard, error) {
	if int(s.queued.Add(1)) > s.options.Config.MaxWaiting {
		s.queued.Add(-1)
		return nil, ErrBusy
	}
	defer s.queued.Add(-1)
	m, err := s.awaited()
	if err != nil {
		return nil, err
	}
	<-m.done // within lua.load_timeout and what it takes to give up
	if m.err != nil {
		return nil, m.err
	}
	m.sh.lock.Lock()
	return m.sh, nil
}

// awaited returns the VM that is on its way; it begins to make one if there is
// none, unless it is too early for that.
func (s *Scripts) awaited() (*making, error) {
	s.maker.mu.Lock()
	defer s.maker.mu.Unlock()
	if s.maker.current != nil {
		return s.maker.current, nil
	}
	for i := range s.shards { // it was made since the caller looked
		if sh := s.shards[i].Load(); sh != nil && !sh.lock.Retired() {
			m := &making{done: make(chan struct{}), sh: sh}
			close(m.done)
			return m, nil
		}
	}
	if err := s.maker.tooEarly(s.now); err != nil {
		return nil, err
	}
	return s.makeLocked(), nil
}

// tooEarly says that it is not yet time to try again, or nothing.
func (k *maker) tooEarly(now func() int64) error {
	if k.failures == 0 {
		return nil
	}
	if left := k.after - now(); left > 0 {
		return &UnavailableError{Err: k.err, Left: time.Duration(left)}
	}
	return nil
}

// grow makes one more VM, beside the requests.
func (s *Scripts) grow() {
	if !s.maker.mu.TryLock() {
		return
	}
	defer s.maker.mu.Unlock()
	if s.maker.current == nil && !s.maker.closed && s.maker.tooEarly(s.now) == nil {
		s.makeLocked()
	}
}

// makeLocked begins to make a VM; the maker's lock is held.
func (s *Scripts) makeLocked() *making {
	m := &making{done: make(chan struct{})}
	s.maker.current = m
	go func() {
		defer close(m.done)
		o := s.options
		o.Waiting, o.Yield = nil, nil // a request waits
		m.sh, m.err = load(&o, true, s.newWanted, func(sh *shard) { sh.main.Close() })
		s.made(m)
	}()
	return m
}

// newWanted is newShard for requests, as long as there is memory.
func (s *Scripts) newWanted(l *loading) (*shard, error) {
	sh, err := s.newShard(l)
	if err == nil && !s.options.Loads.admit(sh.memory()) {
		sh.main.Close()
		err = BrokenScripts{{Passing: true, Memory: true, Err: errors.New("memory is short, and a VM of the tenant's scripts takes much of it: there is none")}}
	}
	return sh, err
}

// made puts a VM into use, or notes why there is none.
func (s *Scripts) made(m *making) {
	s.maker.mu.Lock()
	s.maker.current = nil
	if m.err == nil {
		s.maker.failures, s.maker.after, s.maker.err = 0, 0, nil
		for i := range s.shards {
			if s.shards[i].CompareAndSwap(nil, m.sh) {
				break
			}
		}
	} else {
		if s.maker.failures == 0 {
			s.maker.since = s.options.Clock.Now()
		}
		pause := min(firstQuarantine<<min(s.maker.failures, 10), lastQuarantine)
		s.maker.failures++
		s.maker.after, s.maker.err = s.now()+int64(pause), m.err
		m.err = &UnavailableError{Err: m.err, Left: pause}
	}
	closed := s.maker.closed
	s.maker.mu.Unlock()
	if closed {
		s.tenant.HTTP.Close() // what loading may have left open
	}
	if unavailable, ok := errors.AsType[*UnavailableError](m.err); ok {
		s.stats.LoadFailures.Add(1)
		s.record(&Error{Kind: KindLoad, Message: unavailable.Error()})
	}
}

// LoadError returns why the last VM could not be made, and since when that is so;
// or nil. The scripts were accepted, and fail now when they are loaded; while
// there is another VM, requests don't notice.
func (s *Scripts) LoadError() (since time.Time, err error) {
	s.maker.mu.Lock()
	defer s.maker.mu.Unlock()
	return s.maker.since, s.maker.err
}
