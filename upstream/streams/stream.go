package streams

import (
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// maxInterim bounds the informational responses that wait to be read.
const maxInterim = 8

// Stream is one request on a connection. One goroutine reads while another may
// send; Abort and the expiries may be set by any.
type Stream struct {
	c    *Conn
	wake chan struct{} // for who reads; holds one
	room chan struct{} // for who sends; holds one

	readExpiry, writeExpiry atomic.Int64 // Nanotime, 0 = none

	// The reader's own.
	allowance Allowance
	charged   int64
	read      int64 // content
	toHEAD    bool
	response  http2.Response
	trailer   message.Header
	shown     http2.Block // what response is a view of

	// Guarded by the connection's lock.
	id         uint32
	at         int64 // where in what the connection writes its request begins
	err        error // why it has failed
	aborted    error
	heads      []*http2.Block // that are not read yet: interim ones, and the final one
	tail       *http2.Block   // the trailer section, once it is there
	unread     int            // bytes of heads and tail
	headCharge int64          // of which so many are charged
	begun      bool           // a response has begun to come
	final      bool           // its final head has come
	ended      bool           // all of the response has come
	length     int64          // what is still to come, where that is known; else -1
	in         intake

	window  int64  // what the target takes
	payload []byte // of a body that is sent as a whole: what is left of it
	whole   bool   // the stream ends with payload
	closed  bool   // our side: all is sent, or nothing more will be
	stopped bool   // the target wants no more of the body
	gone    bool   // the target knows that the stream has ended
	waits   bool   // it is in the connection's list of blocked ones
}

var pool = sync.Pool{New: func() any {
	return &Stream{wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}}

// Acquire returns a stream for which room has been reserved.
func Acquire(c *Conn, allowance Allowance) *Stream {
	s := pool.Get().(*Stream) //nolint:forcetypeassert // the pool holds nothing else
	s.c, s.allowance, s.length = c, allowance, message.Unsized
	return s
}

// Begin sends the request: the header block, which it doesn't keep, and the
// content, which it does, until the stream is released. whole says that this is
// all; else the rest is sent by Write. toHEAD says that the response has no
// content.
func (s *Stream) Begin(block, content []byte, whole, toHEAD bool) error {
	c := s.c
	c.mu.Lock()
	if c.dead != nil || c.goAway != nil || c.next > http2.MaxStream {
		err := c.dead
		c.drainLocked(ErrClosing)
		c.mu.Unlock()
		if err == nil {
			err = ErrClosing
		}
		return &EndError{Err: err, Unsent: true}
	}
	if c.next == 1 { // no dynamic table, whatever the target's settings become (RFC 7541 §4.2)
		block = append([]byte{emptyTable}, block...)
	}
	s.id = c.next
	c.next += 2
	c.streams[s.id] = s
	c.budget.earn(costOfRequest)
	s.at, s.window = c.out.end(), int64(c.peer.Window)
	s.in.left = narrow
	s.in.window.Begin(narrow)
	end := whole && len(content) == 0
	c.out.buf = http2.AppendHeaders(c.out.buf, s.id, block, min(c.peer.MaxFrame, largestData), end)
	c.out.own += len(block)
	s.closed, s.payload, s.whole, s.toHEAD = end, content, whole, toHEAD
	s.pushLocked()
	c.flush()
	return nil
}

const emptyTable = 0x20 // a dynamic table of no size (RFC 7541 §6.3)

// SetReadExpiry bounds the current and later waits of who reads; 0 is no bound.
func (s *Stream) SetReadExpiry(at int64) { s.readExpiry.Store(at) }

// SwapReadExpiry sets the read expiry unless somebody else has changed it.
func (s *Stream) SwapReadExpiry(before, at int64) { s.readExpiry.CompareAndSwap(before, at) }

// Abort ends what waits on the stream, and what will, with cause.
func (s *Stream) Abort(cause error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.aborted == nil {
		s.aborted = cause
		notify(s.wake)
		notify(s.room)
	}
}

// Aborted returns the cause given to Abort, or nil.
func (s *Stream) Aborted() error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.aborted
}

// Wait waits until something of a response is there.
func (s *Stream) Wait() error {
	return s.await(func() bool { return len(s.heads) > 0 || s.err != nil })
}

// ReadHead waits for the next head, and returns it; until the final one they are
// interim. It is valid until the next call. size is its length, as of an HTTP/1
// head.
func (s *Stream) ReadHead() (r *message.Response, size int, err error) {
	if err := s.Wait(); err != nil {
		return nil, 0, err
	}
	c := s.c
	c.mu.Lock()
	if len(s.heads) == 0 {
		defer c.mu.Unlock()
		return nil, 0, s.err
	}
	s.unread -= headSize(s.heads[0])
	s.shown, *s.heads[0] = *s.heads[0], s.shown
	releaseBlock(s.heads[0])
	s.heads = slices.Delete(s.heads, 0, 1)
	last := s.final && len(s.heads) == 0
	end := last && s.ended && s.in.held == 0 && s.tail == nil
	c.mu.Unlock()
	if err := s.response.Parse(&s.shown, s.toHEAD, end); err != nil {
		return nil, 0, err
	}
	return &s.response.Response, s.shown.Size(), nil
}

// Next returns the next part of the content, of at least one byte, valid until
// the next call; io.EOF after the last one.
func (s *Stream) Next() ([]byte, error) {
	c := s.c
	c.mu.Lock()
	for {
		span := s.in.take()
		more := len(span) < s.in.held || !s.ended
		if more {
			s.creditLocked(len(span) > 0)
		}
		if len(span) > 0 {
			s.read += int64(len(span))
			c.flush()
			return span, nil
		}
		if err := s.overLocked(); err != nil {
			c.mu.Unlock()
			return nil, err
		}
		c.flush()
		if err := s.park(); err != nil {
			return nil, err
		}
		c.mu.Lock()
	}
}

// overLocked says why nothing more can be read, if so.
func (s *Stream) overLocked() error {
	switch {
	case s.aborted != nil:
		return s.aborted
	case s.ended:
		return s.finish()
	}
	return s.err
}

// finish reads the trailer section, once.
func (s *Stream) finish() error {
	if s.tail != nil {
		var err error
		if s.trailer, err = http2.ParseTrailer(s.tail, s.trailer[:0]); err != nil {
			return err
		}
		s.shown, *s.tail = *s.tail, s.shown // trailer is a view of it
		releaseBlock(s.tail)
		s.tail = nil
	}
	return io.EOF
}

// creditLocked lets the target send more: what is read once that is half of the
// window, or as much as a larger one has; and a wide window once the narrow one
// isn't enough. reading says that there was something to read.
func (s *Stream) creditLocked(reading bool) {
	in := &s.in
	if !reading {
		in.window.Dry()
	}
	if s.ended || s.length >= 0 && s.length <= int64(in.left) {
		return
	}
	flow := in.flow(s.length)
	grant := int32(0)
	switch {
	case reading && in.window.Size == narrow && s.holdWide():
		in.window.Begin(wide)
		grant = wide - flow.Granted - flow.Unread
	case !in.window.Due(flow):
	case in.window.Size == narrow || s.allowance == nil:
		grant = in.window.Size - flow.Granted - flow.Unread
	default:
		grant = in.window.Resize(s.allowance, flow)
	}
	if grant <= 0 {
		return
	}
	in.left += int(grant)
	s.c.out.buf = http2.AppendWindowUpdate(s.c.out.buf, s.id, uint32(grant))
}

// holdWide charges a wide window. It reports whether there is memory.
func (s *Stream) holdWide() bool {
	if s.allowance == nil {
		return true
	}
	if !s.allowance.Acquire(wide) {
		return false
	}
	s.charged = wide
	return true
}

// Ready reports whether Next would return at once.
func (s *Stream) Ready() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.in.unread() > 0 || s.ended || s.err != nil || s.aborted != nil
}

