package clients

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/http2/streams"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

const (
	// lingerTime bounds what has to end soon once a connection is about to:
	// a close_notify, the rest of a small body, all lingering in a drain.
	lingerTime = time.Second
)

// client is a connection from a client, as fasthttp's server sees it.
//
// fasthttp accepts, schedules and ends connections; the bytes are ours. There
// must be one parser only, a strict one, and it must see framing, chunks,
// trailers and interim responses, which fasthttp keeps to itself. So Read
// waits for a whole request head, checks it, and hands fasthttp a constant
// head in its place, by which it calls the handler, which stays for all further
// requests; and Write drops the response that fasthttp makes up after that.
//
// One is made for each connection: at more than 512 bytes it would cost another kind
// of allocation (TestSizes).
type client struct {
	*listener.Conn
	server *Server
	reader http1.Reader
	memory memory.Charge // of the request that it is in, and of the reader's buffer
	base   atomic.Int64  // what the connection itself is charged; see rebase
	who    exchange.Client
	told   *upstream.Introduction // what targets are told of it; nil until one asks

	head    []byte // of the request that was read last
	headErr error  // why there is none
	served  uint64 // requests so far
	given   int    // how much of signal fasthttp has read
	headAt  int64  // when the head was there, or was given up (socket.Nanotime)

	lingers bool // the client may be sending still, although its last answer is there
	shaken  bool // shake has been called
	broken  bool // and it has failed
	woken   bool // by something that has not become a request yet

	listener.Place // among the server's

	many atomic.Pointer[streams.Conn] // of a client of HTTP/2, once that is spoken

	stay int64 // how long it doesn't sleep, in nanoseconds; see noteSleep

	idleSince atomic.Int64
	state     atomic.Int32 // idle, busy, dozing, asleep or ended

	// For Sweep, on a client whose request waits for its target:
	wrote        atomic.Bool  // since Sweep has looked, which knows the time without asking for it
	writing      atomic.Bool  // a write is under way; write_idle bounds it
	takesInterim atomic.Bool  // its request is HTTP/1.1
	waiting      atomic.Int64 // since when, 0 = not
	lastWrite    atomic.Int64 // when Sweep learnt of the last write
	nextLook     atomic.Int64 // when Sweep looks at it next
	finished     atomic.Int64 // when its end of sending was seen
	swept        socket.Swept // itself

	mu     sync.Mutex
	call   exchange.Aborter // the one to abort when the client is gone
	cancel func()           // of what a script waits for, likewise
	silent bool             // nothing has been sent, and nobody is about to
	asked  bool             // whether the client was asked if it is there
}

const (
	clientIdle int32 = iota
	clientBusy
	clientDozing // its goroutine is about to leave it
	clientAsleep // and has
	clientEnded  // by a drain, or at the end of its sleep
)

// signal is all that fasthttp ever parses.
const signal = "GET / HTTP/1.1\r\nHost: k\r\n\r\n"

var unixAddress = []byte("unix")

func newClient(s *Server, conn *listener.Conn) *client {
	c := &client{Conn: conn, server: s, given: len(signal)}
	who := &c.who // as it lies there: a value of this size would be made elsewhere and copied
	who.Peer, who.Address, who.Secure = conn.Peer, unixAddress, conn.Secure
	who.Number, who.Listener, who.Introducer = s.numbers.Add(1), conn.Listener().Number(), c
	if conn.Peer.IsValid() {
		who.Address = conn.Peer.AppendTo(make([]byte, 0, len("255.255.255.255")))
	}
	c.memory.Begin(s.Memory)
	c.reader.Allowance = &c.memory
	c.reader.Reset(conn.Conn)
	base := c.baseOf(awakeSize)
	c.base.Store(base)
	s.Memory.Hold(base)
	c.swept = c
	conn.Sock.OnSweep(&c.swept)
	c.idleSince.Store(socket.Nanotime())
	return c
}

// Read hands out signal once, when there is a request.
func (c *client) Read(p []byte) (n int, err error) {
	if c.given == len(signal) {
		if c.shake() != nil || c.many.Load() == nil && !c.next() {
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

// handle is fasthttp's handler. It is called for a connection's first request
// and stays until the last: to fasthttp they are one.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	c := clientOf(ctx.Conn())
	switch {
	case c.takesMany():
		c.runMany()
	case c.Protocols&listener.HTTP1 == 0:
		c.refuseHTTP1()
	default:
		for s.serve(c) && c.next() {
		}
	}
	c.linger()
	ctx.SetConnectionClose()
}

// next waits for a request. It is false when the connection ends instead, or
// sleeps.
func (c *client) next() (ok bool) {
	defer func() {
		if cause := recover(); cause != nil {
			c.server.Plane.LogPanic(cause)
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
	limits := c.server.Limits.Load()
	patience, sleepy := c.patience(limits)
	c.Sock.SetReadExpiry(c.idleSince.Load() + patience)
	if err := c.reader.Wait(); err != nil {
		if sleepy && errors.Is(err, socket.ErrTimeout) {
			c.doze()
			return false
		}
		return false
	}
	if !c.state.CompareAndSwap(clientIdle, clientBusy) {
		return false // a drain has closed it: what was being sent is not begun
	}
	c.served++
	c.headAt = socket.Nanotime()
	if c.woken {
		c.noteSleep()
	}
	c.Sock.SetReadExpiry(c.headAt + limits.Header)
	c.reader.SkipEmptyLine()
	reads := c.reader.Reads()
	c.head, c.headErr = c.reader.ReadHead(c.head[:0], limits.MaxHeader)
	if c.reader.Reads() > reads { // it came in parts
		c.headAt = socket.Nanotime()
	}
	c.Sock.SetReadExpiry(0)
	switch {
	case c.headErr == nil:
	case errors.Is(c.headErr, socket.ErrTimeout) && c.reader.Buffered() == 0: // an empty line at most
		return false
	case errors.Is(c.headErr, socket.ErrTimeout):
		c.headErr = exchange.SlowHead
	case errors.As(c.headErr, new(message.Violation)) || errors.Is(c.headErr, memory.ErrNoMemory):
		c.headErr = c.spoke(c.headErr, c.reader.Peek())
	default: // the client is gone, and nobody is there to answer
		return false
	}
	return true
}

// ending reports whether no request is to follow: the process is about to stop, or
// the listener has gone.
func (c *client) ending() bool { return c.server.Plane.Draining() || c.Listener().Closing() }

// mayGoOn reports whether the connection may have another request.
func (c *client) mayGoOn() bool {
	most := c.Listener().Settings().MaxRequests
	return (most == 0 || c.served < uint64(most)) && !c.ending() //nolint:gosec // G115: it isn't negative
}

// markIdle marks the end of a request at that time (Nanotime).
func (c *client) markIdle(ended int64) {
	c.idleSince.Store(ended)
	c.state.Store(clientIdle)
	if cap(c.head) > memory.SmallBuffer {
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
	c.server.open.Remove(c)
	if c.many.Load() != nil {
		c.server.Streams.Close()
	}
	c.server.Memory.Release(c.base.Swap(0))
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

// SetDeadline does nothing.
func (c *client) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (c *client) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (c *client) SetWriteDeadline(time.Time) error { return nil }

var _ net.Conn = (*client)(nil)
