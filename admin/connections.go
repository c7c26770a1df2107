package admin

import (
	"net"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
)

// connection is one client's. It is in the API's set until it is closed, so that a
// shutdown can end it.
type connection struct {
	*listener.Conn
	listener.Place
	owner *listener.Set[*connection]
}

func (a *API) connect(conn *listener.Conn) (made net.Conn, ok bool) {
	c := &connection{Conn: conn, owner: &a.conns}
	a.conns.Add(c)
	return c, true
}

func (c *connection) Close() error {
	c.owner.Remove(c)
	return c.Conn.Close()
}
