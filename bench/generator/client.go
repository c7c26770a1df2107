package generator

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// client has the connections to one address.
type client struct {
	*fasthttp.HostClient
	ctx       context.Context // ends dialling
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
	addresses []string     // of the host, resolved
	good      atomic.Int32 // the address that was connected to last
	tls       *tls.Config  // nil is plain TCP
	timeout   time.Duration
	opened    atomic.Int64

	mu   sync.Mutex
	open map[*conn]struct{}
	cut  bool // no connection is of use any more
}

// readBuffer is how much is read at once, in bytes.
const readBuffer = 16 << 10

func newClient(ctx context.Context, t *Target, o *Options) (*client, error) {
	c := &client{
		ctx: ctx, dial: o.dial, timeout: o.Timeout,
		open: map[*conn]struct{}{},
	}
	c.HostClient = &fasthttp.HostClient{
		Addr: t.address(), MaxConns: o.Connections,
		ConnPoolStrategy: fasthttp.LIFO, // few connections idle long enough to be closed
		DialTimeout:      c.connect,
	}
	if t.secure() {
		c.tls = o.TLS.Clone() // nil stays nil
		if c.tls == nil {
			c.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		c.tls.NextProtos = []string{"http/1.1"}
		if c.tls.ServerName = t.URL.Hostname(); o.Host != "" {
			c.tls.ServerName = hostname(o.Host)
		}
	}
	var err error
	c.addresses, err = lookUp(ctx, t.URL.Hostname(), c.Addr)
	return c, err
}

// hostname is a host without its port.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}

// lookUp finds a host's addresses, once, so that names cost requests nothing.
func lookUp(ctx context.Context, host, hostPort string) ([]string, error) {
	_, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, fmt.Errorf("cannot read the address %q: %w", hostPort, err)
	}
	if net.ParseIP(host) != nil {
		return []string{hostPort}, nil
	}
	found, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("cannot find the address of %q: %w", host, err)
	}
	for i := range found {
		found[i] = net.JoinHostPort(found[i], port)
	}
	return found, nil
}

// connect opens a connection for fasthttp.
func (c *client) connect(string, time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.timeout)
	defer cancel()
	raw, err := c.reach(ctx)
	if err != nil {
		return nil, &dialError{kind: Connect, err: err}
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		// Closing resets: thousands of ports in TIME_WAIT would run out.
		_ = tcp.SetLinger(0)
	}
	if c.tls != nil {
		secured := tls.Client(raw, c.tls)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, &dialError{kind: TLS, err: err}
		}
		raw = secured
	}
	return c.remember(raw)
}

// reach dials the host's addresses until one answers, the last good one first.
func (c *client) reach(ctx context.Context) (net.Conn, error) {
	var first error
	good := int(c.good.Load())
	for i := range c.addresses {
		n := (good + i) % len(c.addresses)
		raw, err := c.dial(ctx, "tcp", c.addresses[n])
		if err == nil {
			c.good.Store(int32(n)) //nolint:gosec // a few addresses
			return raw, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// remember lists a connection, so that it can be cut.
func (c *client) remember(raw net.Conn) (net.Conn, error) {
	made := &conn{Conn: raw, client: c}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		_ = raw.Close()
		return nil, &dialError{kind: Connect, err: context.Canceled}
	}
	c.open[made] = struct{}{}
	c.opened.Add(1)
	return made, nil
}

func (c *client) forget(closed *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, closed)
}

// cutAll ends whatever waits on a connection, from another goroutine.
func (c *client) cutAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = true
	for open := range c.open {
		_ = open.SetDeadline(time.Unix(1, 0))
	}
}

// close closes the connections; all must be idle.
func (c *client) close() { c.CloseIdleConnections() }
