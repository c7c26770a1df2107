package policytest

import (
	"context"
	"sync"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// Shared is a store that several gateways count in, in the test's memory. Its methods may
// be called at once.
type Shared struct {
	mu     sync.Mutex
	limits *store.Memory
	inside map[string]int
	fails  error
	asked  int
}

var _ store.Shared = (*Shared)(nil)

// NewShared returns one in which nothing is counted yet.
func NewShared() *Shared {
	return &Shared{limits: store.NewMemory(1<<20, time.Now), inside: map[string]int{}}
}

// Fail has everything that is asked fail from now on; nil has it answered again.
func (s *Shared) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = err
}

// Asked is how often it was asked.
func (s *Shared) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// Inside is how many places are taken, of all keys.
func (s *Shared) Inside() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, inside := range s.inside {
		n += inside
	}
	return n
}

// Configured is store.Shared's.
func (*Shared) Configured() bool { return true }

// Try knows nothing beforehand.
func (*Shared) Try(string, []byte, store.Quota) (v store.Verdict, ok bool) { return v, false }

// Take is store.Shared's.
func (s *Shared) Take(ctx context.Context, limit string, key []byte, q store.Quota) (v store.Verdict, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked++; s.fails != nil {
		return v, s.fails
	}
	return s.limits.Take(ctx, limit+" "+string(key), q) //nolint:wrapcheck // the store's
}

// Enter is store.Shared's.
func (s *Shared) Enter(_ context.Context, limit string, key []byte, most int) (store.Place, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := limit + " " + string(key)
	if s.asked++; s.fails != nil || s.inside[id] >= most {
		return nil, s.fails
	}
	s.inside[id]++
	return &place{s, id}, nil
}

type place struct {
	of *Shared
	id string
}

// Leave is store.Place's.
func (p *place) Leave(told func()) {
	p.of.mu.Lock()
	if p.of.inside[p.id]--; p.of.inside[p.id] < 0 {
		panic("BUG: a place was left twice")
	}
	p.of.mu.Unlock()
	if told != nil {
		told()
	}
}
