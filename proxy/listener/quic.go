package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/quic-go/quic-go"

	"github.com/keystone-gateway/keystone-gateway/proxy/terms"
)

// QUIC is what comes over UDP to the port of a listener: connections that count for it,
// within its limits, and whose handshakes are held to the same number.
type QUIC struct {
	of        *Listener
	o         QUICOptions
	udp       *net.UDPConn
	transport *quic.Transport
	inner     *quic.Listener
	closing   atomic.Bool

	mu      sync.Mutex
	shaking int                // handshakes in flight; guarded by mu, as below
	of1     map[netip.Addr]int // of one address
}

// QUICOptions are those of a QUIC.
type QUICOptions struct {
	// TLS is spoken; its GetConfigForClient finds the connection by QUICOf.
	TLS *tls.Config
	// Config is that of the connections that come from now on.
	Config func() *quic.Config
	// Failed is told of each handshake that has failed; it must not block.
	Failed func(c *QUICConn, err error)
	// Crowded is with what a connection beyond the limit of one address is closed.
	Crowded quic.ApplicationErrorCode
}

// QUICConn is a connection that came over UDP.
type QUICConn struct {
	*quic.Conn
	// Peer is the client's address when it came.
	Peer netip.Addr
	// Accepted is what the handshake has found, and ServerName what it has asked for.
	Accepted   terms.Accepted
	ServerName string

	owner  *QUIC
	counts counted // guarded by the listener's mu, as gone
	gone   bool
	shaken atomic.Bool
	wider  atomic.Int64 // bytes; below 0 it has ended
}

// quicKey is the context's key of a QUICConn.
type quicKey struct{}

// QUICOf returns the connection whose handshake calls, by tls.ClientHelloInfo.Context.
func QUICOf(ctx context.Context) *QUICConn {
	c, ok := ctx.Value(quicKey{}).(*QUICConn)
	if !ok {
		panic("BUG: a handshake of no connection of a listener")
	}
	return c
}

// ListenQUIC opens the listener's port over UDP.
func (l *Listener) ListenQUIC(o QUICOptions) (*QUIC, error) {
	tcp, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return nil, errors.New("BUG: QUIC on a Unix socket")
	}
	host, _, err := net.SplitHostPort(l.opts.Address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q over UDP: %w", l.opts.Address, err)
	}
	// quic-go writes to the standard log that the system's buffers are small; they serve.
	_ = os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	var config net.ListenConfig
	inner, err := config.ListenPacket(context.Background(), "udp", net.JoinHostPort(host, strconv.Itoa(tcp.Port)))
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q over UDP: %w", l.opts.Address, err)
	}
	q := &QUIC{of: l, o: o, udp: inner.(*net.UDPConn), of1: map[netip.Addr]int{}} //nolint:forcetypeassert // what "udp" is
	q.transport = &quic.Transport{Conn: q.udp, ConnContext: q.admit, VerifySourceAddress: q.doubts}
	q.inner, err = q.transport.Listen(o.TLS, &quic.Config{
		GetConfigForClient: func(*quic.ClientInfo) (*quic.Config, error) { return o.Config(), nil },
	})
	if err != nil {
		_ = q.udp.Close()
		return nil, fmt.Errorf("cannot listen on %q over UDP: %w", l.opts.Address, err)
	}
	return q, nil
}

// Listener is the one whose port it is.
func (q *QUIC) Listener() *Listener { return q.of }

var errFull = errors.New("there are too many connections")

// admit counts a connection, or refuses it, before its handshake. Its address may be made
// up, so that it counts for that only once the handshake has proved it.
func (q *QUIC) admit(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	l := q.of
	settings, shared := l.settings.Load(), l.opts.Shared
	c := &QUICConn{owner: q, Peer: addressOf(info.RemoteAddr)}
	if q.closing.Load() {
		return nil, net.ErrClosed
	}
	if l.tally.full(settings.MaxConnections) || shared != nil && shared.full(shared.Most) {
		l.countRefused()
		if l.opts.Refused != nil {
			l.opts.Refused(c.Peer, false)
		}
		return nil, errFull
	}
	if !q.beginHandshake(c.Peer, settings.MaxHandshakes) {
		if q.o.Failed != nil {
			q.o.Failed(c, ErrCrowdedOut)
		}
		return nil, ErrCrowdedOut
	}
	l.tally.enter()
	if shared != nil {
		shared.enter()
	}
	context.AfterFunc(ctx, func() { c.leave(context.Cause(ctx)) })
	return context.WithValue(ctx, quicKey{}, c), nil
}

