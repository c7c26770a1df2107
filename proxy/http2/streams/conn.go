// Package streams serves clients that speak HTTP/2: their connections, each with a
// reader and, while there is something to write, a writer, and its streams, each an
// exchange.Stream with a goroutine of its own, so that none waits for another.
//
//	conn := streams.New(server, streams.Options{Conn: conn, Sock: sock, …})
//	end := conn.Serve() // until the connection ends, or is idle
//
// Read it in the order of a request: conn (what is read), open (a header block
// becomes a stream), stream (what the exchange sees of it), send and write (what goes
// back), leave (how a connection ends). The bytes are proxy/http2's.
package streams

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/multiplex"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// Server is what all connections share. Its fields are filled in before the first.
type Server struct {
	Plane *exchange.Plane
	// Memory is the account of connections, and of what no tenant has asked for yet.
	Memory *memory.Account
	// Header is how long a head may take to come (nanoseconds), MaxHeader how large it
	// may be, as the head of HTTP/1 that says the same (bytes).
	Header    func() int64
	MaxHeader func() int

	Counters Counters
	open     atomic.Int64
}

// Open returns how many connections there are.
func (s *Server) Open() int64 { return s.open.Load() }

// Close is told when a connection has been closed.
func (s *Server) Close() { s.open.Add(-1) }

// Options are those of one connection.
type Options struct {
	Conn   io.ReadWriter // TLS or plain
	Sock   *socket.Conn  // beneath
	Client *exchange.Client
	// Read is what has been read already, of which the preface's part that is left
	// must be the start.
	Read    []byte
	Preface string
	// Patience is how long a request is waited for from now on (nanoseconds), and
	// whether the connection sleeps then instead of ending; Ending reports whether it
	// isn't to go on for long, and MostRequests how many it may have, 0 is any number.
	// They are called while Serve runs: Patience one call at a time, MostRequests by
	// Serve's goroutine alone, Ending by any.
	Patience     func() (nanoseconds int64, sleepy bool)
	Ending       func() bool
	MostRequests func() int
}

// End says how Serve has returned.
type End uint8

// The ends.
const (
	going  End = iota
	Ended      // the connection is over
	Linger     // likewise, and the client may be sending still
	Drowsy     // it is idle: Serve goes on with it later
)

// Conn is a connection of a client.
type Conn struct {
	server *Server
	o      Options

	// What only Serve's goroutine uses:
	reader   http2.Reader
	decoder  http2.Decoder
	begun    bool // the preface is there
	settings bool // and the first SETTINGS
	block    pendingBlock
	budgets  budgets

	headAt atomic.Int64 // when the frame or block began that isn't complete; 0 is none; Serve's goroutine sets it

	mu        sync.Mutex
	quiet     sync.Cond          // the writer has ended, or a stream has; of mu
	peer      http2.Settings     // guarded by mu, as all below
	streams   map[uint32]*stream // whose exchange has not ended
	last      uint32             // the greatest number of a stream that was opened
	opened    int
	idleSince int64
	patience  int64 // for a request, from then on; and whether it sleeps after that
	sleepy    bool
	err       error // nothing can be written any more
	reset     resetRing
	updates   http2.Budget // of WINDOW_UPDATE beyond those that DATA has earned
	earned    int64

	out       []byte // what is to be written
	spare     []byte // the buffer that was written last
	gen       uint64 // of out
	writing   bool   // the writer runs
	window    int64  // what may be sent
	due       uint32 // what is to be given back of the window that the client has
	waiting   int    // streams that wait to send
	progress  int64  // when one of them sent something last while others waited
	turn      uint64
	turns     int // frames since one went to whoever has waited for longest
	leaving   multiplex.Leaving
	leaveAt   int64 // when the second GOAWAY is sent at the latest
	goaway    uint32
	greeted   bool         // SETTINGS have been sent
	tableless bool         // and that no dynamic table is used
	closing   int64        // since when the connection ends; 0 is not
	bad       http2.Budget // requests that are none
	fatal     error        // what Serve is to end with

	writeIdle atomic.Int64 // the longest time without progress that a stream has asked for
	writeFn   func()
}

// connWindow is what a client may send on all streams before it is read, which is at
// once: what nobody takes is bounded by each stream's own window.
const connWindow = 1 << 20

// leastWriteIdle bounds writes while no stream has asked for more.
const leastWriteIdle = 5 * time.Second

// New returns a connection that nothing has been read of but Options.Read.
func New(s *Server, o Options) *Conn {
	c := &Conn{server: s, o: o, peer: http2.DefaultSettings(), streams: map[uint32]*stream{}, window: http2.FirstWindow}
	c.quiet.L = &c.mu
	c.writeFn = c.write
	c.writeIdle.Store(int64(leastWriteIdle))
	c.reader.Account = s.Memory
	c.reader.Reset(o.Conn, o.Read)
	c.idleSince = socket.Nanotime()
	s.open.Add(1)
	return c
}

