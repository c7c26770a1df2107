package certificates

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