// beginHandshake is false if there are as many as there may be, or half of them and a
// quarter is this address's.
func (q *QUIC) beginHandshake(peer netip.Addr, most int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if most > 0 && (q.shaking >= most || 2*q.shaking >= most && q.of1[peer] >= max(most/4, 1)) {
		return false
	}
	q.shaking++
	q.of1[peer]++
	return true
}

// doubts reports whether clients have to prove by a round trip that they are where they
// say: while many handshakes are in flight, which may be of nobody.
func (q *QUIC) doubts(net.Addr) bool {
	const many = 64
	q.mu.Lock()
	defer q.mu.Unlock()
	most := q.of.settings.Load().MaxHandshakes
	return q.shaking >= many || most > 0 && q.shaking >= max(most/8, 1)
}

// Handshakes returns how many are in flight.
func (q *QUIC) Handshakes() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.shaking
}

func (c *QUICConn) endHandshake() (first bool) {
	if !c.shaken.CompareAndSwap(false, true) {
		return false
	}
	q := c.owner
	q.mu.Lock()
	defer q.mu.Unlock()
	q.shaking--
	if q.of1[c.Peer]--; q.of1[c.Peer] <= 0 {
		delete(q.of1, c.Peer)
	}
	return true
}

// leave makes room for another connection.
func (c *QUICConn) leave(why error) {
	l := c.owner.of
	if c.endHandshake() && why != nil && c.owner.o.Failed != nil {
		c.owner.o.Failed(c, why)
	}
	l.tally.leave()
	if l.opts.Shared != nil {
		l.opts.Shared.leave()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c.gone = true
	l.part(c.counts)
}

// Accept returns the next connection within the limits, whose handshake is complete. It
// fails only when the port has been closed.
func (q *QUIC) Accept() (*QUICConn, error) {
	for {
		conn, err := q.inner.Accept(context.Background())
		if err != nil {
			return nil, err
		}
		c := QUICOf(conn.Context())
		c.Conn = conn
		c.endHandshake()
		if q.join(c) {
			return c, nil
		}
		q.of.countRefused()
		if q.of.opts.Refused != nil {
			q.of.opts.Refused(c.Peer, true)
		}
		_ = conn.CloseWithError(q.o.Crowded, "there are too many connections from this address")
	}
}

// join counts a connection for its address.
func (q *QUIC) join(c *QUICConn) (ok bool) {
	l := q.of
	address, ok := l.countedAs(c.Peer)
	if !ok {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.gone {
		return true
	}
	c.counts, ok = l.count(address)
	return ok
}

// Close refuses new connections. Those that there are go on.
func (q *QUIC) Close() { q.closing.Store(true) }

// Closing reports whether Close has been called, or the listener's: no connection should
// go on for long.
func (q *QUIC) Closing() bool { return q.closing.Load() || q.of.Closing() }

// End closes the port. What is still open gets to know nothing of it.
func (q *QUIC) End() {
	q.closing.Store(true)
	_ = q.transport.Close() // its error is that of closing, which the next line does
	_ = q.udp.Close()
}

// Widen notes that the client may send so many bytes more before they are read. It is
// false once EndWindow was called.
func (c *QUICConn) Widen(by int64) bool {
	for {
		was := c.wider.Load()
		if was < 0 {
			return false
		}
		if c.wider.CompareAndSwap(was, was+by) {
			return true
		}
	}
}

// EndWindow returns how many bytes Widen has noted, of which there are no more.
func (c *QUICConn) EndWindow() int64 { return max(0, c.wider.Swap(-1)) }

// Owner is where the connection has come in.
func (c *QUICConn) Owner() *QUIC { return c.owner }

// addressOf is the address of a peer over UDP.
func addressOf(at net.Addr) netip.Addr {
	udp, ok := at.(*net.UDPAddr)
	if !ok {
		return netip.Addr{}
	}
	return udp.AddrPort().Addr().Unmap()
}
