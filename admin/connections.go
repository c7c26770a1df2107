package admin

import (
	"net"
	"sync"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
)

// acceptor hands the listener's connections to fasthttp's server.
type acceptor struct{ a *API }

func (s acceptor) Accept() (net.Conn, error) {
	conn, err := s.a.listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &connection{Conn: conn, owner: &s.a.conns}
	s.a.conns.add(c)
	return c, nil
}

func (s acceptor) Close() error   { return s.a.listener.Close() }
func (s acceptor) Addr() net.Addr { return s.a.listener.Addr() }

// connection is one client's. It is known to its owner until it is closed.
type connection struct {
	*listener.Conn
	owner *connections
}

func (c *connection) Close() error {
	c.owner.remove(c)
	return c.Conn.Close()
}

// connections are those that are open, so that a shutdown can end them.
type connections struct {
	mu   sync.Mutex
	open map[*connection]struct{} // guarded by mu
}

func (s *connections) add(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[*connection]struct{}{}
	}
	s.open[c] = struct{}{}
}

func (s *connections) remove(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

func (s *connections) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		_ = c.Conn.Close()
	}
}
