package streams

import (
	"errors"
	"sync"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// stream is one request of a connection: the exchange's Stream. It is pooled; release
// names every field.
type stream struct {
	conn    *Conn
	number  uint32
	arrived int64
	ended   bool // with its head: there is no content
	block   http2.Block
	request http2.Request
	intake  http2.Intake
	charge  memory.Charge

	// What its exchange's goroutine uses:
	judged    bool // the request has been looked at
	told      bool // to send the content, or it never waits for that
	begun     bool // the final response
	malformed bool // what the client has sent is no request
	head      []byte
	headEnds  bool // nothing follows the head
	idle      time.Duration
	minRate   int64
	total     int64
	pace      socket.Pace

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

	mu     sync.Mutex
	call   exchange.Aborter // to abort when the client has gone; guarded by mu, as all below
	cancel func()
	gone   error // the client has given the stream up

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
	s.conn, s.number, s.told, s.urgency, s.incremental = c, number, true, http2.DefaultUrgency, true
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
	s.block.Reset(0)
	s.request.Reset()
	s.judged, s.told, s.begun, s.malformed = false, false, false, false
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
	s.call, s.cancel, s.gone = nil, nil, nil
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
func (s *stream) HeadSize() int { return s.block.Size() }

// Request judges the header block.
func (s *stream) Request(maxTarget int) (*message.Request, error) {
	err := s.request.Parse(&s.block, http2.Asked{MaxTarget: maxTarget, Ended: s.ended})
	if err != nil {
		violation, _ := errors.AsType[message.Violation](err)
		s.malformed = violation <= message.WrongLength && violation != message.BadExpect
		return &s.request.Request, err
	}
	if s.judged {
		return &s.request.Request, nil
	}
	s.judged = true
	s.told = !s.request.Continue
	length := s.request.Length
	if s.request.Protocol != nil {
		length = message.Unsized
	}
	s.malformed = !s.intake.Expect(length)
	if value := s.request.Header.Value(priorityName); value != nil {
		s.conn.mu.Lock()
		if !s.updated {
			s.urgency, s.incremental = http2.PriorityOf(value)
		}
		s.conn.mu.Unlock()
	}
	return &s.request.Request, nil
}

var priorityName = []byte("priority")

// Body is what follows the head.
func (s *stream) Body() exchange.Body { return &s.intake }

// Expire bounds reads of the body.
func (s *stream) Expire(at int64) { s.intake.Expire(at) }

// Interrupt ends reads of the body.
func (s *stream) Interrupt(cause error) { s.intake.Interrupt(cause) }

// Resume undoes Interrupt.
func (s *stream) Resume() { s.intake.Resume() }

// Expects says whether the client waits for 100 Continue.
func (s *stream) Expects() bool { return !s.told }

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

// BeginWait has call aborted when the client has given the stream up.
func (s *stream) BeginWait(call exchange.Aborter, _ int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.call = call
	if s.gone != nil {
		call.Abort(s.gone)
	}
}

// EndWait ends that.
func (s *stream) EndWait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.call = nil
}

// Watch has cancel called then.
func (s *stream) Watch(cancel func()) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel = cancel
	if s.gone != nil {
		cancel()
	}
	return s.endWatch
}

func (s *stream) endWatch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel = nil
}

// giveUp ends whatever the stream's exchange waits for: nobody wants its answer. It
// needs c.mu.
func (s *stream) giveUp(cause error) {
	s.isReset = true
	s.fail(cause)
	s.intake.Fail(cause)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone == nil {
		s.gone = cause
	}
	if s.call != nil {
		s.call.Abort(cause)
	}
	if s.cancel != nil {
		s.cancel()
	}
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
