package streams

import (
	"sync"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/multiplex"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// stream is one request of a connection: the exchange's Stream. It is pooled; release
// names every field.
type stream struct {
	conn    *Conn
	number  uint32
	arrived int64
	ended   bool // with its head: there is no content
	arrival multiplex.Arrival
	intake  http2.Intake
	charge  memory.Charge
	multiplex.Presence

	// What its exchange's goroutine uses:
	begun    bool // the final response
	head     []byte
	headEnds bool // nothing follows the head
	idle     time.Duration
	minRate  int64
	total    int64
	pace     socket.Pace

	// Guarded by conn.mu:
	window      int64 // what may be sent
	closed      bool  // END_STREAM has been sent
	isReset     bool  // by either side
	given       bool  // up by the client
	bad         bool  // the client has sent something on it that ends it with an error
	failed      error // nothing more can be sent
	urgency     uint8
	incremental bool
	updated     bool // the priority, by a frame: the field is older
	waits       bool
	since       int64  // when it began to wait to send
	stuck       int64  // when it began to wait with nothing sent since; 0 is not
	sent        int64  // content, since the last wait
	turn        uint64 // when it was served last
	lastGen     uint64 // of out, in which lastAt is where its last frame begins
	lastAt      int
	wakeup      chan struct{}

	serveFn func()
}

var streams sync.Pool

func newStream() *stream {
	s := &stream{wakeup: make(chan struct{}, 1)}
	s.serveFn = s.serve
	s.intake.GiveBack = s.giveBack
	return s
}

func acquireStream(c *Conn, number uint32) *stream {
	s, _ := streams.Get().(*stream)
	if s == nil {
		s = newStream()
	}
	s.conn, s.number, s.urgency, s.incremental = c, number, http2.DefaultUrgency, true
	return s
}

// keepHead is the largest memory for a response's head that is kept.
const keepHead = 8 << 10

// release forgets the request. Nobody else may have the stream.
func (s *stream) release() {
	s.intake.Reset(s.conn.server.Memory)
	s.reset()
	streams.Put(s)
}

func (s *stream) reset() {
	s.conn, s.number, s.arrived, s.ended = nil, 0, 0, false
	s.arrival.Reset()
	s.Reset()
	s.begun = false
	if s.head = s.head[:0]; cap(s.head) > keepHead {
		s.head = nil
	}
	s.headEnds, s.idle, s.minRate, s.total, s.pace = false, 0, 0, 0, socket.Pace{}
	s.window, s.closed, s.isReset, s.given, s.bad, s.failed = 0, false, false, false, false, nil
	s.urgency, s.incremental, s.updated, s.turn, s.lastGen, s.lastAt = 0, false, false, 0, 0, 0
	s.waits, s.since, s.stuck, s.sent = false, 0, 0, 0
	select {
	case <-s.wakeup:
	default:
	}
}

// serve is the goroutine of a stream.
func (s *stream) serve() {
	c := s.conn
	defer func() {
		if cause := recover(); cause != nil { // after an exchange, which doesn't panic
			c.server.Plane.LogPanic(cause)
			c.fail(exchange.ErrClientGone)
		}
	}()
	c.server.Plane.Serve(s)
	s.release()
}

// Client says whose connection it is.
func (s *stream) Client() *exchange.Client { return s.conn.o.Client }

// Memory is the request's charge.
func (s *stream) Memory() *memory.Charge { return &s.charge }

// Arrived is when the head was there.
func (s *stream) Arrived() int64 { return s.arrived }

// HeadSize is that of a head of HTTP/1 that says the same.
func (s *stream) HeadSize() int { return s.arrival.Block.Size() }

// Request judges the header block.
func (s *stream) Request(maxTarget int) (*message.Request, error) {
	a := &s.arrival
	first, err := a.Judge(http2.Asked{MaxTarget: maxTarget, Ended: s.ended})
	if !first {
		return &a.Request.Request, err
	}
	length := a.Request.Length
	if a.Request.Protocol != nil {
		length = message.Unsized
	}
	a.Malformed = !s.intake.Expect(length)
	if urgency, incremental, ok := a.Priority(); ok {
		s.conn.mu.Lock()
		if !s.updated {
			s.urgency, s.incremental = urgency, incremental
		}
		s.conn.mu.Unlock()
	}
	return &a.Request.Request, nil
}

// Body is what follows the head.
func (s *stream) Body() exchange.Body { return &s.intake }

// Expire bounds reads of the body.
func (s *stream) Expire(at int64) { s.intake.Expire(at) }

// Interrupt ends reads of the body.
func (s *stream) Interrupt(cause error) { s.intake.Interrupt(cause) }

// Resume undoes Interrupt.
func (s *stream) Resume() { s.intake.Resume() }

// Expects says whether the client waits for 100 Continue.
func (s *stream) Expects() bool { return s.arrival.Expects() }

// giveBack tells the client that it may send more; it is the intake's.
func (s *stream) giveBack(n uint32) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.isReset || c.err != nil {
		return
	}
	c.room(updateLen)
	c.out = http2.AppendWindowUpdate(c.out, s.number, n)
	c.wake()
}

// giveUp ends whatever the stream's exchange waits for: nobody wants its answer. It
// needs c.mu.
func (s *stream) giveUp(cause error) {
	s.isReset = true
	s.fail(cause)
	s.intake.Fail(cause)
	s.GiveUp(cause)
}

// wrong notes that what came on the stream is no good. If it is the content that is
// wrong, its reader learns of it; else the stream ends. It needs c.mu.
func (s *stream) wrong(err error) error {
	if err == nil {
		return nil
	}
	wrong, ok := err.(*http2.StreamError) //nolint:errorlint // the intake doesn't wrap it
	if !ok {
		return err
	}
	wrong.Stream = s.number
	if wrong.Code != http2.ProtocolError {
		return wrong
	}
	s.bad = true
	return nil
}
