package upstream

import (
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
)

// Sender writes a streamed body to a target, framed as its head has said.
type Sender struct{ http1.Pump }

// Sender returns what sends a body on the connection: in chunks where its length
// isn't known. idle bounds a write without progress, total (socket.Nanotime) all
// of it; 0 is no bound.
func (c *Conn) Sender(unsized bool, idle time.Duration, total int64) Sender {
	return Sender{http1.Pump{Sink: http1.Sink{Conn: c.Conn, Sock: c.Sock, Idle: idle, Total: total}, Chunked: unsized}}
}

// Tunnel goes on with the connection as one end of a tunnel.
func (c *Conn) Tunnel(idle time.Duration) *http1.Tunnel {
	return http1.NewTunnel(c.Conn, c.Sock, &c.Reader, idle)
}
