// Package listener accepts connections on TCP and Unix sockets, within limits,
// and hands them over, with TLS where that is configured. It knows nothing of
// HTTP.
//
//	l, err := listener.Listen(listener.Options{Address: ":8080", Sweeper: sweeper, Settings: settings})
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
	"github.com/keystone-gateway/keystone-gateway/proxy/terms"
)

// Options says what to listen on: what stays as long as the listener does.
type Options struct {
	// Address is "host:port", ":port", "[v6]:port" or "unix:/path".
	Address string
	// Number is the owner's, by which connections tell where they have come in.
	Number int
	// Shared, if not nil, bounds the connections of several listeners together.
	Shared *Tally
	// Full answers connections beyond the limits of all, Crowded those beyond the
	// limits of one address, before they are closed.
	Full, Crowded []byte
	// Stranger, if not nil, is told of each connection that is closed because its
	// peer may send no header of the PROXY protocol and had to; it must not block.
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
	// what the process's umask leaves. Owner are the user and the group to whom it is
	// given then; nil leaves it to the process's.
	Mode  os.FileMode
	Owner *Owner
	// Settings are those to begin with.
	Settings Settings
}

// Settings are what may change while a listener is open (Use): of its connections,
// those that come after that see it.
type Settings struct {
	// MaxConnections bounds the open connections, MaxPerAddress those of one
	// client address; 0 is no bound. What comes beyond is answered with Full
	// or Crowded and closed.
	MaxConnections, MaxPerAddress int
	// Exempt, if not nil, says which peers no bound of one address is for.
	Exempt func(peer netip.Addr) bool
	// TLS, if not nil, is spoken on the connections.
	TLS *tls.Config
	// Introduction, if not nil, says who tells by a header of the PROXY protocol
	// for whom it connects. Such connections have to be introduced.
	Introduction *Introduction
	// MaxRequests bounds the requests on one connection; 0 is no bound. It is kept
	// here for whoever serves them.
	MaxRequests int
	// MaxHandshakes bounds those of TLS that are in flight; 0 is no bound.
	// HandshakeTimeout is for each, from the connection on; 0 leaves it to whoever
	// serves it.
	MaxHandshakes    int
	HandshakeTimeout time.Duration
	// Protocols are what is spoken on the connections. They are kept here for whoever
	// serves them.
	Protocols Protocols
}

// Protocols are what a listener speaks: a sum of them.
type Protocols uint8

// The protocols.
const (
	HTTP1 Protocols = 1 << iota
	HTTP2
	HTTP3 // over UDP alone, on a port of its own: QUIC
)

// Listener accepts connections.
type Listener struct {
	opts     Options
	settings atomic.Pointer[Settings]
	inner    net.Listener
	file     FileID // of a Unix socket
	tally    Tally
	closing  atomic.Bool
	closed   chan struct{} // by Close

	handshakes handshakes

	sleepers atomic.Pointer[sleepers] // while WakeSleepers runs

	mu sync.Mutex // guards for whom each connection counts
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
	// Protocols are those of the settings when it was accepted.
	Protocols Protocols
	// Secure says whether Conn is TLS, and Accepted what its handshake has found.
	Secure   bool
	Accepted terms.Accepted

	owner  *Listener
	due    *Introduction // by which a header has yet to be read
	counts counted       // guarded by the listener's mu, once others know of it
	closed atomic.Bool
	slept  atomic.Bool // at least once
	hello  atomic.Int64

	// Of a handshake in flight, guarded by handshakes.mu: when it began
	// (socket.Nanotime), whose it is, and its neighbours; zero when there is none.
	shaking      int64
	shaker       netip.Addr // for which it counts; the zero Addr is nobody's
	older, newer *Conn
}

