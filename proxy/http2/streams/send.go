package streams

import (
	"slices"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// All below needs c.mu.

const (
	// maxOut is how much waits to be written at most, before streams wait; gather, how
	// much of a stream's content waits for its flush.
	maxOut = memory.LargeBuffer
	gather = 16 << 10
	// leastRoom is not worth a frame, where more is to be sent.
	leastRoom = 1 << 10
)

// sendHead sends what was made of the head, if that is still to be done; ends says
// that nothing follows. It waits for room.
func (s *stream) sendHead(ends bool) error {
	if len(s.head) == 0 || s.closed {
		return s.sendable()
	}
	c := s.conn
	for len(c.out)+len(s.head) > maxOut && len(c.out) > 0 {
		if err := s.wait(); err != nil {
			return err
		}
	}
	if err := s.sendable(); err != nil {
		return err
	}
	ends = ends || s.headEnds
	if !c.tableless {
		c.tableless = true
		s.head = slices.Insert(s.head, 0, emptyTable)
	}
	c.room(len(s.head) + http2.FrameHead*(len(s.head)/http2.MaxFrame+1))
	s.lastGen, s.lastAt = c.gen, len(c.out)
	c.out = http2.AppendHeaders(c.out, s.number, s.head, http2.MaxFrame, ends)
	s.head = s.head[:0]
	s.closed, s.stuck = ends, 0
	return nil
}

// emptyTable begins the first header block: a dynamic table of no size (RFC 7541 §6.3),
// which is what a client expects to be told whose SETTINGS make its own smaller, and
// what fits whatever they become.
const emptyTable = 0x20

// sendable says why nothing can be sent, if that is so.
func (s *stream) sendable() error {
	if s.failed != nil {
		return s.failed
	}
	return s.conn.err
}

// sendData sends content, as far as windows and room allow, and waits for more.
func (s *stream) sendData(span []byte) error {
	c := s.conn
	for len(span) > 0 {
		if err := s.sendable(); err != nil {
			return err
		}
		n := 0
		if c.isNext(s) {
			n = s.mayTake(len(span))
		}
		if n == 0 {
			if err := s.wait(); err != nil {
				return err
			}
			continue
		}
		c.room(http2.FrameHead + n)
		s.lastGen, s.lastAt = c.gen, len(c.out)
		c.out = append(http2.AppendFrameHead(c.out, n, http2.Data, 0, s.number), span[:n]...)
		c.window -= int64(n)
		s.window -= int64(n)
		if c.waiting > 0 {
			c.progress = socket.Nanotime()
			c.countTurn()
		}
		c.turn++
		s.turn, s.stuck = c.turn, 0
		s.sent += int64(n)
		c.earned = min(c.earned+updatesPerData, maxEarned)
		span = span[n:]
		c.grant()
	}
	return nil
}

// mayTake is how much of so many bytes may be sent now.
func (s *stream) mayTake(n int) int {
	c := s.conn
	room := maxOut - len(c.out) - http2.FrameHead
	if room < n && room < leastRoom {
		return 0
	}
	return int(max(0, min(int64(n), http2.MaxFrame, int64(room), c.window, s.window)))
}

// sendEnd ends the stream, with a trailer section or without one.
func (s *stream) sendEnd(trailer []byte) {
	c := s.conn
	switch {
	case s.closed:
		return
	case len(trailer) > 0:
		c.room(http2.FrameHead + len(trailer) + len(trailer)/1024)
		c.out = http2.AppendHeaders(c.out, s.number, trailer, http2.MaxFrame, true)
	case s.lastGen == c.gen && s.lastAt < len(c.out):
		c.out[s.lastAt+flagsAt] |= http2.FlagEndStream
	default:
		c.room(http2.FrameHead)
		c.out = http2.AppendFrameHead(c.out, 0, http2.Data, http2.FlagEndStream, s.number)
	}
	s.closed = true
}

// flagsAt is where a frame has its flags.
const flagsAt = 4

// sendReset ends the stream with an error.
func (s *stream) sendReset(code http2.Code) {
	c := s.conn
	s.isReset = true
	if c.err != nil {
		return
	}
	c.reset.add(s.number)
	c.room(updateLen)
	c.out = http2.AppendReset(c.out, s.number, code)
	c.wake()
}

// fail has nothing more be sent on the stream.
func (s *stream) fail(cause error) {
	if s.failed == nil {
		s.failed = cause
	}
	s.signal()
}

func (s *stream) signal() {
	select {
	case s.wakeup <- struct{}{}:
	default:
	}
}

// wait returns when the stream may be able to send, within its time-outs.
func (s *stream) wait() error {
	c := s.conn
	if err := s.sendable(); err != nil {
		return err
	}
	s.since = socket.Nanotime()
	if s.stuck == 0 {
		s.stuck = s.since
	}
	s.waits = true
	c.waiting++
	c.wake()
	c.mu.Unlock()
	<-s.wakeup
	c.mu.Lock()
	s.waits = false
	c.waiting--
	if err := s.sendable(); err != nil {
		c.grant() // whoever has made way for it
		return err
	}
	now := socket.Nanotime()
	sent := s.sent
	s.sent = 0
	if s.isLate(now) || s.pace.Add(now-s.alone(s.since), sent, int64(s.idle), s.minRate) {
		c.grant()
		return socket.ErrTimeout
	}
	return nil
}

// isLate reports whether the client has had its time to take something.
func (s *stream) isLate(now int64) bool {
	return s.total != 0 && now >= s.total || s.idle > 0 && now-s.alone(s.stuck) >= int64(s.idle)
}

// alone is since when a wait is the client's fault: while it takes what other streams
// send, and would take what this one does, it is the gateway that lets it wait.
func (s *stream) alone(since int64) int64 {
	if s.window <= 0 {
		return since
	}
	return max(since, s.conn.progress)
}

// isNext reports whether no other stream that could send goes before s.
func (c *Conn) isNext(s *stream) bool {
	if c.waiting == 0 {
		return true
	}
	for _, other := range c.streams {
		if other != s && other.waits && other.failed == nil && other.window > 0 && c.goesBefore(other, s) {
			other.signal()
			return false
		}
	}
	return true
}

// fairTurn is how often a frame of content goes to whoever has waited for longest,
// whatever its priority: so the others can't starve it (RFC 9218 §10).
const fairTurn = 16

// countTurn counts a frame that was sent while other streams waited.
func (c *Conn) countTurn() {
	if c.turns++; c.turns >= fairTurn {
		c.turns = 0
	}
}

// goesBefore reports whether a stream that waits is to be served before another one.
func (c *Conn) goesBefore(s, other *stream) bool {
	if c.turns == fairTurn-1 {
		return other.stuck == 0 || s.stuck < other.stuck
	}
	return s.before(other)
}

// before reports whether s is to be served before another stream (RFC 9218 §10): by
// urgency; of one urgency those that aren't incremental in their order, and after
// them the others in turn.
func (s *stream) before(other *stream) bool {
	switch {
	case s.urgency != other.urgency:
		return s.urgency < other.urgency
	case s.incremental != other.incremental:
		return other.incremental
	case s.incremental:
		return s.turn < other.turn
	}
	return s.number < other.number
}

// grant wakes the stream that is to be served next, if it can be.
func (c *Conn) grant() {
	if c.waiting == 0 || len(c.out) > maxOut-leastRoom {
		return
	}
	var next *stream
	for _, s := range c.streams {
		if !s.waits {
			continue
		}
		if len(s.head) > 0 { // a head takes nothing of a window
			s.signal()
			continue
		}
		if s.window > 0 && c.window > 0 && (next == nil || c.goesBefore(s, next)) {
			next = s
		}
	}
	if next != nil {
		next.signal()
	}
}

// fail ends the connection for all that use it, once.
func (c *Conn) fail(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failAll(cause)
}

func (c *Conn) failAll(cause error) {
	if c.err == nil {
		c.err = cause
	}
	for _, s := range c.streams {
		s.giveUp(cause)
	}
	c.bound()
}

var _ exchange.Stream = (*stream)(nil)
var _ exchange.Tunneler = (*stream)(nil)
