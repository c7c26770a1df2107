package streams

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/http3"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/multiplex"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// stream is one request of a connection: the exchange's Stream. It is pooled; forget
// names every field.
type stream struct {
	conn    *Conn
	client  *exchange.Client
	number  uint64
	since   int64 // when the stream came
	arrived int64
	ended   bool // with its head: there is no content
	in      source
	decoder http3.Decoder
	arrival multiplex.Arrival
	body    body
	charge  memory.Charge
	multiplex.Presence

	// What its exchange's goroutine uses:
	begun    bool // the final response
	bad      bool // the content isn't what it has to be; the upload's goroutine, while there is one
	closed   bool // all has been sent
	head     []byte
	headEnds bool   // nothing follows the head
	out      []byte // what is to be sent
	idle     time.Duration
	minRate  int64
	total    int64
	pace     socket.Pace

	unwatch  func() bool // ends watch, unless it has been told
	toldGone chan struct{}

	mu   sync.Mutex
	quic *quic.Stream // set to nil, when nobody is to give it up any more, under mu

	serveFn, goneFn func()
}

var pool sync.Pool

func acquireStream(c *Conn, incoming *quic.Stream, number uint64) *stream {
	s, _ := pool.Get().(*stream)
	if s == nil {
		s = &stream{}
		s.serveFn, s.goneFn = s.serve, s.clientGone
		s.body.s = s
	}
	s.conn, s.quic, s.number, s.since = c, incoming, number, socket.Nanotime()
	s.in.from = incoming
	s.charge.Begin(c.server.Memory)
	return s
}

// What is kept of memory: for a response's head, and what is to be sent (bytes).
const keepHead, keepOut = 8 << 10, 16 << 10

// release forgets the request. Nobody else may have the stream.
func (s *stream) release() {
	s.endWatching()
	s.in.reset()
	s.forget()
	pool.Put(s)
}

func (s *stream) forget() {
	s.conn, s.client, s.quic, s.number, s.since, s.arrived, s.ended = nil, nil, nil, 0, 0, 0, false
	s.arrival.Reset()
	s.Reset()
	s.body.reset()
	s.begun, s.bad, s.closed = false, false, false
	if s.head = s.head[:0]; cap(s.head) > keepHead {
		s.head = nil
	}
	if s.out = s.out[:0]; cap(s.out) > keepOut {
		s.out = nil
	}
	s.headEnds, s.idle, s.minRate, s.total, s.pace = false, 0, 0, 0, socket.Pace{}
	s.unwatch, s.toldGone = nil, nil
}

// watch has the stream given up when the client wants nothing more of it.
func (s *stream) watch() {
	s.toldGone = make(chan struct{})
	s.unwatch = context.AfterFunc(s.quic.Context(), s.goneFn)
}

// endWatching ends that: before the stream's own end, which looks the same.
func (s *stream) endWatching() {
	if s.unwatch == nil {
		return
	}
	if !s.unwatch() {
		<-s.toldGone
	}
	s.unwatch = nil
}

// clientGone is told that the client has given the stream up, or that the connection has
// ended.
func (s *stream) clientGone() {
	defer close(s.toldGone)
	if wrong, ok := errors.AsType[*quic.StreamError](context.Cause(s.quic.Context())); ok && wrong.Remote {
		s.conn.server.Counters.Given.Add(1)
		if err := s.conn.calm(Resets); err != nil {
			go s.conn.fail(err) // it waits for the end of the connection, and nobody may wait for it here
		}
	}
	s.giveUp(exchange.ErrClientGone, http3.RequestCancelled)
}

// giveUp ends whatever the stream's exchange waits for: nobody wants its answer, or it
// is not to have one, which the code tells the client.
func (s *stream) giveUp(cause error, code http3.Code) {
	s.GiveUp(cause)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.quic == nil {
		return
	}
	s.in.fail(cause)
	s.quic.CancelWrite(quic.StreamErrorCode(code))
}

// Client says whose connection it is.
func (s *stream) Client() *exchange.Client { return s.client }

// Memory is the request's charge.
func (s *stream) Memory() *memory.Charge { return &s.charge }

// Arrived is when the head was there.
func (s *stream) Arrived() int64 { return s.arrived }

// HeadSize is that of a head of HTTP/1 that says the same.
func (s *stream) HeadSize() int { return s.arrival.Block.Size() }

// Request judges the head.
func (s *stream) Request(maxTarget int) (*message.Request, error) {
	a := &s.arrival
	first, err := a.Judge(http2.Asked{MaxTarget: maxTarget, Ended: s.ended, Version: http3.Version, Plain: true})
	if !first {
		return &a.Request.Request, err
	}
	s.body.begin(a.Request.Length)
	if urgency, incremental, ok := a.Priority(); ok {
		s.quic.SetPriority(int8(urgency), incremental) //nolint:gosec // G115: it is below 8
	}
	return &a.Request.Request, nil
}

// Body is what follows the head.
func (s *stream) Body() exchange.Body { return &s.body }

// Expire bounds reads of the body.
func (s *stream) Expire(at int64) { s.in.Expire(at) }

// Interrupt ends reads of the body.
func (s *stream) Interrupt(cause error) { s.in.Interrupt(cause) }

// Resume undoes Interrupt.
func (s *stream) Resume() { s.in.Resume() }

// Expects says whether the client waits for 100 Continue.
func (s *stream) Expects() bool { return s.arrival.Expects() }

var _ exchange.Stream = (*stream)(nil)
