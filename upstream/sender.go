package upstream

import (
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/upstream/streams"
)

// sending is where a streamed body goes: one of both is nil.
type sending struct {
	conn   *Conn
	stream *streams.Stream
}

// Sender writes a streamed body to a target, framed as its head has said.
type Sender struct {
	http1.Pump                 // of HTTP/1, and Err of both
	stream     *streams.Stream // nil: HTTP/1
	idle       time.Duration
	total      int64
}

// Sender returns what sends the body, in chunks or frames; valid until
// StopUpload. The call's time-outs bound each write.
func (c *Call) Sender() Sender {
	idle, total := c.Timeouts.Idle, c.Expiry
	if s := c.sending.stream; s != nil {
		return Sender{stream: s, idle: idle, total: total}
	}
	conn := c.sending.conn
	return Sender{Pump: http1.Pump{
		Sink:    http1.Sink{Conn: conn.Conn, Sock: conn.Sock, Idle: idle, Total: total},
		Chunked: c.Request.Length == message.Unsized,
	}}
}

// Add takes a part of the body.
func (s *Sender) Add(span []byte) error {
	if s.stream != nil {
		s.Err = s.stream.Write(span, s.idle, s.total)
		return s.Err
	}
	return s.Pump.Add(span)
}

// Flush writes what was gathered.
func (s *Sender) Flush() error {
	if s.stream != nil {
		s.stream.Flush()
		return nil
	}
	return s.Pump.Flush()
}

// End ends the body.
func (s *Sender) End(trailer message.Header) error {
	if s.stream != nil {
		s.Err = s.stream.End(trailer)
		return s.Err
	}
	return s.Pump.End(trailer)
}

// Splices reports whether content may come through a pipe.
func (s *Sender) Splices() bool { return s.stream == nil && s.Pump.Splices() }

// AwaitAnswer bounds, once the body was sent, or the target takes no more of it,
// the wait for the response's head, unless that has come.
func (c *Call) AwaitAnswer(within time.Duration) {
	at := Expiry(within, c.Expiry)
	if s := c.sending.stream; s != nil {
		s.SwapReadExpiry(c.Expiry, at)
		return
	}
	c.sending.conn.Sock.SwapReadExpiry(c.Expiry, at)
}

// ExpectBody bounds the wait for more of the response.
func (c *Call) ExpectBody() {
	at := Expiry(c.Timeouts.Idle, c.Expiry)
	if c.stream != nil {
		c.stream.SetReadExpiry(at)
		return
	}
	c.Conn.Sock.SetReadExpiry(at)
}

// Open reports whether there is something to End.
func (c *Call) Open() bool { return c.Conn != nil || c.stream != nil }

// Tunnel goes on with the connection as one end of a tunnel.
func (c *Conn) Tunnel(idle time.Duration) *http1.Tunnel {
	return http1.NewTunnel(c.Conn, c.Sock, &c.Reader, idle)
}
