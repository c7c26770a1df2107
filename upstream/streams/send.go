package streams

import (
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// Sending a body: as a whole, given to Begin, which needs no goroutine, or part
// by part.

// gather is how much of a body waits to be flushed.
const gather = 16 << 10

// Write takes a part of the body, waiting until the target's windows and the
// connection take it. idle bounds the wait for each frame, total (socket.Nanotime)
// all of it; 0 is no bound. What was taken is written by Flush at the latest.
func (s *Stream) Write(span []byte, idle time.Duration, total int64) error {
	c := s.c
	c.mu.Lock()
	for len(span) > 0 {
		if err := s.sendErrorLocked(); err != nil {
			c.flush()
			return err
		}
		n := s.sendable(len(span))
		if n == 0 {
			s.blockLocked()
			c.flush()
			if err := s.awaitRoom(idle, total); err != nil {
				return err
			}
			c.mu.Lock()
			continue
		}
		s.appendData(span[:n], false)
		span = span[n:]
		if len(c.out.buf) >= gather {
			c.flush()
			c.mu.Lock()
		}
	}
	c.mu.Unlock()
	return nil
}

// awaitRoom waits to be woken, within time-outs.
func (s *Stream) awaitRoom(idle time.Duration, total int64) error {
	at := total
	if until := socket.Nanotime() + int64(idle); idle > 0 && (at == 0 || until < at) {
		at = until
	}
	s.writeExpiry.Store(at)
	defer s.writeExpiry.Store(0)
	if expired(&s.writeExpiry) {
		return socket.ErrTimeout
	}
	<-s.room
	s.c.mu.Lock()
	stuck := s.waits && s.sendErrorLocked() == nil && s.sendable(1) == 0
	s.c.mu.Unlock()
	if stuck && expired(&s.writeExpiry) {
		return socket.ErrTimeout
	}
	return nil
}

// sendErrorLocked says why no more can be sent, if so.
func (s *Stream) sendErrorLocked() error {
	switch {
	case s.aborted != nil:
		return s.aborted
	case s.err != nil:
		return s.err
	case s.stopped || s.closed:
		return ErrStopped
	}
	return nil
}

// Flush has what was taken written.
func (s *Stream) Flush() {
	s.c.mu.Lock()
	s.c.flush()
}

// End ends the body.
func (s *Stream) End(trailer message.Header) error {
	block := http2.AppendTrailer(nil, trailer)
	c := s.c
	c.mu.Lock()
	if err := s.sendErrorLocked(); err != nil {
		c.mu.Unlock()
		return err
	}
	if len(block) == 0 {
		s.appendData(nil, true)
	} else {
		c.out.buf = http2.AppendHeaders(c.out.buf, s.id, block, c.peer.MaxFrame, true)
		c.out.own += len(block)
	}
	s.closed = true
	c.flush()
	return nil
}

// pushLocked sends what is left of a body that is sent as a whole, as far as it
// is taken.
func (s *Stream) pushLocked() {
	for len(s.payload) > 0 && s.err == nil && !s.stopped {
		n := s.sendable(len(s.payload))
		if n == 0 {
			s.blockLocked()
			return
		}
		last := n == len(s.payload)
		s.appendData(s.payload[:n], last && s.whole)
		s.payload = s.payload[n:]
		s.closed = last && s.whole
	}
}

// sendable is how much of n bytes may be sent now.
func (s *Stream) sendable(n int) int {
	c := s.c
	return int(max(0, min(int64(n), s.window, c.send, int64(fullOut-len(c.out.buf)), int64(min(c.peer.MaxFrame, largestData)))))
}

// largestData bounds a frame of content, so that streams take turns.
const largestData = 16 << 10

func (s *Stream) appendData(p []byte, end bool) {
	flags := uint8(0)
	if end {
		flags = http2.FlagEndStream
	}
	c := s.c
	c.out.buf = append(http2.AppendFrameHead(c.out.buf, len(p), http2.Data, flags, s.id), p...)
	s.window -= int64(len(p))
	c.send -= int64(len(p))
	c.budget.earn(1 + len(p)/earnedBytes)
}

// blockLocked has the stream resumed when there may be room.
func (s *Stream) blockLocked() {
	if s.window > 0 && s.c.send > 0 {
		s.c.out.full = true
	}
	if !s.waits {
		s.waits = true
		s.c.blocked = append(s.c.blocked, s)
	}
}

// resumeLocked lets the stream go on sending.
func (s *Stream) resumeLocked() {
	if len(s.payload) > 0 {
		s.pushLocked()
		return
	}
	notify(s.room)
}

// unblock lets all go on that wait for room. Those that still find none are put
// into the list again.
func (c *Conn) unblock() {
	list := c.blocked
	c.blocked, c.out.full = c.blocked[:0], false
	for _, s := range list {
		s.waits = false
		s.resumeLocked()
	}
}

// stopLocked says that the target wants no more of the body.
func (s *Stream) stopLocked() {
	s.stopped = true
	s.gone = true
	notify(s.room)
}
