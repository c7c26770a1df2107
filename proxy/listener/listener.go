// Package listener accepts connections on TCP and Unix sockets, within limits,
// and hands them over, with TLS where that is configured. It knows nothing of
// HTTP.
//
//	l, err := listener.Listen(listener.Options{Address: ":8080", MaxConnections: 1000, Sweeper: sweeper})
//	conn, err := l.Accept() // or fasthttp's server takes them: server.Serve(l.Wrapped(wrap))
package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener/proxyprotocol"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// Options says what to listen on and how much to accept.
type Options struct {
	// Address is "host:port", ":port", "[v6]:port" or "unix:/path".
	Address string
	// MaxConnections bounds the open connections, MaxPerAddress those of one
	// client address; 0 is no bound. What comes beyond is answered with Full
	// or Crowded and closed.
	MaxConnections, MaxPerAddress int
	Full, Crowded                 []byte
	// Exempt, if not nil, says which peers MaxPerAddress doesn't bound.
	Exempt func(peer netip.Addr) bool
	// TLS returns the TLS configuration for a new connection; a nil function
	// is plain text.
	TLS func() *tls.Config
	// Introduction, if not nil, returns who tells by a header of the PROXY protocol
	// for whom it connects; nil is nobody. Such connections have to be introduced.
	Introduction func() *Introduction
	// Stranger, if not nil, is told of each connection that is closed because its
	// peer may send no such header and had to; it must not block.
	Stranger func(peer netip.Addr, why error)
	// Refused, if not nil, is told of each refused connection; it must not block.
	Refused func(peer netip.Addr, crowded bool)
	// Sweeper enforces the expiries of accepted connections.
	Sweeper *socket.Sweeper
	// Own, if not nil, is told where the listener is, and that it serves Purpose.
	Own     *Own
	Purpose Purpose
	// Sockets, if not nil, has the sockets that the process was given, one of which
	// may be the listener's, and is told of its socket.
	Sockets *Sockets
	// Mode is that of a Unix socket, from the moment at which it is there; 0 is
	// what the process's umask leaves.
	Mode os.FileMode
}

// Listener accepts connections.
type Listener struct {
	opts     Options
	inner    net.Listener
	open     atomic.Int64
	accepted atomic.Uint64
	refused  atomic.Uint64

	sleepers atomic.Pointer[sleepers] // while WakeSleepers runs

	mu         sync.Mutex
	perAddress map[netip.Addr]int
}

// Conn is an accepted connection.
type Conn struct {
	net.Conn // TLS or plain
	// Sock is the socket beneath.
	Sock *socket.Conn
	// Peer is the client's address: that of the other end, or the one of which
	// that has told (Introduce); the zero Addr on a Unix socket.
	Peer netip.Addr
	// Introduced is the header that the connection began with; nil without one.
	// Sender is the address that it came from.
	Introduced *proxyprotocol.Header
	Sender     netip.Addr
	// Secure says whether Conn is TLS.
	Secure bool

	owner   *Listener
	due     *Introduction // by which a header has yet to be read
	address netip.Addr    // for which it counts; the zero Addr is for none
	closed  atomic.Bool
	slept   atomic.Bool // at least once
}

// Listen takes the listening socket that the process was given for the address,
// or opens one.
func Listen(opts Options) (*Listener, error) {
	network, address := "tcp", opts.Address
	if path, ok := strings.CutPrefix(opts.Address, "unix:"); ok {
		network, address = "unix", strings.TrimPrefix(path, "//")
	}
	inner, err := opts.Sockets.take(network, address, &opts)
	if inner == nil && err == nil {
		inner, err = open(network, address, &opts)
	}
	if err != nil {
		return nil, err
	}
	if opts.Own != nil && network == "tcp" {
		opts.Own.Add(inner.Addr().String(), opts.Purpose)
	}
	return &Listener{opts: opts, inner: inner, perAddress: map[netip.Addr]int{}}, nil
}

// open opens a socket of the process's own.
func open(network, address string, opts *Options) (net.Listener, error) {
	if network == "unix" {
		if err := removeStale(address); err != nil {
			return nil, err
		}
	}
	// Keep-alive probes would cost four system calls a connection; idle ones
	// end by their expiry.
	config := net.ListenConfig{KeepAlive: -1, Control: defers}
	listen := func() (net.Listener, error) { return config.Listen(context.Background(), network, address) }
	if network == "unix" && opts.Mode != 0 {
		config.Control = withMode(opts.Mode)
		listen = masked(opts.Mode, listen)
	}
	inner, err := listen()
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q: %w", opts.Address, err)
	}
	opts.Sockets.add(inner, opts.Address)
	return inner, nil
}

// removeStale removes a Unix socket that a dead process has left behind, and
// nothing else.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return nil //nolint:nilerr // listening tells what is wrong
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("cannot listen on \"unix:%s\": another process listens there", path)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	return nil
}

// Accept returns the next connection within the limits. It fails only when
// the listener has been closed: a shortage of descriptors is waited out.
func (l *Listener) Accept() (*Conn, error) {
	for pause := time.Duration(0); ; {
		nc, err := l.inner.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil, net.ErrClosed
			}
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			time.Sleep(pause)
			continue
		}
		pause = 0
		conn, err := l.admit(nc)
		if err != nil {
			_ = nc.Close()
			continue
		}
		if conn != nil {
			return conn, nil
		}
	}
}

