package listener

import (
	"iter"
	"net"
	"sync"
)

// Wrapped is the listener as fasthttp's servers use one: they get what wrap makes
// of each connection, unless that is nil. Where ok is false, it is refused; else wrap
// has it served by somebody else.
func (l *Listener) Wrapped(wrap func(*Conn) (made net.Conn, ok bool)) net.Listener {
	return wrapped{l, wrap}
}

type wrapped struct {
	*Listener
	wrap func(*Conn) (net.Conn, bool)
}

// Accept returns the next connection that is made something of.
func (w wrapped) Accept() (net.Conn, error) {
	for {
		conn, err := w.Listener.Accept()
		if err != nil {
			return nil, err
		}
		made, ok := w.wrap(conn)
		if made != nil {
			return made, nil
		}
		if !ok {
			conn.Refuse()
		}
	}
}

// Quiet drops what fasthttp's servers log: that clients went away, and failures
// that are logged where they are handled.
type Quiet struct{}

// Printf drops a line.
func (Quiet) Printf(string, ...any) {}

// Set is a set of open connections. Its zero value is empty.
type Set[C comparable] struct {
	mu   sync.Mutex
	open map[C]struct{} // guarded by mu
}

// Add puts a connection into the set.
func (s *Set[C]) Add(c C) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[C]struct{}{}
	}
	s.open[c] = struct{}{}
}

// Remove takes one out, if it is there.
func (s *Set[C]) Remove(c C) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

// All yields the connections, in no order. The set is locked meanwhile: collect
// them first to close them.
func (s *Set[C]) All() iter.Seq[C] {
	return func(yield func(C) bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.open {
			if !yield(c) {
				return
			}
		}
	}
}
