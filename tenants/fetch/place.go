package fetch

import (
	"context"
	"net"
	"sync"
)

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// placed makes connections of a dialling function that each have a place.
func (c *Config) placed(dial dialFunc) dialFunc {
	if c.Place == nil {
		return dial
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		giveBack, err := c.Place()
		if err != nil {
			return nil, err
		}
		conn, err := dial(ctx, network, address)
		if err != nil {
			giveBack()
			return nil, err
		}
		return &placedConn{Conn: conn, giveBack: sync.OnceFunc(giveBack)}, nil
	}
}

// placedConn gives its place back when it is closed.
type placedConn struct {
	net.Conn
	giveBack func()
}

func (c *placedConn) Close() error {
	defer c.giveBack()
	return c.Conn.Close()
}
