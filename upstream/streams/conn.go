package streams

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

const (
	// connWindow is what all streams together may be sent: so much that none is
	// held up by the others, since what has come counts as read at once. What is
	// held is bounded by the windows of streams.
	connWindow = 16 << 20
	// maxHead bounds a header section, in bytes, and maxBlock its coded form.
	maxHead  = 64 << 10
	maxBlock = 2 * maxHead
	// pingAfter is how long a connection with streams may be silent before the
	// target is asked whether it is there, and pingTime how long that may take.
	pingAfter = int64(15 * time.Second)
	pingTime  = int64(15 * time.Second)
)

// Options is what a connection needs to know.
type Options struct {
	Most      int           // streams at a time, whatever the target allows
	Idle      time.Duration // without streams, it is closed after that
	WriteIdle time.Duration // longest time in which the target takes nothing
	Age       time.Duration // after which it takes no more streams; 0 is none
	// Freed is called when there may be room for a stream, Gone when the
	// connection takes none any more; without a lock.
	Freed func()
	Gone  func(c *Conn)
}

// Conn is an HTTP/2 connection to a target. Its methods may be called
// concurrently.
type Conn struct {
	net   net.Conn // TLS or plain
	sock  *socket.Conn
	o     Options
	plain bool
	ready chan struct{} // closed when the target's settings are there, or the connection has ended
	ended chan struct{} // closed when its goroutines are through
	kick  chan struct{} // the writer has something to write; holds one
	swept socket.Swept  // itself

	lastRead atomic.Int64

	mu       sync.Mutex // guards all below
	peer     http2.Settings
	settled  bool // the target's settings are there
	streams  map[uint32]*Stream
	next     uint32 // the next stream's ID
	reserved int    // streams that are open or about to be
	served   bool   // a stream has ended on it
	born     int64
	idle     int64 // since when it has no streams; 0 while it has
	pinged   int64 // when the PING was sent that is unanswered; 0 is none
	closing  error // why it takes no more streams
	goAway   *GoAwayError
	dead     error // why it has ended
	send     int64 // window of the connection
	blocked  []*Stream
	out      outgoing
	recv     incoming
	budget   budget
}

// NewConn speaks HTTP/2 on a connection, which is sock or TLS on it, and which it
// closes in the end, also with an error. It waits for the target's settings, by
// which a target that speaks something else is found out.
func NewConn(ctx context.Context, conn net.Conn, sock *socket.Conn, o Options) (*Conn, error) {
	now := socket.Nanotime()
	c := &Conn{
		net: conn, sock: sock, o: o, plain: conn == net.Conn(sock), born: now, idle: now, next: 1,
		ready: make(chan struct{}), ended: make(chan struct{}), kick: make(chan struct{}, 1),
		streams: map[uint32]*Stream{}, peer: http2.DefaultSettings(), send: http2.FirstWindow,
	}
	c.lastRead.Store(now)
	c.recv.left = connWindow
	c.budget.init(now)
	c.out.buf = append(c.out.buf, http2.Preface...)
	c.out.buf = http2.AppendSettings(c.out.buf,
		http2.Setting{ID: http2.EnablePush, Value: 0},
		http2.Setting{ID: http2.InitialWindowSize, Value: narrow},
		http2.Setting{ID: http2.MaxHeaderListSize, Value: maxHead})
	c.out.buf = http2.AppendWindowUpdate(c.out.buf, 0, connWindow-http2.FirstWindow)
	go c.run()
	c.mu.Lock()
	c.flush()
	select {
	case <-c.ready:
	case <-ctx.Done():
		c.kill(ctx.Err())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead != nil {
		return nil, c.dead
	}
	if c.limit() == 0 {
		go c.kill(ErrClosing) // which needs the lock
		return nil, errors.New("it allows no requests on the connection (SETTINGS_MAX_CONCURRENT_STREAMS is 0)")
	}
	c.swept = c
	sock.OnSweep(&c.swept)
	return c, nil
}

// run reads until the connection ends; the writer ends with it.
func (c *Conn) run() {
	var writer sync.WaitGroup
	writer.Go(c.write)
	err := c.read()
	c.kill(err)
	close(c.kick) // after kill, nobody kicks any more
	writer.Wait()
	_ = c.sock.Close()
	close(c.ended)
	if c.o.Gone != nil {
		c.o.Gone(c)
	}
}

// Close ends the connection with all its streams, and waits for that.
func (c *Conn) Close() {
	c.kill(ErrClosing)
	<-c.ended
}

// Wait waits until the connection has ended altogether.
func (c *Conn) Wait() { <-c.ended }

// Done is closed when the connection has ended altogether.
func (c *Conn) Done() <-chan struct{} { return c.ended }

// limit is how many streams there may be, with the lock held.
func (c *Conn) limit() int { return int(min(int64(c.peer.MaxStreams), int64(c.o.Most))) }

// Reserve takes room for a stream, for Acquire to fill or Unreserve to give back.
func (c *Conn) Reserve() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != nil || c.dead != nil || c.reserved >= c.limit() {
		return false
	}
	c.reserved++
	c.idle = 0
	return true
}

