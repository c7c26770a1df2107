package streams

import (
	"io"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http3"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/multiplex"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// open begins with a stream: from here on it counts, until its exchange has ended.
func (c *Conn) open(incoming *quic.Stream) {
	number := uint64(incoming.StreamID()) //nolint:gosec // G115: it isn't negative
	address := c.o.Conn.RemoteAddr()
	most := c.o.MostRequests()
	c.mu.Lock()
	if c.leaving == multiplex.Left && number >= c.goaway {
		c.mu.Unlock()
		c.refuse(incoming)
		return
	}
	if address != c.address && address.String() != c.address.String() {
		c.client = c.o.Moved(address)
	}
	c.address = address
	s := acquireStream(c, incoming, number)
	s.client = c.client
	c.streams[number] = s
	c.next = max(c.next, number+4)
	c.opened++
	announce := c.leaving == multiplex.Staying && (most > 0 && c.opened >= most || c.o.Ending())
	c.mu.Unlock()
	if announce {
		c.Leave()
	}
	c.server.Counters.Streams.Add(1)
	s.watch()
	c.wait.Go(s.serveFn)
}

// refuse turns a stream away that the client was told not to open.
func (c *Conn) refuse(incoming *quic.Stream) {
	incoming.CancelRead(quic.StreamErrorCode(http3.RequestRejected))
	incoming.CancelWrite(quic.StreamErrorCode(http3.RequestRejected))
	incoming.ReleaseStreamCredit()
	c.server.Counters.Refused.Add(1)
	if err := c.calm(Late); err != nil {
		c.fail(err)
	}
}

// serve is the goroutine of a stream.
func (s *stream) serve() {
	c := s.conn
	defer func() {
		if cause := recover(); cause != nil { // after an exchange, which doesn't panic
			c.server.Plane.LogPanic(cause)
			c.fail(&http3.ConnError{Code: http3.InternalError})
		}
	}()
	if err := s.readHead(); err != nil {
		s.abandon(err)
	} else {
		s.arrived = socket.Nanotime()
		c.server.Plane.Serve(s)
	}
	s.release()
}

// abandon ends a stream on which no request has come.
func (s *stream) abandon(why error) {
	c := s.conn
	code := http3.RequestIncomplete
	switch why {
	case memory.ErrNoMemory:
		code = http3.ExcessiveLoad
	case exchange.ErrClientGone:
		code = http3.RequestCancelled
	}
	s.reset(code, code)
	if wrong, ok := why.(*http3.ConnError); ok { //nolint:errorlint // it isn't wrapped
		c.fail(wrong)
	} else if err := c.calm(Resets); err != nil {
		c.fail(err)
	}
	s.leave(socket.Nanotime())
}

// readHead reads the first frame that says something, which is the head of the request.
func (s *stream) readHead() error {
	c := s.conn
	s.in.Expire(socket.Nanotime() + c.server.Header())
	for {
		t, length, err := s.in.frame()
		switch {
		case err == io.EOF: // the client may have given it up before it said anything
			return exchange.ErrClientGone
		case err != nil:
			return err
		case t == http3.Headers:
			return s.takeHead(length)
		}
		if err := s.skipFrame(t, length); err != nil {
			return err
		}
	}
}

// skipFrame passes over a frame of which nothing is known; any other is wrong here.
func (s *stream) skipFrame(t http3.FrameType, length uint64) error {
	if t <= http3.GoAway || t.IsHTTP2s() || t == http3.MaxPushID || t == http3.PriorityUpdate || t == http3.PriorityOfPush {
		return &http3.ConnError{Code: http3.FrameUnexpected, Why: "a frame has come where it must not"}
	}
	if length > maxUnknown {
		return &http3.ConnError{Code: http3.ExcessiveLoad, Why: "a frame of an unknown type is too long"}
	}
	if err := s.conn.calm(Others); err != nil {
		return err
	}
	return s.in.skip(length)
}

// maxSection is how long an encoded head may be: a peer that encodes badly needs more
// than the head in it.
func (c *Conn) maxSection() int { return 2*c.server.MaxHeader() + 16<<10 }

// takeHead decodes the head, and finds out whether content follows.
func (s *stream) takeHead(length uint64) error {
	c := s.conn
	s.arrival.Block.Reset(c.server.MaxHeader())
	if length > uint64(c.maxSection()) { //nolint:gosec // G115: it isn't negative
		s.arrival.Block.Refuse() // it is answered, and nothing more is read
		return nil
	}
	section, free, err := s.in.payload(int(length), &s.charge) //nolint:gosec // G115: see above
	if err != nil {
		return err
	}
	ok := s.decoder.Decode(section, &s.arrival.Block)
	free()
	if !ok {
		return &http3.ConnError{Code: http3.DecompressionFailed, Why: "a field section can't be decoded"}
	}
	s.awaitEnd()
	s.ended = s.in.ended && s.in.buffered() == 0
	return nil
}

// endTime is how long the end of a request is waited for that has no content most likely.
const endTime = int64(25 * time.Millisecond)

// awaitEnd waits a moment for the end of a request that says nothing of content: QUIC may
// bring it in another packet. Else a GET would reach its target as one with content.
func (s *stream) awaitEnd() {
	if s.in.ended || s.in.buffered() > 0 || !s.seldomHasContent() {
		return
	}
	s.in.Expire(socket.Nanotime() + endTime)
	if _, err := s.in.read(s.in.peek[:], true); err == io.EOF {
		_, _ = s.in.read(s.in.peek[:], false) // so that QUIC is done with it; it is the end again
	}
}

// seldomHasContent reports whether the head is one of a request that has none by its
// method, and says no length.
func (s *stream) seldomHasContent() bool {
	seldom := false
	for i := range s.arrival.Block.Len() {
		switch string(s.arrival.Block.Name(i)) {
		case ":method":
			switch string(s.arrival.Block.Value(i)) {
			case "GET", "HEAD", "OPTIONS", "DELETE":
				seldom = true
			}
		case "content-length":
			return false
		}
	}
	return seldom
}
