package clients

import (
	"sync"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// http1Stream is one request of an HTTP/1 connection: the exchange's Stream. It
// is pooled; release names every field.
type http1Stream struct {
	c    *client
	req  http1.Request
	body http1.Body
	pump http1.Pump

	begun     bool // the final response
	told      bool // to send its body, or it never waits for that
	delimited bool // a client can tell a cut response by its framing, or there is no content to cut
	tunnelled bool
	goesOn    bool // the connection, after Finish
}

var streamPool = sync.Pool{New: func() any { return new(http1Stream) }}

func acquireStream(c *client) *http1Stream {
	s := streamPool.Get().(*http1Stream) //nolint:forcetypeassert // the pool holds nothing else
	s.c, s.told = c, true
	s.pump.Conn, s.pump.Sock, s.pump.Busy = c.Conn.Conn, c.Sock, &c.writing
	return s
}

// keepOut is the largest buffer of what is written that is kept.
const keepOut = 16 << 10

func (s *http1Stream) reset() {
	s.c = nil
	s.req.Reset()
	s.body.Reset(nil, http1.NoBody, 0)
	out := s.pump.Out[:0]
	if cap(out) > keepOut {
		out = nil
	}
	s.pump = http1.Pump{}
	s.pump.Out = out
	s.begun, s.told, s.delimited, s.tunnelled, s.goesOn = false, false, false, false, false
}

// Client says whose connection it is.
func (s *http1Stream) Client() *exchange.Client { return &s.c.who }

// Memory is the connection's charge, which the reader's buffers are part of.
func (s *http1Stream) Memory() *memory.Charge { return &s.c.memory }

// Arrived is when the head was there, or was given up.
func (s *http1Stream) Arrived() int64 { return s.c.headAt }

// HeadSize is 0 where there is no whole head.
func (s *http1Stream) HeadSize() int { return len(s.c.head) }

// Request parses the head, or says why there is none.
func (s *http1Stream) Request(maxTarget int) (*message.Request, error) {
	if s.c.headErr != nil {
		return &s.req.Request, s.c.headErr
	}
	first := s.req.Method == nil
	if err := s.req.Parse(s.c.head, maxTarget); err != nil {
		return &s.req.Request, s.c.spoke(err, s.c.head)
	}
	if first {
		s.body.Reset(&s.c.reader, s.req.Framing, s.req.Length)
		s.told = !s.req.Continue
		if takes := s.req.Minor == 1; s.c.takesInterim.Load() != takes {
			s.c.takesInterim.Store(takes)
		}
	}
	return &s.req.Request, nil
}

// Body is what follows the head.
func (s *http1Stream) Body() exchange.Body { return &s.body }

// Expire bounds reads of the body.
func (s *http1Stream) Expire(at int64) { s.c.Sock.SetReadExpiry(at) }

// Interrupt ends reads of the body.
func (s *http1Stream) Interrupt(cause error) { s.c.Sock.Abort(cause) }

// Resume undoes Interrupt.
func (s *http1Stream) Resume() { s.c.Sock.ClearAbort() }

// Expects says whether the client waits for 100 Continue.
func (s *http1Stream) Expects() bool { return !s.told }

// Bound sets the time-outs of writes.
func (s *http1Stream) Bound(idle time.Duration, minRate, total int64) {
	s.pump.Idle, s.pump.MinRate, s.pump.Total = idle, minRate, total
}

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// Continue sends 100 Continue, once.
func (s *http1Stream) Continue() error {
	if s.told {
		return nil
	}
	s.told = true
	return s.aside(continueLine)
}

// Interim passes a response before the final one on. HTTP/1.0 clients don't know
// them (RFC 9110 §15.2).
func (s *http1Stream) Interim(r *message.Response) error {
	if s.req.Minor == 0 {
		return nil
	}
	s.pump.Out = http1.AppendResponse(s.pump.Out[:0], r, 1, false, false)
	err := s.aside(s.pump.Out)
	s.pump.Out = s.pump.Out[:0]
	return err
}

// aside writes what doesn't begin the answer: after it the client may be asked
// again whether it is there.
func (s *http1Stream) aside(p []byte) error {
	s.c.beginAnswer()
	defer s.c.pauseAnswer()
	to := s.pump.Sink
	to.Total = 0
	return to.Write(p)
}

// Begin makes the head, and decides about the connection.
func (s *http1Stream) Begin(r *message.Response, last bool) {
	s.begun = true
	s.c.beginAnswer()
	open := r.Length < 0 && !r.Bodiless
	chunked := open && s.req.Minor == 1
	s.delimited = chunked == open
	s.goesOn = !last && s.delimited && s.keepsAlive() && s.keepable() && s.c.mayGoOn()
	s.pump.Chunked = chunked
	s.pump.Out = http1.AppendResponse(s.pump.Out[:0], r, s.req.Minor, chunked, !s.goesOn)
}

// keepsAlive reports whether the client wants the connection to go on.
func (s *http1Stream) keepsAlive() bool {
	return s.c.headErr == nil && !s.req.Close && (s.req.Minor == 1 || s.req.KeepAlive)
}

// Write takes a part of the content.
func (s *http1Stream) Write(span []byte) error { return s.pump.Add(span) }

// Flush writes what was gathered.
func (s *http1Stream) Flush() error {
	err := s.pump.Flush()
	s.c.wrote.Store(true)
	return err
}

// End ends the content.
func (s *http1Stream) End(trailer message.Header) error { return s.pump.End(trailer) }

// Splices reports whether content may come through a pipe.
func (s *http1Stream) Splices() bool { return s.pump.Splices() }

// WritePipe writes a pipe.
func (s *http1Stream) WritePipe(pipe *socket.Pipe) error {
	err := s.pump.WritePipe(pipe)
	s.c.wrote.Store(true)
	return err
}

// BeginWait has call aborted when the client is gone.
func (s *http1Stream) BeginWait(call exchange.Aborter, now int64) { s.c.beginWait(call, now) }

// EndWait ends that.
func (s *http1Stream) EndWait() { s.c.endWait() }

// Watch has cancel called when the client is gone.
func (s *http1Stream) Watch(cancel func()) (end func()) {
	return s.c.beginScriptWait(cancel, !s.begun)
}

// Tunnel passes a 101 on.
func (s *http1Stream) Tunnel(r *message.Response, idle time.Duration) (exchange.TunnelEnd, error) {
	s.begun, s.tunnelled = true, true
	s.Expire(0)
	s.c.beginAnswer()
	s.pump.Out = http1.AppendResponse(s.pump.Out[:0], r, 1, false, false)
	s.pump.Total = 0
	if err := s.pump.Flush(); err != nil {
		return nil, err
	}
	return http1.NewTunnel(s.pump.Conn, s.pump.Sock, &s.c.reader, idle), nil
}

// Agrees is left to the client, who has the key of the WebSocket.
func (s *http1Stream) Agrees(*message.Response) bool { return true }

// Finish leaves the connection at its next request, or about to be closed.
func (s *http1Stream) Finish(now int64, last bool) {
	c := s.c
	c.endWait()
	switch {
	case s.tunnelled:
		s.goesOn, c.lingers = false, true // or what the client still sends would destroy what it has not read
	case last || !s.goesOn: // a drain that has begun since its head was sent waits for the next one
		s.goesOn = false
		c.endWriting()
		c.lingers = last || c.headErr != nil || !s.body.Done() || c.reader.Buffered() > 0
	case !s.drainBody():
		s.goesOn, c.lingers = false, true
		c.endWriting()
	}
	s.end(now)
}

// Cut closes the connection, with a reset where that is the only sign of a cut
// that the client gets: HTTP/1 has no words for the reason.
func (s *http1Stream) Cut(now int64, _ exchange.CutReason) {
	s.c.endWait()
	s.goesOn = false
	if !s.delimited {
		_ = s.c.Reset()
	}
	s.end(now)
}

// end ends the request's use of the connection, at that time.
func (s *http1Stream) end(now int64) {
	c := s.c
	if !s.goesOn {
		c.reader.Release()
	}
	if !c.lingers { // which isn't idle: a drain waits for it
		c.markIdle(now)
	}
	c.memory.End(c.server.Memory, c.reader.Charged())
}

// maxDrain bounds the rest of a body that is read to keep a connection.
const maxDrain = 64 << 10

// keepable reports whether the connection can serve another request: whether
// what is left of the body is worth reading.
func (s *http1Stream) keepable() bool {
	return s.body.Done() || s.told && s.req.Framing == http1.Length && s.body.Left() <= maxDrain
}

func (s *http1Stream) drainBody() bool {
	if !s.keepable() {
		return false
	}
	if s.body.Done() {
		return true
	}
	s.Expire(socket.Nanotime() + int64(lingerTime)) // for all of it
	for !s.body.Done() {
		if _, err := s.body.Next(); err != nil {
			return s.body.Done()
		}
	}
	return true
}

// serve handles one request of a connection. It reports whether the connection
// goes on.
func (s *Server) serve(c *client) (goesOn bool) {
	stream := acquireStream(c)
	s.Plane.Serve(stream)
	goesOn = stream.goesOn
	stream.reset()
	streamPool.Put(stream)
	return goesOn
}
