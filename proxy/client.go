package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

const (
	// lingerTime and lingerBytes bound how long, and for how much, a client
	// is listened to after an answer that ends its connection: closing at
	// once would reset the connection and could destroy the answer.
	lingerTime  = time.Second
	lingerBytes = 1 << 20
	// watchAfter is the age from which a waiting request's client is watched.
	watchAfter = int64(socket.SweepInterval)
	// maxLook is the longest time between two looks at it, which is a system call.
	maxLook = int64(500 * time.Millisecond)
)

// client is a connection from a client, as fasthttp's server sees it.
//
// fasthttp accepts, schedules and ends connections; the bytes are ours. There
// must be one parser only, a strict one, and it must see framing, chunks,
// trailers and interim responses, which fasthttp keeps to itself. So Read
// waits for a whole request head, checks it, and hands fasthttp a constant
// head in its place, by which it calls the handler, which stays for all further
// requests; and Write drops the response that fasthttp makes up after that.
type client struct {
	*listener.Conn
	server *Server
	reader http1.Reader
	ip     []byte // the client's address as text; "unix" on a Unix socket

	head    []byte // of the request that was read last
	headErr error  // why there is none
	served  uint64 // requests so far
	number  uint64 // of the connection, since the start
	given   int    // how much of signal fasthttp has read
	headAt  int64  // when the head was there, or was given up (socket.Nanotime)

	woken bool  // by something that has not become a request yet
	stay  int64 // how long it doesn't sleep, in nanoseconds; see learn

	state     atomic.Int32 // idle, busy, dozing or asleep
	idleSince atomic.Int64

	// For the watch on a client whose request waits for its target:
	sweepFn   func(now int64)
	waiting   atomic.Int64 // since when, 0 = not
	lastWrite atomic.Int64
	nextLook  atomic.Int64 // when the watch looks at it next
	writing   atomic.Bool  // a write is under way; write_idle bounds it
	finished  atomic.Int64 // when its end of sending was seen
	modern    atomic.Bool  // its request is HTTP/1.1

	mu     sync.Mutex
	call   *upstream.Call // the one to abort when the client is gone
	cancel func()         // of what a script waits for, likewise
	silent bool           // nothing has been sent, and nobody is about to
	asked  bool           // whether the client was asked if it is there
}

const (
	clientIdle int32 = iota
	clientBusy
	clientDozing // its goroutine is about to leave it
	clientAsleep // and has
)

// signal is all that fasthttp ever parses.
const signal = "GET / HTTP/1.1\r\nHost: k\r\n\r\n"

func newClient(s *Server, conn *listener.Conn) *client {
	c := &client{Conn: conn, server: s, given: len(signal), ip: []byte("unix"), number: s.numbers.Add(1)}
	if conn.Peer.IsValid() {
		c.ip = conn.Peer.AppendTo(nil)
	}
	c.reader.Reset(conn.Conn)
	c.sweepFn = c.watch
	conn.Sock.OnSweep(&c.sweepFn)
	c.idleSince.Store(socket.Nanotime())
	return c
}

// Read hands out signal once, when there is a request.
func (c *client) Read(p []byte) (n int, err error) {
	if c.given == len(signal) {
		if !c.next() {
			return 0, io.EOF
		}
		c.given = 0
	}
	n = copy(p, signal[c.given:])
	c.given += n
	return n, nil
}

// Write drops what fasthttp writes: the exchange has answered already.
func (c *client) Write(p []byte) (int, error) { return len(p), nil }

// next waits for a request. It is false when the connection ends instead, or
// sleeps.
func (c *client) next() (ok bool) {
	defer func() {
		if cause := recover(); cause != nil {
			c.server.logPanic(cause)
			ok = false
		}
		if !ok {
			c.reader.Release()
		}
	}()
	return c.await()
}