// Serve reads frames until the connection ends, or is idle. It returns only when all
// of its exchanges have.
func (c *Conn) Serve() End {
	end, err := c.begin()
	for err == nil && end == going {
		var f *http2.Frame
		if f, err = c.next(); err == nil {
			err = c.take(f)
			continue
		}
		end, err = c.judge(err)
	}
	if end == Drowsy {
		c.reader.Release()
		return Drowsy
	}
	return c.end(end, err)
}

// begin sends what a server begins with, and reads what a client does.
func (c *Conn) begin() (End, error) {
	if c.begun {
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.streams) > 0 {
			panic("BUG: a connection sleeps while it has streams")
		}
		return going, nil
	}
	c.mu.Lock()
	c.bound()
	c.room(128)
	c.out = http2.AppendSettings(c.out,
		http2.Setting{ID: http2.MaxConcurrentStreams, Value: multiplex.MaxStreams},
		http2.Setting{ID: http2.MaxHeaderListSize, Value: uint32(c.server.MaxHeader())}, //nolint:gosec // G115: it is bounded by its setting
		http2.Setting{ID: http2.EnableConnect, Value: 1},
		http2.Setting{ID: http2.NoPriorities, Value: 1})
	c.out = http2.AppendWindowUpdate(c.out, 0, connWindow-http2.FirstWindow)
	c.greeted = true
	c.wake()
	c.mu.Unlock()
	if err := c.reader.Preface(c.o.Preface); err != nil {
		return c.judge(err)
	}
	c.begun = true
	return going, nil
}

// next waits for a frame. Who is idle, or slow with a head, is waited for within time.
func (c *Conn) next() (*http2.Frame, error) {
	if c.reader.Ready() {
		return c.reader.Next()
	}
	if c.headAt.Load() == 0 && c.inHead() {
		c.headAt.Store(socket.Nanotime())
	}
	c.mu.Lock()
	c.bound()
	c.mu.Unlock()
	f, err := c.reader.Next()
	if err == nil && c.block.stream == 0 {
		c.headAt.Store(0)
	}
	return f, err
}

// bound says until when the reader waits. Whatever that depends on may change while it
// does, and then it is called again: nothing else sets the expiry of reads, or an end
// that was told to the reader would be put off. It needs c.mu.
func (c *Conn) bound() {
	idle := len(c.streams) == 0
	if c.fatal != nil || c.err != nil || idle && c.leaving == multiplex.Left {
		c.o.Sock.ExpireReads() // the reader sees that it is the end
		return
	}
	head := c.headAt.Load()
	switch {
	case head != 0:
		c.o.Sock.SetReadExpiry(head + c.server.Header())
	case !idle:
		c.o.Sock.SetReadExpiry(0)
	default:
		if c.patience, c.sleepy = c.o.Patience(); c.opened == 0 {
			c.patience, c.sleepy = c.server.Header(), false
		}
		c.o.Sock.SetReadExpiry(c.idleSince + c.patience)
	}
}

// inHead reports whether a part of a head, or of something else that comes at once,
// has been read. Content may come slowly: its streams see to it.
func (c *Conn) inHead() bool {
	if c.block.stream != 0 {
		return true
	}
	t, ok := c.reader.Partial()
	return ok && t != http2.Data
}

// take deals with a frame. An error ends the connection.
func (c *Conn) take(f *http2.Frame) error {
	err := c.frame(f)
	if wrong, ok := err.(*http2.StreamError); ok { //nolint:errorlint // frame doesn't wrap it
		return c.resetFor(wrong)
	}
	return err
}

func (c *Conn) frame(f *http2.Frame) error {
	if !c.settings {
		if f.Type != http2.SettingsFrame || f.Has(http2.FlagAck) {
			return &http2.ConnError{Code: http2.ProtocolError, Why: "the first frame is not SETTINGS"}
		}
		c.settings = true
	}
	if c.block.stream != 0 && (f.Type != http2.Continuation || f.Stream != c.block.stream) {
		return &http2.ConnError{Code: http2.ProtocolError, Why: "a header block is interrupted by another frame"}
	}
	switch f.Type {
	case http2.Data:
		return c.takeData(f)
	case http2.Headers:
		return c.takeHeaders(f)
	case http2.Continuation:
		return c.takeContinuation(f)
	case http2.ResetStream:
		return c.takeReset(f)
	case http2.SettingsFrame:
		return c.takeSettings(f)
	case http2.Ping:
		return c.takePing(f)
	case http2.GoAway:
		return c.takeGoAway(f)
	case http2.WindowUpdate:
		return c.takeWindowUpdate(f)
	case http2.Priority, http2.PriorityUpdate:
		return c.takePriority(f)
	case http2.PushPromise:
		return &http2.ConnError{Code: http2.ProtocolError, Why: "clients don't push"}
	}
	return c.calm(&c.budgets.other, otherFrames, Others) // of no known type: to be ignored (RFC 9113 §5.5)
}
