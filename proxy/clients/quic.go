package clients

import (
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http3"
	quicstreams "github.com/keystone-gateway/keystone-gateway/proxy/http3/streams"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/multiplex"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// Connections of HTTP/3 come over UDP, by QUIC: they have no socket of their own, nor
// fasthttp's goroutine, and don't sleep. A quicstreams.Conn serves each.

// quicSize is what a connection over QUIC holds besides content, in bytes, as measured.
const quicSize = 52 << 10

// quicClient is a connection over QUIC.
type quicClient struct {
	*quicstreams.Conn
	listener.Place
	of *listener.QUIC
}

// sweepQUIC is how often connections over QUIC are looked after.
const sweepQUIC = 50 * time.Millisecond

// QUICConfig is that of connections that come now: windows and numbers of streams by which
// what a client can have the gateway hold is bounded, and how long it may be silent.
// handshake is how long a handshake may take.
func (s *Server) QUICConfig(handshake time.Duration) *quic.Config {
	l := s.Limits.Load()
	if handshake <= 0 {
		handshake = time.Duration(l.Header)
	}
	most := uint64(quicstreams.MostWindow)
	if !s.Memory.Allows(quicstreams.MostConnWindow) {
		most = quicstreams.FirstWindow
	}
	return &quic.Config{
		HandshakeIdleTimeout:       handshake / 2, // the whole has twice the time
		MaxIdleTimeout:             max(time.Duration(l.Keepalive), leastSilence),
		InitialStreamReceiveWindow: quicstreams.FirstWindow, MaxStreamReceiveWindow: most,
		InitialConnectionReceiveWindow: quicstreams.FirstConnWindow, MaxConnectionReceiveWindow: quicstreams.MostConnWindow,
		AllowConnectionWindowIncrease: s.widen,
		MaxIncomingStreams:            multiplex.MaxStreams, MaxIncomingUniStreams: quicstreams.MaxPlainStreams, RequireStreamCreditRelease: true,
	}
}

// widen reports whether a client may send so many bytes more before they are read, which
// its connection holds from then on. QUIC asks that of one whose content is read as fast as
// it comes.
func (s *Server) widen(conn *quic.Conn, more uint64) bool {
	by := int64(more) //nolint:gosec // G115: it is within MostConnWindow
	if !s.Memory.Allows(by) || !listener.QUICOf(conn.Context()).Widen(by) {
		return false
	}
	s.Memory.Hold(by)
	return true
}

// leastSilence is how long a client may send nothing at least, while its requests wait:
// one that is there sends PING before it is over (RFC 9114 §5.1).
const leastSilence = time.Minute

// ServeQUIC serves what comes to a port until it is closed, and everything that has
// come by then has ended.
func (s *Server) ServeQUIC(q *listener.QUIC) {
	var wait sync.WaitGroup
	ended := make(chan struct{})
	wait.Go(func() { s.sweepQUIC(q, ended) })
	for {
		conn, err := q.Accept()
		if err != nil {
			break
		}
		if !s.Memory.Allows(quicSize) {
			_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ExcessiveLoad), "")
			continue
		}
		wait.Go(func() { s.serveQUIC(conn) })
	}
	close(ended)
	wait.Wait()
}

func (s *Server) serveQUIC(conn *listener.QUICConn) {
	defer func() {
		if cause := recover(); cause != nil {
			s.Plane.LogPanic(cause)
		}
	}()
	s.Memory.Hold(quicSize)
	defer func() { s.Memory.Release(quicSize + conn.EndWindow()) }()
	state := conn.ConnectionState().TLS
	if conn.Accepted.Asks() {
		conn.Accepted.End(&state, socket.Nanotime())
	}
	first := exchange.Client{Secure: true, ByHTTP3: true, Number: s.numbers.Add(1), Listener: conn.Owner().Listener().Number(), Accepted: &conn.Accepted}
	at := func(address net.Addr) *exchange.Client {
		c := first
		c.Peer = addrPort(address).Addr()
		c.Address = c.Peer.AppendTo(nil)
		c.Introducer = introducer(sync.OnceValue(func() *upstream.Introduction { return introductionOfQUIC(conn, address) }))
		return &c
	}
	c := &quicClient{of: conn.Owner(), Conn: quicstreams.New(&s.QUIC, quicstreams.Options{
		Conn: conn.Conn, Client: at(conn.RemoteAddr()), Moved: at,
		Ending:       func() bool { return s.Plane.Draining() || conn.Owner().Closing() },
		MostRequests: func() int { return conn.Owner().Listener().Settings().MaxRequests },
	})}
	s.openQUIC.Add(c)
	defer s.openQUIC.Remove(c)
	c.Serve()
}

// sweepQUIC looks after the time of a port's connections.
func (s *Server) sweepQUIC(q *listener.QUIC, ended <-chan struct{}) {
	ticker := time.NewTicker(sweepQUIC)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			return
		case <-ticker.C:
		}
		now := socket.Nanotime()
		for _, c := range s.quicOf(q) {
			c.Sweep(now)
		}
	}
}

// quicOf returns the connections of a port; nil is all.
func (s *Server) quicOf(q *listener.QUIC) (list []*quicClient) {
	for c := range s.openQUIC.All() {
		if q == nil || c.of == q {
			list = append(list, c)
		}
	}
	return list
}

// LeaveQUIC has the connections of a port end after what has been asked on them, and
// returns how many there are.
func (s *Server) LeaveQUIC(q *listener.QUIC) int {
	list := s.quicOf(q)
	for _, c := range list {
		c.Leave()
	}
	return len(list)
}

// CloseQUIC ends the connections of a port, and gives up what they wait for because of
// that.
func (s *Server) CloseQUIC(cause error, q *listener.QUIC) {
	for _, c := range s.quicOf(q) {
		c.Close(cause)
	}
}

// introducer is a function as exchange.Introducer.
type introducer func() *upstream.Introduction

func (f introducer) Introduction() *upstream.Introduction { return f() }

// introductionOfQUIC is what targets can be told of a connection.
func introductionOfQUIC(conn *listener.QUICConn, from net.Addr) *upstream.Introduction {
	state := conn.ConnectionState().TLS
	return &upstream.Introduction{
		Source: addrPort(from), Destination: addrPort(conn.LocalAddr()), Secure: true, TLS: tlsName(state.Version),
		Certified: conn.Accepted.Certificate() != nil, ALPN: []byte(state.NegotiatedProtocol), Authority: []byte(state.ServerName),
	}
}
