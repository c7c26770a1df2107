// Package clients serves connections of clients: the handshake of TLS, by which it
// is known what is spoken, and HTTP/1, whose requests are exchange.Streams. Between
// requests a connection waits, and sleeps after a while.
//
//	server := &clients.Server{Plane: plane, Memory: account, …}
//	fast := server.Fast()
//	fast.Serve(listener.Wrapped(server.Connect)) // hands it plain connections
package clients

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http2/streams"
	quicstreams "github.com/keystone-gateway/keystone-gateway/proxy/http3/streams"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/proxyprotocol"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/multiplex"
)

// Server serves clients. Its exported fields but Limits and Awake are filled in
// before the first one comes, and don't change any more.
type Server struct {
	// Plane handles the requests; when it is draining, no connection goes on after
	// one.
	Plane *exchange.Plane
	// Memory is the account of connections between requests.
	Memory *memory.Account
	// Open returns the number of open connections.
	Open func() int64
	// NoHandshake is told of a TLS handshake that failed, NoHeader of a connection
	// without a header of the PROXY protocol that is believed; at is the listener's
	// number.
	NoHandshake func(at int, peer, name, reason string)
	NoHeader    func(at int, peer netip.Addr, why error)
	// Introduction returns what the access log has of such a header.
	Introduction func(sender netip.Addr, header *proxyprotocol.Header, secured proxyprotocol.TLS) []byte

	// Streams is what connections of HTTP/2 share, and QUIC those of HTTP/3.
	Streams streams.Server
	QUIC    quicstreams.Server

	Limits atomic.Pointer[Limits]
	// Awake is how long the goroutines of all open connections together may wait, in
	// nanoseconds; the usual is WakeShare.
	Awake atomic.Int64

	open     listener.Set[*client]
	openQUIC listener.Set[*quicClient]
	numbers  atomic.Uint64 // of connections
	fast     *fasthttp.Server
}

// Limits are what a connection needs before a request has a generation; durations
// are in nanoseconds.
type Limits struct {
	Header, Keepalive, HalfClose int64
	Linger, LingerIdle           int64
	MaxHeader                    int // bytes
}

// Fast returns fasthttp's server as what it is here: the scheduler of connections.
// See client for how it is called.
func (s *Server) Fast() *fasthttp.Server {
	s.fast = &fasthttp.Server{
		Handler:               s.handle,
		Concurrency:           1 << 30, // the listener has the limit
		MaxIdleWorkerDuration: 2 * time.Second,
		ReadBufferSize:        64, // it only ever reads signal
		WriteBufferSize:       128,
		NoDefaultServerHeader: true,
		NoDefaultDate:         true,
		NoDefaultContentType:  true,
		CloseOnShutdown:       true,
		Logger:                listener.Quiet{},
	}
	s.fast.NextProto(ProtocolMany, s.serveMany)
	s.Streams.Plane, s.Streams.Memory = s.Plane, s.Memory
	s.Streams.Header = func() int64 { return s.Limits.Load().Header }
	s.Streams.MaxHeader = func() int { return s.Limits.Load().MaxHeader }
	s.QUIC.Plane, s.QUIC.Memory, s.QUIC.Header, s.QUIC.MaxHeader = s.Plane, s.Memory, s.Streams.Header, s.Streams.MaxHeader
	s.QUIC.Keepalive = func() int64 { return s.Limits.Load().Keepalive }
	return s.fast
}

// Connect makes a client of a connection, unless it is refused: then ok is false. One
// with TLS is served from here, and isn't returned.
func (s *Server) Connect(conn *listener.Conn) (made net.Conn, ok bool) {
	if !s.mayAccept() {
		return nil, false
	}
	c := newClient(s, conn)
	s.open.Add(c)
	if conn.Secure {
		go c.begin() // ends with the connection, or its first sleep
		return nil, true
	}
	return c, true
}

// Asleep returns the number of connections that sleep.
func (s *Server) Asleep() (n int) {
	for c := range s.open.All() {
		if c.state.Load() == clientAsleep {
			n++
		}
	}
	return n
}

// CloseIdle closes those of a listener, nil for all, that have been idle since before
// that time and returns how many are left. One to which something has been sent
// stays; once chosen, none can begin a request.
func (s *Server) CloseIdle(before int64, of *listener.Listener) (left int) {
	var idle, leaving []*client
	for c := range s.open.All() {
		if of != nil && c.Listener() != of {
			continue
		}
		if many := c.many.Load(); many != nil {
			leaving = append(leaving, c)
			left++
			continue
		}
		if c.idleSince.Load() < before && !c.Sock.Readable() && c.finish() {
			idle = append(idle, c)
		} else {
			left++
		}
	}
	for _, c := range idle {
		_ = c.end()
	}
	for _, c := range leaving {
		c.leaveMany()
	}
	return left
}

// CloseAll cuts every connection of a listener, nil for all, and gives up what they
// wait for because of that.
func (s *Server) CloseAll(cause error, of *listener.Listener) {
	for _, c := range slices.Collect(s.open.All()) {
		if of == nil || c.Listener() == of {
			c.abort(cause)
			if many := c.many.Load(); many != nil {
				many.Abort(cause)
			}
			_ = c.end()
		}
	}
}

// finish ends a client that isn't busy, for the caller to close.
func (c *client) finish() bool {
	for _, state := range []int32{clientIdle, clientDozing, clientAsleep} {
		if c.state.CompareAndSwap(state, clientEnded) {
			return true
		}
	}
	return false
}

// CutHeaviest cuts connections of an account until so many bytes will have been
// given back: first those that hold most, for the longest. Who makes progress
// holds nothing for long. count counts them.
func (s *Server) CutHeaviest(account *memory.Account, bytes, now int64, count *atomic.Uint64) {
	type held struct {
		client *client
		stream *multiplex.Held // where there is no client
		bytes  int64
		weight float64
	}
	var list []held
	var ofStreams []multiplex.Held
	for c := range s.open.All() {
		if many := c.many.Load(); many != nil {
			ofStreams = many.Held(account, ofStreams)
		}
		if n := c.memory.Held(); n > 0 && c.memory.On(account) {
			list = append(list, held{client: c, bytes: n, weight: float64(n) * float64(now-c.idleSince.Load())})
		}
	}
	for _, c := range s.quicOf(nil) {
		ofStreams = c.Held(account, ofStreams)
	}
	for i := range ofStreams {
		h := &ofStreams[i]
		list = append(list, held{stream: h, bytes: h.Bytes, weight: float64(h.Bytes) * float64(now-h.Since)})
	}
	slices.SortFunc(list, func(a, b held) int { return cmp.Compare(b.weight, a.weight) })
	for _, h := range list {
		if bytes <= 0 {
			return
		}
		if h.client == nil {
			if h.stream.Cut(account, exchange.OutOfMemory) {
				bytes -= h.bytes
				count.Add(1)
			}
			continue
		}
		if h.client.memory.On(account) { // still
			bytes -= h.bytes
			count.Add(1)
			h.client.abort(exchange.OutOfMemory)
			h.client.Sock.Abort(exchange.OutOfMemory)
		}
	}
}