// admit counts the connection; nil without an error is a refused one.
func (l *Listener) admit(nc net.Conn) (*Conn, error) {
	var peer netip.Addr
	if tcp, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		peer = tcp.AddrPort().Addr().Unmap()
	}
	if limit := l.opts.MaxConnections; limit > 0 && l.open.Load() >= int64(limit) {
		l.refuse(nc, peer, false)
		return nil, nil
	}
	introduction, err := l.introduction(peer)
	if err != nil {
		return nil, err
	}
	address, ok := netip.Addr{}, true
	if introduction == nil { // else it counts for the client, of whom nothing is known yet
		address, ok = l.join(peer)
	}
	if !ok {
		l.refuse(nc, peer, true)
		return nil, nil
	}
	sock, err := socket.New(nc, l.opts.Sweeper)
	if err != nil {
		l.leave(&Conn{address: address})
		return nil, err
	}
	l.open.Add(1)
	l.accepted.Add(1)
	conn := &Conn{Conn: sock, Sock: sock, Peer: peer, due: introduction, address: address, owner: l}
	if l.opts.TLS != nil {
		conn.Conn, conn.Secure = tls.Server(sock, l.opts.TLS()), true
	}
	return conn, nil
}

// introduction is nil where a peer has to begin with no header.
func (l *Listener) introduction(peer netip.Addr) (*Introduction, error) {
	if l.opts.Introduction == nil {
		return nil, nil
	}
	i := l.opts.Introduction()
	due, err := i.judge(peer)
	if err != nil {
		l.refused.Add(1)
		if l.opts.Stranger != nil {
			l.opts.Stranger(peer, err)
		}
	}
	if !due {
		return nil, err
	}
	return i, nil
}

// refuse answers with at most what fits into an empty socket buffer, so that
// a refused client can't hold the accept loop.
func (l *Listener) refuse(nc net.Conn, peer netip.Addr, crowded bool) {
	l.refused.Add(1)
	answer := l.opts.Full
	if crowded {
		answer = l.opts.Crowded
	}
	if l.opts.Refused != nil {
		l.opts.Refused(peer, crowded)
	}
	if l.opts.TLS == nil {
		_ = nc.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		_, _ = nc.Write(answer)
		dropArrived(nc)
	}
	_ = nc.Close()
}

// join counts a connection for an address, which it returns for leave.
func (l *Listener) join(peer netip.Addr) (address netip.Addr, ok bool) {
	address, ok = l.countedAs(peer)
	if !ok {
		return netip.Addr{}, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return address, l.count(address)
}

// joinLate is join for a connection that others may close meanwhile.
func (l *Listener) joinLate(c *Conn) (ok bool) {
	address, ok := l.countedAs(c.Peer)
	if !ok {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.closed.Load() { // and has left, or will leave, as one that never joined
		return true
	}
	if ok = l.count(address); ok {
		c.address = address
	}
	return ok
}

// countedAs is the address for which a client's connections count; ok is false
// where they aren't bounded.
func (l *Listener) countedAs(peer netip.Addr) (address netip.Addr, ok bool) {
	if l.opts.MaxPerAddress <= 0 || !peer.IsValid() || l.opts.Exempt != nil && l.opts.Exempt(peer) {
		return netip.Addr{}, false
	}
	if peer.Is6() {
		return netip.PrefixFrom(peer, sitePrefix).Masked().Addr(), true
	}
	return peer, true
}

// count needs l.mu.
func (l *Listener) count(address netip.Addr) (ok bool) {
	if l.perAddress[address] >= l.opts.MaxPerAddress {
		return false
	}
	l.perAddress[address]++
	return true
}

// sitePrefix is the length of the networks of IPv6 that one client has whole.
const sitePrefix = 64

// leave ends what join has begun for a connection.
func (l *Listener) leave(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !c.address.IsValid() {
		return
	}
	if l.perAddress[c.address]--; l.perAddress[c.address] <= 0 {
		delete(l.perAddress, c.address)
	}
}

// Close stops accepting.
func (l *Listener) Close() error { return l.opts.Sockets.close(l.inner) }

// Addr returns the address listened on.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Stats returns the number of connections open now, accepted and refused.
func (l *Listener) Stats() (open int64, accepted, refused uint64) {
	return l.open.Load(), l.accepted.Load(), l.refused.Load()
}

// Close closes the socket and makes room for another connection.
func (c *Conn) Close() error {
	if !c.closed.CompareAndSwap(false, true) {
		return nil
	}
	c.owner.open.Add(-1)
	c.owner.leave(c)
	c.wakeNever()
	return c.Sock.Close()
}

// Refuse closes a connection that has just been accepted as one beyond the
// limit.
func (c *Conn) Refuse() { c.refuse(false) }

func (c *Conn) refuse(crowded bool) {
	c.owner.refused.Add(1)
	if c.owner.opts.Refused != nil {
		c.owner.opts.Refused(c.Peer, crowded)
	}
	answer := c.owner.opts.Full
	if crowded {
		answer = c.owner.opts.Crowded
	}
	if !c.Secure {
		c.Sock.TryWrite(answer)
	}
	_ = c.Close()
}

// Reset closes the connection with a TCP reset.
func (c *Conn) Reset() error {
	_ = c.Sock.Reset()
	return c.Close()
}
