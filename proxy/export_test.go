package proxy

// SleepSoon has every idle connection sleep as soon as one of very many would.
func (s *Server) SleepSoon() { s.wakeful.Store(0) }

// Asleep returns the number of connections that sleep.
func (s *Server) Asleep() (n int) {
	s.clients.mu.Lock()
	defer s.clients.mu.Unlock()
	for c := range s.clients.open {
		if c.state.Load() == clientAsleep {
			n++
		}
	}
	return n
}

// Open returns the number of open connections from clients.
func (s *Server) Open() int {
	open, _, _ := s.listener.Stats()
	return int(open)
}

// HintWords returns what is said instead of keys that aren't known.
func HintWords() (list []string) {
	for i := range hints {
		list = append(list, hints[i].words)
	}
	return list
}
