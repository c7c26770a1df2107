package certificates

import (
	"context"
	"time"
)

// Refresh is one look of Watch's.
func (s *Store) Refresh() Change { return s.refresh() }

// Bound lets at most so many certificates be ready; Ready returns how many are.
func (s *Set) Bound(most int) { s.bound.most = most }

// Ready returns how many certificates have a key that is ready.
func (s *Set) Ready() (n int) {
	for _, c := range s.all {
		if c.ready.Load() != nil {
			n++
		}
	}
	return n
}

// RenewStaples is one round of Store.Staple. again has responders asked again
// whatever they have said.
func (s *Store) RenewStaples(ctx context.Context, again bool, tell func(c *Certificate, err error)) {
	for _, c := range s.current.Load().all {
		if last := c.staple.Load(); last != nil && again {
			asked := *last
			asked.again = time.Time{}
			c.staple.Store(&asked)
		}
	}
	s.renewStaples(ctx, newResponderClient(), tell)
}

// EndStaples has the responses end now.
func (s *Store) EndStaples() {
	for _, c := range s.current.Load().all {
		ended := *c.staple.Load()
		ended.until = time.Now().Add(-time.Second)
		c.staple.Store(&ended)
	}
}
