package store

import (
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"time"
)

// Overhead is what an entry is counted as needing, in bytes, beyond its key and
// its string: the entry itself, its place in the map, and what the allocator
// rounds up. TestOverhead compares it with the heap.
const Overhead = 160

// shardCount is a power of two. In one shard 64 cores would wait for each
// other; more than these would make the largest possible entry smaller.
const shardCount = 16

// Memory is a store in this process's memory: a dictionary of keys and values
// with a budget in bytes, which forgets what was least recently used when the
// budget is used up, and what is past its ttl. It starts no goroutine. All
// methods may be called at once by many goroutines; none waits for anything
// but, shortly, for another. Contexts are not looked at.
//
// The budget is divided evenly among 16 shards, by a hash that clients can't
// predict: "least recently used" is meant within a shard, and one entry can
// have at most a sixteenth of the budget.
type Memory struct {
	now    func() time.Time
	epoch  time.Time
	seed   maphash.Seed
	shards [shardCount]shard
}

// NewMemory returns an empty store of budget bytes, each entry counted with
// Overhead. now is the time that ttls are measured by. With a budget of 0 or
// less every entry is refused.
func NewMemory(budget int64, now func() time.Time) *Memory {
	m := &Memory{now: now, epoch: now(), seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i].init()
	}
	m.SetBudget(budget)
	return m
}

// Instant says that no method waits.
func (m *Memory) Instant() bool { return true }

// SetBudget changes the budget, in bytes, and forgets at once what exceeds it.
func (m *Memory) SetBudget(budget int64) {
	now := m.elapsed()
	for i := range m.shards {
		m.shards[i].setBudget(budget/shardCount, now)
	}
}

// Get returns the value of a key; ok says whether there is one. A limit has none.
func (m *Memory) Get(_ context.Context, key string) (value any, ok bool, err error) {
	s, now := m.shard(key), m.elapsed()
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(key, now)
	if e == nil {
		return nil, false, nil
	}
	if _, ok := e.value.(limit); ok {
		return nil, false, ErrLimit
	}
	s.touch(e)
	return e.value, true, nil
}

// Set gives a key a value: a string, a float64 or a bool. A ttl of 0 is none.
// The key and the value are copied.
func (m *Memory) Set(_ context.Context, key string, value any, ttl time.Duration) error {
	s, now := m.shard(key), m.elapsed()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.put(key, value, ttl, now)
}

// Add is Set for a key that is absent; added says whether it was.
func (m *Memory) Add(_ context.Context, key string, value any, ttl time.Duration) (added bool, err error) {
	s, now := m.shard(key), m.elapsed()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.find(key, now) != nil {
		return false, nil
	}
	if err := s.put(key, value, ttl, now); err != nil {
		return false, err
	}
	return true, nil
}

// Incr adds by to a number and returns the sum. An absent key counts as start
// and gets ttl; the life of a present one stays as it is.
func (m *Memory) Incr(_ context.Context, key string, by, start float64, ttl time.Duration) (value float64, err error) {
	s, now := m.shard(key), m.elapsed()
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(key, now)
	if e == nil {
		if value, err = sum(start, by); err != nil {
			return 0, err
		}
		return value, s.put(key, value, ttl, now)
	}
	old, ok := e.value.(float64)
	if !ok {
		return 0, fmt.Errorf("cannot increment: %w", ErrNotNumber)
	}
	if value, err = sum(old, by); err != nil {
		return 0, err
	}
	e.value = value
	s.touch(e)
	return value, nil
}

// sum refuses what would spoil a counter for good.
func sum(a, b float64) (float64, error) {
	value := a + b
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return 0, fmt.Errorf("cannot increment: %w", ErrNotFinite)
	}
	return value, nil
}

// Delete forgets a key; deleted says whether it was there.
func (m *Memory) Delete(_ context.Context, key string) (deleted bool, err error) {
	s, now := m.shard(key), m.elapsed()
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(key, now)
	if e == nil {
		return false, nil
	}
	s.remove(e)
	return true, nil
}

// TTL returns what is left of a key's life, which is more than 0, or 0 if it
// has no end; ok says whether there is such a key. It is no use of the key.
func (m *Memory) TTL(_ context.Context, key string) (ttl time.Duration, ok bool, err error) {
	s, now := m.shard(key), m.elapsed()
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(key, now)
	if e == nil {
		return 0, false, nil
	}
	if e.expires == never {
		return 0, true, nil
	}
	return time.Duration(e.expires - now), true, nil
}

// Take asks the limit of a key for what the quota costs.
func (m *Memory) Take(_ context.Context, key string, q Quota) (Verdict, error) {
	if q.interval == 0 {
		return Verdict{}, ErrQuota
	}
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := m.elapsed() // after those that have taken before; see places.take
	e, arrival := s.find(key, now), now
	if e != nil {
		if _, ok := e.value.(limit); !ok {
			return Verdict{}, ErrNotLimit
		}
		arrival = e.expires
	}
	_, v := q.decide(arrival, now)
	if q.cost > 0 {
		return v, s.put(key, limit{}, v.Reset, now)
	}
	if e != nil {
		s.touch(e)
	}
	return v, nil
}

// Len returns the number of entries, among them some that are past their ttl
// and that nobody has asked for since.
func (m *Memory) Len() int {
	n := 0
	m.each(func(s *shard) { n += len(s.entries) })
	return n
}

// Bytes returns what the entries that Len counts take of the budget.
func (m *Memory) Bytes() int64 {
	var n int64
	m.each(func(s *shard) { n += s.bytes })
	return n
}

// Displaced returns how many entries were forgotten before their time, for
// lack of room, since the store was made.
func (m *Memory) Displaced() int64 {
	var n int64
	m.each(func(s *shard) { n += s.displaced })
	return n
}

// each calls f with each shard, locked. The sums that it makes are of slightly
// different moments.
func (m *Memory) each(f func(s *shard)) {
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		f(s)
		s.mu.Unlock()
	}
}

func (m *Memory) shard(key string) *shard {
	return &m.shards[maphash.String(m.seed, key)%shardCount]
}

// elapsed is the time since the store was made, in nanoseconds. Taking it from
// a difference of times makes it monotonic where now is.
func (m *Memory) elapsed() int64 { return int64(m.now().Sub(m.epoch)) }
