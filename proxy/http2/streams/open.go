package streams

import (
	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/multiplex"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// pendingBlock is a header block of which not all has come.
type pendingBlock struct {
	stream uint32 // whose it is; 0 is none
	ends   bool   // END_STREAM was set
	wrong  error  // of its HEADERS frame
	frames int
	bytes  []byte
}

// takeHeaders takes the first part of a header block, which mostly is all of it.
func (c *Conn) takeHeaders(f *http2.Frame) error {
	if f.Stream == 0 || f.Stream&1 == 0 {
		return &http2.ConnError{Code: http2.ProtocolError, Why: "HEADERS without a stream of the client's"}
	}
	wrong := f.Unpad()
	if _, ok := wrong.(*http2.ConnError); ok { //nolint:errorlint // Unpad doesn't wrap it
		return wrong
	}
	if f.Has(http2.FlagEndHeaders) {
		return c.takeBlock(f.Stream, f.Payload, f.Has(http2.FlagEndStream), wrong)
	}
	c.block = pendingBlock{stream: f.Stream, ends: f.Has(http2.FlagEndStream), wrong: wrong, bytes: append(c.block.bytes[:0], f.Payload...)}
	c.headAt.Store(socket.Nanotime())
	return nil
}

func (c *Conn) takeContinuation(f *http2.Frame) error {
	b := &c.block
	if b.stream == 0 {
		return &http2.ConnError{Code: http2.ProtocolError, Why: "CONTINUATION without a header block"}
	}
	if b.frames++; b.frames > continuationsOf || len(b.bytes)+len(f.Payload) > c.maxBlock() {
		return c.calmed(Continuations)
	}
	b.bytes = append(b.bytes, f.Payload...)
	if !f.Has(http2.FlagEndHeaders) {
		return nil
	}
	done := *b
	c.block = pendingBlock{bytes: b.bytes[:0]}
	c.headAt.Store(0)
	if cap(c.block.bytes) > http2.MaxFrame {
		c.block.bytes = nil
	}
	return c.takeBlock(done.stream, done.bytes, done.ends, done.wrong)
}

// maxBlock is how long an encoded block may be: a peer that encodes badly needs more
// than the head in it.
func (c *Conn) maxBlock() int { return 2*c.server.MaxHeader() + http2.MaxFrame }

// mostExchanges is how many of a connection there are at once: those of as many streams
// as there may be, and those that have yet to end behind their responses.
const mostExchanges = 4 * multiplex.MaxStreams

// running is how many streams count: to the client one has ended with the last byte of its
// response, and so it may open another although the exchange of the first has not ended
// yet. There are at most mostExchanges. It needs c.mu.
func (c *Conn) running() int {
	n := len(c.streams)
	if n < multiplex.MaxStreams || n >= mostExchanges {
		return n
	}
	for _, s := range c.streams {
		if s.closed && !s.given {
			n--
		}
	}
	return n
}

// takeBlock takes a whole header block: a request, or a trailer section.
func (c *Conn) takeBlock(number uint32, block []byte, ends bool, wrong error) error {
	c.mu.Lock()
	last, running := c.last, c.running()
	ignored := c.leaving == multiplex.Left && number > c.goaway
	c.mu.Unlock()
	if number <= last {
		return c.takeTrailer(number, block, ends)
	}
	s := acquireStream(c, number)
	s.arrival.Block.Reset(c.server.MaxHeader())
	if err := c.decoder.Decode(block, &s.arrival.Block); err != nil {
		s.release()
		return err
	}
	if ignored || wrong != nil || running >= multiplex.MaxStreams {
		s.release()
		c.mu.Lock()
		c.last = number
		c.mu.Unlock()
		switch {
		case ignored: // the client has been told
			return c.calm(&c.budgets.lateHeads, lateHeads, Late)
		case wrong != nil:
			return wrong
		}
		c.server.Counters.Refused.Add(1)
		return &http2.StreamError{Stream: number, Code: http2.RefusedStream, Why: "there are too many streams at once"}
	}
	c.open(s, ends)
	return nil
}

// open begins the exchange of a stream.
func (c *Conn) open(s *stream, ends bool) {
	s.arrived = socket.Nanotime()
	s.ended = ends
	s.charge.Begin(c.server.Memory)
	s.intake.Begin(c.server.Memory, &s.charge)
	if ends {
		_ = s.intake.End(nil) // of nothing
	}
	c.server.Counters.Streams.Add(1)
	most := c.o.MostRequests()
	c.mu.Lock()
	c.last = s.number
	c.streams[s.number] = s
	c.budgets.lateResets.GiveBack(1, lateResets)
	s.window = int64(c.peer.Window)
	c.opened++
	if c.leaving == multiplex.Staying && (most > 0 && c.opened >= most || c.o.Ending()) {
		c.announce()
	}
	c.mu.Unlock()
	go s.serveFn()
}

// takeTrailer takes a block for a stream that has been opened: its trailer section.
func (c *Conn) takeTrailer(number uint32, block []byte, ends bool) error {
	trailer := new(http2.Block)
	trailer.Reset(min(c.server.MaxHeader(), message.MaxTrailer))
	if err := c.decoder.Decode(block, trailer); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.find(&http2.Frame{Type: http2.Headers, Stream: number})
	switch {
	case err != nil:
		return err
	case s == nil:
		return c.calm(&c.budgets.lateHeads, lateHeads, Late)
	case s.intake.Ended() && s.closed: // both sides have ended it, and only its exchange has not yet
		return &http2.ConnError{Code: http2.StreamClosed, Why: "HEADERS for a stream that has ended"}
	case s.intake.Ended():
		return &http2.StreamError{Stream: number, Code: http2.StreamClosed, Why: "HEADERS after the end of the stream"}
	case !ends:
		return &http2.StreamError{Stream: number, Code: http2.ProtocolError, Why: "a trailer section does not end its stream"}
	}
	return s.wrong(s.intake.End(trailer))
}