// await waits for a request head and reads it. It is false when the
// connection ended, or idled for too long, before one began; any other error
// is left in headErr for the handler to answer.
func (c *client) await() bool {
	limits := c.server.limits.Load()
	patience, sleepy := c.patience(limits)
	c.Sock.SetReadExpiry(c.idleSince.Load() + patience)
	if err := c.reader.Wait(); err != nil {
		if sleepy && errors.Is(err, socket.ErrTimeout) {
			c.doze()
			return false
		}
		if c.Secure && c.served == 0 && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
			c.server.log.Debug().Bytes("peer", c.ip).Err(err).Msg("no request over TLS")
		}
		return false
	}
	c.state.Store(clientBusy)
	c.served++
	c.headAt = socket.Nanotime()
	if c.woken {
		c.learn()
	}
	c.Sock.SetReadExpiry(c.headAt + limits.header)
	c.reader.SkipEmptyLine()
	reads := c.reader.Reads()
	c.head, c.headErr = c.reader.ReadHead(c.head[:0], limits.maxHeader)
	if c.reader.Reads() > reads { // it came in parts
		c.headAt = socket.Nanotime()
	}
	c.Sock.SetReadExpiry(0)
	switch {
	case c.headErr == nil:
	case errors.Is(c.headErr, socket.ErrTimeout) && c.reader.Buffered() == 0: // an empty line at most
		return false
	case errors.Is(c.headErr, socket.ErrTimeout):
		c.headErr = faultSlowHead
	case errors.As(c.headErr, new(http1.Violation)):
	default: // the client is gone, and nobody is there to answer
		return false
	}
	return true
}

// rest marks the end of a request at that time (Nanotime).
func (c *client) rest(ended int64) {
	c.idleSince.Store(ended)
	c.state.Store(clientIdle)
	if cap(c.head) > http1.SmallBuffer {
		c.head = nil
	}
}

// Close is how fasthttp is done with the connection: it ends, or sleeps.
func (c *client) Close() error {
	if c.fallAsleep() {
		return nil
	}
	return c.end()
}

// end closes the connection and forgets the client.
func (c *client) end() error {
	c.server.clients.remove(c)
	return c.Conn.Close()
}

// endWriting tells a TLS client that nothing more comes: without close_notify
// it would take the end of the connection for a cut.
func (c *client) endWriting() {
	if secure, ok := c.Conn.Conn.(*tls.Conn); ok {
		c.Sock.SetWriteExpiry(socket.Nanotime() + int64(lingerTime))
		_ = secure.CloseWrite() // the connection ends in any case
	}
}

// linger ends the sending side and reads on for a moment, so that a client
// which is still sending gets to read its answer (RFC 9112 §9.6).
func (c *client) linger() {
	c.Sock.ClearAbort()
	c.Sock.SetReadExpiry(socket.Nanotime() + int64(lingerTime))
	if err := c.Sock.CloseWrite(); err != nil {
		return
	}
	buf := http1.AcquireBuffer(http1.SmallBuffer)
	defer http1.ReleaseBuffer(buf)
	for left := lingerBytes; left > 0; {
		n, err := c.Sock.Read(buf)
		if err != nil {
			return
		}
		left -= n
	}
}

// beginWait has call aborted when the client goes away.
func (c *client) beginWait(call *upstream.Call) {
	now := call.Start
	c.mu.Lock()
	c.call, c.silent, c.asked = call, true, false
	c.mu.Unlock()
	c.finished.Store(0)
	c.lastWrite.Store(now)
	c.nextLook.Store(0)
	c.waiting.Store(now)
}

// beginScriptWait is beginWait for what a script waits for: cancel is called
// when the client is gone. silent says that nothing has been sent yet. The
// function that it returns ends the wait.
func (c *client) beginScriptWait(cancel func(), silent bool) (end func()) {
	c.mu.Lock()
	c.cancel = cancel
	c.mu.Unlock()
	now := socket.Nanotime()
	began := c.waiting.CompareAndSwap(0, now)
	if began { // it may wait for a target's body already
		c.mu.Lock()
		c.silent, c.asked = silent, false
		c.mu.Unlock()
		c.finished.Store(0)
		c.nextLook.Store(0)
		c.lastWrite.Store(now)
	}
	return func() {
		if began {
			c.waiting.Store(0)
		}
		c.mu.Lock()
		c.cancel = nil
		if began {
			c.silent = false
		}
		c.mu.Unlock()
	}
}

