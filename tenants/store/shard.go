package store

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"time"
)

// never is the expiry of entries without a ttl.
const never = math.MaxInt64

// swept is how many entries a write looks at to drop those past their ttl. Two
// for each that a write can add: the sweep keeps up with any rate of writing.
const swept = 2

// entry is one key with its value, a member of its shard's ring.
type entry struct {
	key          string
	value        any   // immutable, so that it may be handed out
	expires      int64 // as Memory.elapsed counts
	size         int64
	newer, older *entry
}

// shard is a part of the keys, with its share of the budget. Its fields and
// methods are for holders of mu.
type shard struct {
	mu        sync.Mutex
	entries   map[string]*entry
	ring      entry  // ring.older is the most, ring.newer the least recently used; it holds no key
	hand      *entry // where the sweep goes on; it moves towards newer entries
	budget    int64
	bytes     int64 // never more than budget
	displaced int64

	_ [64]byte // keeps shards from sharing a cache line
}

func (s *shard) init() {
	s.entries = map[string]*entry{}
	s.ring.newer, s.ring.older = &s.ring, &s.ring
	s.hand = &s.ring
}

// find returns the entry of a key unless it is past its ttl. It doesn't count
// as a use.
func (s *shard) find(key string, now int64) *entry {
	e := s.entries[key]
	if e != nil && e.expires <= now {
		s.remove(e)
		return nil
	}
	return e
}

// put sets a key and makes room for it.
func (s *shard) put(key string, value any, ttl time.Duration, now int64) error {
	size, err := sizeOf(key, value)
	if err != nil {
		return err
	}
	if size > s.budget {
		return fmt.Errorf("%w: it needs %d bytes, and may have %d", ErrTooLarge, size, max(s.budget, 0))
	}
	expires, err := expiry(now, ttl)
	if err != nil {
		return err
	}
	s.sweep(now)
	e := s.entries[key]
	if e == nil {
		e = &entry{key: strings.Clone(key)} // key may be a part of something large
		s.entries[e.key] = e
		s.link(e)
	} else {
		s.touch(e)
	}
	if text, ok := value.(string); ok {
		value = strings.Clone(text)
	}
	s.bytes += size - e.size
	e.value, e.expires, e.size = value, expires, size
	s.shrink(now) // ends before e, which is the newest and fits
	return nil
}

func sizeOf(key string, value any) (int64, error) {
	switch value := value.(type) {
	case string:
		return Overhead + int64(len(key)) + int64(len(value)), nil
	case float64, bool, limit:
		return Overhead + int64(len(key)), nil
	}
	return 0, fmt.Errorf("%w, not %T", ErrValue, value)
}

func expiry(now int64, ttl time.Duration) (int64, error) {
	switch {
	case ttl < 0:
		return 0, fmt.Errorf("%w: it is %v", ErrTTL, ttl)
	case ttl == 0 || now > 0 && int64(ttl) > never-now:
		return never, nil
	}
	return now + int64(ttl), nil
}

// sweep looks at the next few entries, and drops those past their ttl.
func (s *shard) sweep(now int64) {
	for range swept {
		if s.hand == &s.ring {
			s.hand = s.ring.newer
		}
		e := s.hand
		if e == &s.ring {
			return // no entry at all
		}
		s.hand = e.newer
		if e.expires <= now {
			s.remove(e)
		}
	}
}

// shrink forgets the least recently used entries that exceed the budget.
func (s *shard) shrink(now int64) {
	for s.bytes > s.budget && s.ring.newer != &s.ring {
		oldest := s.ring.newer
		if oldest.expires > now {
			s.displaced++
		}
		s.remove(oldest)
	}
}

func (s *shard) setBudget(budget, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	smaller := budget < s.budget
	s.budget = budget
	s.shrink(now)
	if smaller {
		// A map never gives memory back.
		entries := make(map[string]*entry, len(s.entries))
		for key, e := range s.entries {
			entries[key] = e
		}
		s.entries = entries
	}
}

func (s *shard) remove(e *entry) {
	delete(s.entries, e.key)
	s.unlink(e)
	s.bytes -= e.size
}

// touch makes an entry the most recently used one.
func (s *shard) touch(e *entry) {
	if s.ring.older != e {
		s.unlink(e)
		s.link(e)
	}
}

func (s *shard) link(e *entry) {
	e.newer, e.older = &s.ring, s.ring.older
	e.older.newer, e.newer.older = e, e
}

func (s *shard) unlink(e *entry) {
	if s.hand == e {
		s.hand = e.newer
	}
	e.newer.older, e.older.newer = e.older, e.newer
	e.newer, e.older = nil, nil
}
