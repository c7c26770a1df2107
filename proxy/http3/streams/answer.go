package streams

import (
	"errors"
	"os"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http3"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// Bound sets the time-outs of writes.
func (s *stream) Bound(idle time.Duration, minRate, total int64) {
	s.idle, s.minRate, s.total = idle, minRate, total
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
	s.head = http3.AppendResponse(s.head[:0], r)
	s.gatherHead()
	total := s.total
	s.total = 0
	err := s.Flush()
	s.total = total
	return err
}

// Begin makes the head. It goes with what follows it.
func (s *stream) Begin(r *message.Response, _ bool) {
	s.begun = true
	s.headEnds = r.Bodiless
	s.head = http3.AppendResponse(s.head[:0], r)
	s.gatherHead()
}

// gatherHead puts the head into what is to be sent.
func (s *stream) gatherHead() {
	s.out = append(http3.AppendFrameHead(s.out, http3.Headers, len(s.head)), s.head...)
	s.head = s.head[:0]
}

// gather is how much of the content waits for its flush, and piece how much is written
// within one write_idle (bytes).
const gather, piece = 16 << 10, 16 << 10

// Write takes a part of the content.
func (s *stream) Write(span []byte) error {
	s.out = http3.AppendFrameHead(s.out, http3.Data, len(span))
	if len(s.out)+len(span) <= gather {
		s.out = append(s.out, span...)
		return nil
	}
	if err := s.Flush(); err != nil {
		return err
	}
	return s.send(span)
}

// Flush sends what was gathered.
func (s *stream) Flush() error {
	out := s.out
	s.out = s.out[:0]
	return s.send(out)
}

// End ends the content.
func (s *stream) End(trailer message.Header) error {
	if !s.headEnds {
		if section := http3.AppendTrailer(nil, trailer); len(section) > 0 {
			s.out = append(http3.AppendFrameHead(s.out, http3.Headers, len(section)), section...)
		}
	}
	if err := s.Flush(); err != nil {
		return err
	}
	return s.close()
}

// close says that all has been sent.
func (s *stream) close() error {
	s.endWatching()
	s.closed = true
	if s.quic.Close() != nil { // the client has given the stream up
		return exchange.ErrClientGone
	}
	return nil
}

// send writes to QUIC, which takes it as the client and the network do, within the
// time-outs of writes.
func (s *stream) send(p []byte) error {
	for len(p) > 0 {
		began := socket.Nanotime()
		_ = s.quic.SetWriteDeadline(s.writeDeadline(began)) // it has no errors
		n, err := s.quic.Write(p[:min(len(p), piece)])
		p = p[n:]
		now := socket.Nanotime()
		late := errors.Is(err, os.ErrDeadlineExceeded)
		switch {
		case err != nil && !late:
			return s.whyGone()
		case s.total != 0 && now >= s.total, late && n == 0:
			return socket.ErrTimeout
		case s.pace.Add(now-began, int64(n), int64(s.idle), s.minRate):
			return socket.ErrTimeout
		}
	}
	return nil
}

// writeDeadline is until when a write has to make progress; the zero time is no bound.
func (s *stream) writeDeadline(now int64) time.Time {
	at := s.total
	if s.idle > 0 && (at == 0 || now+int64(s.idle) < at) {
		at = now + int64(s.idle)
	}
	if at == 0 {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(at - now))
}

// whyGone is why nothing can be sent any more.
func (s *stream) whyGone() error {
	if gone := s.Gone(); gone != nil {
		return gone
	}
	return exchange.ErrClientGone
}

// Finish ends the exchange in order: what is left of the request isn't wanted.
func (s *stream) Finish(now int64, _ bool) {
	if s.begun && !s.closed && s.Flush() == nil { // a response without content
		_ = s.close() // the client has gone: so it ends all the same
	}
	read, write := http3.NoError, http3.InternalError
	if s.arrival.Malformed || s.bad {
		read, write = http3.MessageError, http3.MessageError
		s.noteBad()
	}
	s.reset(read, write)
	s.leave(now)
}

// Cut ends an exchange whose response isn't there, or not complete.
func (s *stream) Cut(now int64, reason exchange.CutReason) {
	code := codeOf(reason)
	if s.arrival.Malformed || s.bad {
		code = http3.MessageError
		s.noteBad()
	}
	s.reset(code, code)
	s.leave(now)
}

// noteBad counts a request that was none; too many end the connection.
func (s *stream) noteBad() {
	if err := s.conn.calm(Resets); err != nil {
		s.conn.fail(err)
	}
}

func codeOf(reason exchange.CutReason) http3.Code {
	switch reason {
	case exchange.CutByClient, exchange.CutByTime, exchange.CutByDrain:
		return http3.RequestCancelled
	case exchange.CutByMemory:
		return http3.ExcessiveLoad
	}
	return http3.InternalError
}

// reset ends what hasn't ended: the client need send nothing more, and gets nothing more.
func (s *stream) reset(read, write http3.Code) {
	s.endWatching()
	if !s.in.ended {
		s.quic.CancelRead(quic.StreamErrorCode(read))
	}
	if !s.closed {
		s.closed = true
		s.quic.CancelWrite(quic.StreamErrorCode(write))
	}
}

// leave takes the stream out of the connection; from then on nobody else knows it, and
// the client may open another one.
func (s *stream) leave(now int64) {
	c := s.conn
	s.in.release(&s.charge)
	s.charge.End(c.server.Memory, 0)
	c.mu.Lock()
	delete(c.streams, s.number)
	if len(c.streams) == 0 {
		c.idleSince = now
	}
	c.mu.Unlock()
	s.mu.Lock()
	of := s.quic
	s.quic = nil // who has found it before gives nothing up any more
	s.mu.Unlock()
	of.ReleaseStreamCredit()
}
