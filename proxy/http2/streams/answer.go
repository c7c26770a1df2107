package streams

import (
	"errors"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// Bound sets the time-outs of writes.
func (s *stream) Bound(idle time.Duration, minRate, total int64) {
	s.idle, s.minRate, s.total = idle, minRate, total
	if bound := &s.conn.writeIdle; bound.Load() < int64(idle) {
		bound.Store(int64(idle))
	}
}

var continueResponse = message.Response{Status: 100}

// Continue sends 100 Continue, once.
func (s *stream) Continue() error {
	if !s.arrival.Proceed() {
		return nil
	}
	return s.Interim(&continueResponse)
}

// Interim passes a response before the final one on.
func (s *stream) Interim(r *message.Response) error {
	s.head = http2.AppendResponse(s.head[:0], r)
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.sendHead(false); err != nil {
		return err
	}
	c.wake()
	return nil
}

// Begin makes the head. It goes with what follows it.
func (s *stream) Begin(r *message.Response, _ bool) {
	s.begun = true
	s.headEnds = r.Bodiless
	s.head = http2.AppendResponse(s.head[:0], r)
}

// Write takes a part of the content.
func (s *stream) Write(span []byte) error {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.sendHead(false); err != nil {
		return err
	}
	if err := s.sendData(span); err != nil {
		return err
	}
	if len(c.out) > gather {
		c.wake()
	}
	return nil
}

// Flush has the writer write what was gathered.
func (s *stream) Flush() error {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.sendHead(s.headEnds); err != nil {
		return err
	}
	c.wake()
	return c.err
}

// End ends the content: where the last frame of it is there still, by that.
func (s *stream) End(trailer message.Header) error {
	var block []byte
	if len(trailer) > 0 && !s.headEnds {
		block = http2.AppendTrailer(nil, trailer)
	}
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.sendHead(len(block) == 0); err != nil {
		return err
	}
	s.sendEnd(block)
	c.wake()
	return c.err
}

// Finish ends the exchange in order: what is left of the request isn't wanted.
func (s *stream) Finish(now int64, _ bool) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.begun && !s.closed && s.sendHead(true) == nil { // a response without content
		s.sendEnd(nil)
	}
	switch {
	case s.isReset:
	case s.arrival.Malformed || s.bad:
		s.sendReset(http2.ProtocolError)
		c.noteBad(now)
	case !s.closed:
		s.sendReset(http2.InternalError)
	case !s.intake.Ended():
		s.sendReset(http2.NoError) // RFC 9113 §8.1
	}
	s.leave(now)
}

// Cut ends an exchange whose response isn't there, or not complete.
func (s *stream) Cut(now int64, reason exchange.CutReason) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case s.isReset:
	case s.arrival.Malformed || s.bad:
		s.sendReset(http2.ProtocolError)
		c.noteBad(now)
	default:
		s.sendReset(codeOf(reason))
	}
	s.leave(now)
}

func codeOf(reason exchange.CutReason) http2.Code {
	switch reason {
	case exchange.CutByClient, exchange.CutByTime, exchange.CutByDrain:
		return http2.Cancel
	case exchange.CutByMemory:
		return http2.EnhanceYourCalm
	}
	return http2.InternalError
}

// leave takes the stream out of the connection; from then on nobody else knows it. It
// needs c.mu.
func (s *stream) leave(now int64) {
	c := s.conn
	s.charge.End(c.server.Memory, 0)
	delete(c.streams, s.number)
	if len(c.streams) > 0 {
		return
	}
	c.idleSince = now
	c.quiet.Broadcast()
	c.bound()
}

// Tunnel agrees to an extended CONNECT (RFC 8441 §5): the stream is the client's end.
func (s *stream) Tunnel(r *message.Response, idle time.Duration) (exchange.TunnelEnd, error) {
	if !s.arrival.Request.Agrees(r) {
		return nil, errDisagrees
	}
	r.Status, r.Length = 200, message.Unsized
	s.Bound(idle, 0, 0)
	s.intake.Expire(0)
	s.begun = true
	s.head = http2.AppendResponse(s.head[:0], r)
	return &tunnel{s}, s.Flush()
}

// Agrees is false of a 101 that doesn't agree to what was asked for, and of any 2xx to
// an extended CONNECT, which would say that there is a tunnel.
func (s *stream) Agrees(r *message.Response) bool {
	switch {
	case s.arrival.Request.Protocol == nil:
		return true
	case r.Status == 101:
		return s.arrival.Request.Agrees(r)
	}
	return r.Status < 200 || r.Status > 299
}

var errDisagrees = errors.New("the target has not agreed to the WebSocket that it was asked for")

// tunnel is a stream on which another protocol is spoken.
type tunnel struct{ s *stream }

// Receive waits for bytes.
func (t *tunnel) Receive(expiry int64) ([]byte, error) {
	t.s.intake.Expire(expiry)
	return t.s.intake.Next()
}

// Release does nothing: the next Receive gives up what this one has returned.
func (t *tunnel) Release() {}

// Send writes bytes.
func (t *tunnel) Send(p []byte) error {
	if err := t.s.Write(p); err != nil {
		return err
	}
	return t.s.Flush()
}

// CloseWrite ends the sending side.
func (t *tunnel) CloseWrite() error { return t.s.End(nil) }

// Abort ends what waits on either side with cause.
func (t *tunnel) Abort(cause error) {
	c := t.s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	t.s.fail(cause)
	t.s.intake.Fail(cause)
}
