// Package streams serves clients that speak HTTP/3: their connections and the streams of
// these, each an exchange.Stream with a goroutine of its own. QUIC is quic-go's: packets,
// loss, windows; the frames on its streams are read and written here.
//
//	conn := streams.New(server, streams.Options{Conn: conn, Client: client, …})
//	conn.Serve() // until the connection and all of its exchanges have ended
//
// Read it in the order of a request: conn (streams come), open (the head), stream (what
// the exchange sees of it), source and body (the content), answer and send (what goes
// back), control (what else a client says), leave (how a connection ends). The bytes are
// proxy/http3's, and what a request is, proxy/http2's.
package streams

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"github.com/quic-go/quic-go"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/http3"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/multiplex"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// Server is what all connections share. Its fields are filled in before the first.
type Server struct {
	Plane *exchange.Plane
	// Memory is the account of connections, and of what no tenant has asked for yet.
	Memory *memory.Account
	// Header is how long a head may take to come, and Keepalive how long a request is
	// waited for after another one (nanoseconds); MaxHeader is how large a head may be,
	// as the head of HTTP/1 that says the same (bytes).
	Header, Keepalive func() int64
	MaxHeader         func() int

	Counters Counters
	open     atomic.Int64
}

// Open returns how many connections there are.
func (s *Server) Open() int64 { return s.open.Load() }

// Options are those of one connection.
type Options struct {
	Conn   *quic.Conn // its handshake is complete
	Client *exchange.Client
	// Moved returns the client at another address, to which the connection has migrated.
	Moved func(to net.Addr) *exchange.Client
	// Ending reports whether the connection isn't to go on for long, and MostRequests how
	// many it may have, 0 is any number. They may be called at once.
	Ending       func() bool
	MostRequests func() int
}

const (
	// MaxPlainStreams is how many of one direction: three are used.
	MaxPlainStreams = 8
	// FirstWindow is what a client may send on a stream before it is read (bytes).
	FirstWindow = 16 << 10
	// MostWindow is what that grows to while it is read as fast as it comes.
	MostWindow = 256 << 10
	// FirstConnWindow is the same of all streams of a connection together.
	FirstConnWindow = 256 << 10
	// MostConnWindow is what that grows to. QUIC's notes of what isn't read may be some
	// 130 times as large, where it has come byte by byte, and are charged to nobody.
	MostConnWindow = 512 << 10
)

// Conn is a connection of a client.
type Conn struct {
	server *Server
	o      Options
	wait   sync.WaitGroup // streams, and what reads those of one direction

	mu        sync.Mutex
	client    *exchange.Client // guarded by mu, as all below
	address   net.Addr         // where it is
	control   *quic.SendStream
	streams   map[uint64]*stream // whose exchange has not ended
	next      uint64             // beyond the greatest number of a stream that was opened
	opened    int
	idleSince int64
	leaving   multiplex.Leaving
	leftAt    int64 // when the second GOAWAY is, or was, sent
	goaway    uint64
	closed    bool
	had       [DecoderIs + 1]bool // which of the client's streams of one direction there have been
	pushes    uint64              // what its MAX_PUSH_ID has said
	retracted uint64              // what its GOAWAY has said
	budgets   [Kinds]http2.Budget
}

// New returns a connection of which nothing has been read.
func New(s *Server, o Options) *Conn {
	s.open.Add(1)
	return &Conn{
		server: s, o: o, client: o.Client, address: o.Conn.RemoteAddr(), streams: map[uint64]*stream{},
		idleSince: socket.Nanotime(), retracted: http3.MaxStream,
	}
}

// Serve serves the connection until it ends. It returns only when all of its exchanges
// have.
func (c *Conn) Serve() {
	defer c.server.open.Add(-1)
	if err := c.greet(); err == nil {
		c.wait.Go(func() { c.guard(c.takeUni) })
		for {
			incoming, err := c.o.Conn.AcceptStream(context.Background())
			if err != nil {
				break
			}
			c.open(incoming)
		}
	}
	_ = c.o.Conn.CloseWithError(quic.ApplicationErrorCode(http3.NoError), "")
	c.Abort(exchange.ErrClientGone)
	c.wait.Wait()
}

// guard has f end the connection, and nothing else, if it panics.
func (c *Conn) guard(f func()) {
	defer func() {
		if cause := recover(); cause != nil {
			c.server.Plane.LogPanic(cause)
			c.fail(&http3.ConnError{Code: http3.InternalError})
		}
	}()
	f()
}

// greet opens the stream on which the gateway says what it does.
func (c *Conn) greet() error {
	control, err := c.o.Conn.OpenUniStream()
	if err != nil {
		return err
	}
	hello := http3.AppendInteger(nil, uint64(http3.ControlStream))
	hello = http3.AppendSettings(hello, http3.Setting{ID: http3.MaxFieldSection, Value: uint64(c.server.MaxHeader())}) //nolint:gosec // G115: it is bounded by its setting
	if err := control.TryWriteAll(hello); err != nil {
		return err
	}
	c.mu.Lock()
	c.control = control
	c.mu.Unlock()
	return nil
}

// fail ends the connection because of what its client has done.
func (c *Conn) fail(why *http3.ConnError) {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	_ = c.o.Conn.CloseWithError(quic.ApplicationErrorCode(why.Code), why.Why)
}

// Abort gives all streams up.
func (c *Conn) Abort(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.streams {
		s.giveUp(cause, http3.RequestCancelled)
	}
}

// Close gives all streams up and ends the connection.
func (c *Conn) Close(cause error) {
	c.Abort(cause)
	c.fail(&http3.ConnError{Code: http3.NoError, Why: "the gateway stops"})
}
