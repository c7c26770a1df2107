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
type Set[C Member] struct {
	mu   sync.Mutex
	open []C // guarded by mu, as the places of its members
}

// Member is what can be in a set, one at most: what has a Place in it.
type Member interface {
	comparable
	place() *int32
}

// Place is where a member is in its set; the zero Place is in none.
type Place struct {
	after int32 // its index, and one more
}

func (p *Place) place() *int32 { return &p.after }

// Add puts a connection into the set.
func (s *Set[C]) Add(c C) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = append(s.open, c)
	*c.place() = int32(len(s.open)) //nolint:gosec // G115: as many as there are descriptors
}

// Remove takes one out, if it is there. The last one takes its place.
func (s *Set[C]) Remove(c C) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := c.place()
	if *at == 0 {
		return
	}
	end := len(s.open) - 1
	last := s.open[end]
	s.open[*at-1] = last
	clear(s.open[end:])
	s.open = s.open[:end]
	*last.place() = *at
	*at = 0
}

// All yields the connections, in no order. The set is locked meanwhile: collect
// them first to close them.
func (s *Set[C]) All() iter.Seq[C] {
	return func(yield func(C) bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range s.open {
			if !yield(c) {
				return
			}
		}
	}
}
