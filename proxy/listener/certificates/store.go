package certificates

import (
	"context"
	"crypto/tls"
	"sync"
	"sync/atomic"
	"time"
)

// Store has the set that is in use. The zero value has none.
type Store struct {
	// Issued, if not nil, returns the certificate for a client that asks for a name
	// which no file is for; nil is none, and then the default is used. It is set
	// before the first client comes, and may wait.
	Issued func(hello *tls.ClientHelloInfo) *Certificate

	current atomic.Pointer[Set]
	issued  bound // of those from Issued

	mu     sync.Mutex // guards all below, and changes of current
	source Source
	said   map[string]bool // the problems that have been told
}

// Current returns the set that is in use; nil is none.
func (s *Store) Current() *Set { return s.current.Load() }

// Choose is Set.Choose of the set that is in use, and of what is issued besides.
func (s *Store) Choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	set := s.current.Load()
	if s.Issued != nil && !set.Has(hello.ServerName) {
		if c := s.Issued(hello); c != nil {
			return s.issued.use(c)
		}
	}
	if set != nil {
		return set.Choose(hello)
	}
	return nil, errNone
}

// Use puts a set into use, which was made of that source.
func (s *Store) Use(source Source, set *Set) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.source, s.said = source, map[string]bool{}
	for i := range set.Problems {
		s.said[set.Problems[i].Error()] = true
	}
	s.current.Store(set)
}

// Change is what a look at the files has found.
type Change struct {
	Taken  []*Certificate // new, or with another content than before
	Gone   []Pair         // of directories, removed
	Broken []Problem      // for the first time
}

const (
	// watchEvery is the time between two looks.
	watchEvery = time.Second
	// watchShare bounds what looking takes: one part in so many of the time.
	watchShare = 100
)

// Watch looks at the files until ctx is done, takes up what has changed, and
// tells of it. What is being written is waited for.
func (s *Store) Watch(ctx context.Context, tell func(Change)) {
	timer := time.NewTimer(watchEvery)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		began := time.Now()
		if change := s.refresh(); len(change.Taken)+len(change.Gone)+len(change.Broken) > 0 {
			tell(change)
		}
		timer.Reset(max(watchEvery, watchShare*time.Since(began)))
	}
}

func (s *Store) refresh() (change Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.current.Load()
	if last == nil || len(s.source.Files)+len(s.source.Directories) == 0 {
		return change
	}
	set := Load(s.source, last, true)
	s.current.Store(set)
	for _, c := range set.all {
		if before := last.known[c.Pair]; before == nil || before != c && !before.equal(c) {
			change.Taken = append(change.Taken, c)
		}
	}
	for _, c := range last.all {
		if set.known[c.Pair] == nil {
			change.Gone = append(change.Gone, c.Pair)
		}
	}
	said := map[string]bool{}
	for i := range set.Problems {
		p := &set.Problems[i]
		text := p.Error()
		told, seen := s.said[text]
		if said[text] = told || seen; seen && !told { // it has lasted for two looks
			change.Broken = append(change.Broken, *p)
		}
	}
	s.said = said
	return change
}