// Listen takes the listening socket that the process was given for the address,
// or opens one.
func Listen(opts Options) (*Listener, error) {
	network, address := "tcp", opts.Address
	if IsUnix(opts.Address) {
		network, address = "unix", pathOf(opts.Address)
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
	l := &Listener{opts: opts, inner: inner, closed: make(chan struct{})}
	if network == "unix" {
		l.file, _ = socketAt(address) // who takes a service manager's may not be allowed to look
	}
	l.handshakes.freed, l.handshakes.of = make(chan struct{}, 1), map[netip.Addr]int{}
	l.settings.Store(&opts.Settings)
	return l, nil
}

// open opens a socket of the process's own.
func open(network, address string, opts *Options) (net.Listener, error) {
	if network == "unix" {
		if err := removeStale(address, opts.Sockets); err != nil {
			return nil, err
		}
	}
	// Keep-alive probes would cost four system calls a connection; idle ones
	// end by their expiry.
	config := net.ListenConfig{KeepAlive: -1, Control: defers}
	listen := func() (net.Listener, error) { return config.Listen(context.Background(), network, address) }
	if network == "unix" && opts.Mode != 0 {
		first := opts.Mode
		if opts.Owner != nil {
			first &= 0o700 // until it is the owner's
		}
		config.Control = withMode(first)
		listen = masked(first, listen)
	}
	inner, err := listen()
	if errors.Is(err, syscall.EADDRINUSE) {
		err = opts.Sockets.taken(network, address, err)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q: %w", opts.Address, err)
	}
	var file FileID
	if network == "unix" && !strings.HasPrefix(address, "@") { // which has no file
		if file, err = socketAt(address); err == nil { // the umask has a part in what bind made
			err = guard(address, file, opts.Mode, opts.Owner)
		}
		if err != nil {
			_ = inner.Close()
			return nil, fmt.Errorf("cannot listen on %q: %w", opts.Address, err)
		}
	}
	opts.Sockets.add(inner, opts.Address, file)
	return inner, nil
}

// Use changes the settings for the connections that come from now on.
func (l *Listener) Use(settings *Settings) { l.settings.Store(settings) }

// Settings returns those in use.
func (l *Listener) Settings() *Settings { return l.settings.Load() }

// Number is that of the options.
func (l *Listener) Number() int { return l.opts.Number }

// errTaken says that an address is in use.
var errTaken = errors.New("another process listens there")

// removeStale removes a Unix socket that a dead process has left behind, and
// nothing else.
func removeStale(path string, sockets *Sockets) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil //nolint:nilerr // listening tells what is wrong
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("cannot listen on \"unix:%s\": there is a file that is no socket", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("cannot listen on \"unix:%s\": %w", path, sockets.taken("unix", path, errTaken))
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

// Close stops accepting. Connections stay open.
func (l *Listener) Close() error {
	if l.closing.CompareAndSwap(false, true) {
		close(l.closed)
		if l.opts.Own != nil && !IsUnix(l.opts.Address) {
			l.opts.Own.Remove(l.inner.Addr().String(), l.opts.Purpose)
		}
	}
	return l.opts.Sockets.close(l.inner)
}

// Closing reports whether Close has been called: no connection should go on for long.
func (l *Listener) Closing() bool { return l.closing.Load() }

// Addr returns the address listened on.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Stats returns the number of connections open now, accepted and refused.
func (l *Listener) Stats() (open int64, accepted, refused uint64) {
	return l.tally.Stats()
}

// Listener is the one that has accepted the connection.
func (c *Conn) Listener() *Listener { return c.owner }

// Close closes the socket and makes room for another connection.
func (c *Conn) Close() error {
	if !c.closed.CompareAndSwap(false, true) {
		return nil
	}
	c.owner.tally.leave()
	if c.owner.opts.Shared != nil {
		c.owner.opts.Shared.leave()
	}
	c.owner.leave(c)
	if c.Secure {
		c.EndHandshake()
	}
	c.wakeNever()
	return c.Sock.Close()
}

// Refuse closes a connection that has just been accepted as one beyond the
// limit.
func (c *Conn) Refuse() { c.refuse(false) }

func (c *Conn) refuse(crowded bool) {
	c.owner.countRefused()
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