func (c *client) endWait() {
	c.waiting.Store(0)
	c.mu.Lock()
	c.call, c.silent = nil, false
	c.mu.Unlock()
}

// pauseAnswer comes after an interim response: the client may be asked again
// whether it is there.
func (c *client) pauseAnswer() {
	c.mu.Lock()
	c.silent = c.call != nil
	c.mu.Unlock()
}

// beginAnswer comes before anything is written to the client, at that time
// (Nanotime).
func (c *client) beginAnswer(now int64) {
	c.lastWrite.Store(now)
	c.mu.Lock()
	c.silent = false
	c.mu.Unlock()
}

// watch runs with every sweep. It looks only at clients whose request has
// waited for a while.
//
// A client that has closed only its sending side, and still wants its answer,
// looks like one that is gone. After half_close it is asked: an interim
// response, which every client of HTTP/1.1 must be ready for (RFC 9110 §15.2),
// makes the system of one that is gone answer with a reset. Where nobody can
// be asked, it is taken for gone; not while it is being written to, since
// then the write tells.
func (c *client) watch(now int64) {
	defer func() {
		if cause := recover(); cause != nil {
			c.server.logPanic(cause)
		}
	}()
	if c.state.Load() == clientAsleep {
		c.oversleep(now)
		return
	}
	since := c.waiting.Load()
	if since == 0 || now-since < watchAfter || now < c.nextLook.Load() || c.writing.Load() {
		return
	}
	if waited := now - since; c.finished.Load() == 0 {
		c.nextLook.Store(now + min(waited/4, maxLook)) // the longer it waits, the less often
	}
	switch c.Sock.Peer() {
	case socket.PeerGone:
		c.abandon(errClientGone)
	case socket.PeerFinished:
		if c.finished.CompareAndSwap(0, now) {
			return
		}
		grace := c.server.limits.Load().halfClose
		if now-max(c.finished.Load(), c.lastWrite.Load()) >= grace && !c.ask() {
			c.abandon(errClientGone)
		}
	}
}

// ask asks a finished client whether it is still there, once a request. It is
// false where that is not possible.
func (c *client) ask() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.asked:
		return true
	case !c.silent || c.Secure || !c.modern.Load():
		return false
	}
	switch n := c.Sock.TryWrite(continueLine); {
	case n == len(continueLine):
		c.asked = true
		return true
	case n == socket.Again: // it reads earlier answers slowly: later
		return true
	}
	return false
}

func (c *client) abandon(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.call != nil {
		c.call.Abort(cause)
	}
	if c.cancel != nil {
		c.cancel()
	}
}

// Deadlines are the exchange's business.

// SetDeadline does nothing.
func (c *client) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (c *client) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (c *client) SetWriteDeadline(time.Time) error { return nil }

// clients is the set of open client connections.
type clients struct {
	mu   sync.Mutex
	open map[*client]struct{}
}

func (s *clients) add(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[*client]struct{})
	}
	s.open[c] = struct{}{}
}

func (s *clients) remove(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

// closeIdle closes those that have been idle since before that time and
// returns how many are left.
func (s *clients) closeIdle(before int64) int {
	var idle []*client
	s.mu.Lock()
	for c := range s.open {
		if c.state.Load() != clientBusy && c.idleSince.Load() < before {
			idle = append(idle, c)
		}
	}
	left := len(s.open) - len(idle)
	s.mu.Unlock()
	for _, c := range idle {
		_ = c.end()
	}
	return left
}

// closeAll cuts every connection, and gives up what they wait for.
func (s *clients) closeAll() {
	s.mu.Lock()
	all := make([]*client, 0, len(s.open))
	for c := range s.open {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		c.abandon(faultDrained)
		_ = c.end()
	}
}

var _ net.Conn = (*client)(nil)