// Unreserve gives back what Reserve took.
func (c *Conn) Unreserve() {
	c.mu.Lock()
	c.unreserveLocked()
	c.mu.Unlock()
	if c.o.Freed != nil {
		c.o.Freed()
	}
}

func (c *Conn) unreserveLocked() {
	if c.reserved--; c.reserved > 0 {
		return
	}
	c.idle = socket.Nanotime()
	c.out.trim()
	if c.closing != nil && c.dead == nil {
		c.endLocked(c.closing)
	}
}

// Gone reports that the connection takes no more streams.
func (c *Conn) Gone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing != nil || c.dead != nil
}

// Served reports whether a stream has ended on it.
func (c *Conn) Served() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.served
}

// Streams is how many there are.
func (c *Conn) Streams() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reserved
}

// Drain has the connection take no more streams, and end with the last of them.
func (c *Conn) Drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drainLocked(ErrClosing)
}

func (c *Conn) drainLocked(why error) {
	if c.closing == nil {
		c.closing = why
		if c.o.Gone != nil {
			go c.o.Gone(c) // which takes other locks
		}
	}
	if c.reserved == 0 && c.dead == nil {
		c.endLocked(why)
	}
}

// kill ends the connection and all its streams.
func (c *Conn) kill(err error) {
	c.mu.Lock()
	c.endLocked(err)
	c.mu.Unlock()
}

// endLocked says to the target why, as far as the socket takes that at once, and
// ends what reads and writes.
func (c *Conn) endLocked(err error) {
	if c.dead != nil {
		return
	}
	if c.goAway != nil && errors.Is(err, io.EOF) {
		err = c.goAway
	}
	c.dead = err
	code := http2.NoError
	if wrong, ok := errors.AsType[*http2.ConnError](err); ok {
		code = wrong.Code
	}
	if c.plain && !c.out.writing && c.settled {
		_, _ = c.sock.WriteNow(http2.AppendGoAway(nil, 0, code, ""))
	}
	c.sock.Abort(err)
	for _, s := range c.streams {
		s.failLocked(&EndError{Err: err, Unsent: s.at >= c.out.offered, Begun: s.begun})
	}
	c.settle()
}

// settle lets NewConn go on.
func (c *Conn) settle() {
	if !c.settled {
		c.settled = true
		close(c.ready)
	}
}

// Sweep is socket.Swept's, which is called every 100 ms: it ends waits whose time has passed, asks a
// silent target whether it is there, and ends connections that are unused or old.
func (c *Conn) Sweep(now int64) {
	c.mu.Lock()
	defer c.flush()
	if c.dead != nil {
		return
	}
	for _, s := range c.streams {
		s.sweepLocked(now)
	}
	read := c.lastRead.Load()
	switch {
	case c.reserved == 0 && c.idle != 0 && now-c.idle > int64(c.o.Idle):
		c.drainLocked(errIdle)
	case c.o.Age > 0 && now-c.born > int64(c.o.Age) && c.closing == nil:
		c.drainLocked(errOld)
	case c.pinged != 0 && read > c.pinged:
		c.pinged = 0 // whatever it has said
	case c.pinged != 0 && now-c.pinged > pingTime:
		c.endLocked(errSilent)
	case c.pinged == 0 && len(c.streams) > 0 && now-read > pingAfter:
		c.pinged = now
		c.out.buf = http2.AppendPing(c.out.buf, 0, [8]byte{})
	}
}