// Done reports whether all of the response has been read.
func (s *Stream) Done() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.ended && s.in.unread() == 0
}

// Read is how much content has been read.
func (s *Stream) Read() int64 { return s.read }

// Trailer is valid after io.EOF, until the stream is released.
func (s *Stream) Trailer() message.Header { return s.trailer }

// await waits until there is something, with the lock not held.
func (s *Stream) await(there func() bool) error {
	for {
		s.c.mu.Lock()
		err := s.aborted
		ok := there()
		s.c.mu.Unlock()
		if err != nil || ok {
			return err
		}
		if err := s.park(); err != nil {
			return err
		}
	}
}

// park waits to be woken.
func (s *Stream) park() error {
	if expired(&s.readExpiry) {
		return socket.ErrTimeout
	}
	<-s.wake
	return nil
}

func expired(at *atomic.Int64) bool {
	expiry := at.Load()
	return expiry != 0 && socket.Nanotime() >= expiry
}

func (s *Stream) sweepLocked(now int64) {
	if at := s.readExpiry.Load(); at != 0 && now >= at {
		notify(s.wake)
	}
	if at := s.writeExpiry.Load(); at != 0 && now >= at {
		notify(s.room)
	}
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// failLocked ends the stream with an error, which who reads and who sends get.
func (s *Stream) failLocked(err error) {
	if s.err == nil && !s.ended {
		s.err = err
	}
	s.stopped = true
	notify(s.wake)
	notify(s.room)
}

// Release ends the stream: what isn't complete is reset. Nothing of it may be
// used any more.
func (s *Stream) Release() {
	c := s.c
	c.mu.Lock()
	if s.id != 0 {
		s.closeLocked()
	}
	c.unreserveLocked()
	c.flush()
	freed := c.o.Freed
	if s.charged += s.headCharge + s.in.window.Use(http2.MostWindow); s.charged > 0 {
		s.allowance.Release(s.charged)
	}
	s.reset()
	pool.Put(s)
	if freed != nil {
		freed()
	}
}

func (s *Stream) closeLocked() {
	c := s.c
	c.served = true
	delete(c.streams, s.id)
	if s.waits {
		if i := slices.Index(c.blocked, s); i >= 0 {
			c.blocked = slices.Delete(c.blocked, i, i+1)
		}
	}
	if c.dead == nil && !s.gone && (!s.ended || !s.closed) {
		code := http2.Cancel
		if s.ended {
			code = http2.NoError // it has answered, and wants nothing more
		}
		c.out.buf = http2.AppendReset(c.out.buf, s.id, code)
	}
}

// reset names every field but the channels.
func (s *Stream) reset() {
	s.c, s.allowance, s.charged, s.read, s.toHEAD = nil, nil, 0, 0, false
	s.readExpiry.Store(0)
	s.writeExpiry.Store(0)
	s.response.Reset()
	clear(s.trailer)
	s.trailer = s.trailer[:0]
	s.shown.Reset(maxHead)
	s.id, s.at, s.err, s.aborted = 0, 0, nil, nil
	for _, b := range s.heads {
		releaseBlock(b)
	}
	s.heads = s.heads[:0]
	if s.tail != nil {
		releaseBlock(s.tail)
	}
	s.unread, s.headCharge = 0, 0
	s.tail, s.begun, s.final, s.ended, s.length = nil, false, false, false, 0
	s.in.reset()
	s.window, s.payload, s.whole, s.closed, s.stopped, s.gone, s.waits = 0, nil, false, false, false, false, false
}
