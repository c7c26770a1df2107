package upstream_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

const patience = time.Minute

// plainRequest is a request without a body.
type plainRequest struct {
	method, path string
	panics       bool
}

func (r *plainRequest) Upload() {
	if r.panics {
		panic("a fault in the caller")
	}
}
func (*plainRequest) StopUpload()                     {}
func (*plainRequest) Interim(*message.Response) error { return nil }

func (*plainRequest) Attempted(*upstream.Target, error) {}

func newCall(r *plainRequest) *upstream.Call {
	return &upstream.Call{
		Caller: r, Idempotent: true, Streaming: r.panics,
		Request:  &message.Sent{Method: []byte(r.method), Path: []byte(r.path), Authority: []byte("app.example")},
		Timeouts: upstream.Timeouts{Connect: patience, ResponseHeader: patience, Idle: patience},
	}
}

// do makes one call and reads its body.
func do(p *upstream.Pool, r *plainRequest) (status int, body string, err error) {
	c := newCall(r)
	if err := c.Do(p); err != nil {
		return 0, "", err
	}
	body, err = readAll(c)
	return c.Response.Status, body, err
}

// readAll reads a call's body and ends it.
func readAll(c *upstream.Call) (body string, err error) {
	for {
		c.ExpectBody()
		span, err := c.Body.Next()
		if err == io.EOF {
			c.End(true)
			return body, nil
		}
		if err != nil {
			c.End(false)
			return body, err
		}
		body += string(span)
	}
}

// dialTo makes a registry's options whose targets are all at one address, and
// whose expiries are enforced.
func dialTo(t *testing.T, server net.Listener) upstream.Options {
	t.Helper()
	network := newNetwork()
	network.name("app.example", "10.0.0.1")
	o := options(network)
	o.Sweeper = socket.NewSweeper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go o.Sweeper.Run(ctx)
	o.Dial = func(ctx context.Context, kind, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, kind, server.Addr().String())
	}
	return o
}

// burstConn, once held, sends what is written in one piece when it is flushed.
type burstConn struct {
	net.Conn
	held bool
	out  []byte
}

func (c *burstConn) hold() error { c.held = true; return nil }

func (c *burstConn) Write(p []byte) (int, error) {
	if !c.held {
		return c.Conn.Write(p)
	}
	c.out = append(c.out, p...)
	return len(p), nil
}

func (c *burstConn) flush() error {
	_, err := c.Conn.Write(c.out)
	c.out = c.out[:0]
	return err
}

// TestTLSLeftover checks that a record which nobody asked for, and which TLS
// has read already, never becomes the answer to another request.
func TestTLSLeftover(t *testing.T) {
	cert, roots := certificate(t)
	server := listen(t, "127.0.0.1:0", func(conn net.Conn) {
		burst := &burstConn{Conn: conn}
		secure := tls.Server(burst, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}})
		reader := bufio.NewReader(secure)
		if secure.Handshake() != nil || burst.hold() != nil {
			return
		}
		for {
			r, err := http.ReadRequest(reader)
			if err != nil {
				return
			}
			_, _ = fmt.Fprintf(secure, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(r.URL.Path), r.URL.Path)
			_, _ = io.WriteString(secure, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
			_ = burst.flush()
		}
	})
	defer func() { _ = server.Close() }()
	o := dialTo(t, server)
	o.RootCAs = roots
	r := upstream.NewRegistry(o)
	defer r.Close()
	p := start(t, r, upstream.PoolConfig{Name: "tenant", Services: services("https://app.example")}).Pools()[0]
	for i := range 20 {
		want := fmt.Sprintf("/%d", i)
		if _, body, err := do(p, &plainRequest{method: http.MethodGet, path: want}); body != want || err != nil {
			t.Fatalf("GET %s got %q, %v", want, body, err)
		}
	}
}

// TestPanicLeaksNothing checks that a call which panics gives back all it had.
func TestPanicLeaksNothing(t *testing.T) {
	server := listen(t, "127.0.0.1:0", func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	defer func() { _ = server.Close() }()
	o := dialTo(t, server)
	r := upstream.NewRegistry(o)
	defer r.Close()
	p := start(t, r, upstream.PoolConfig{Name: "tenant", Services: services("http://10.0.0.1")}).Pools()[0]
	func() {
		defer func() { _ = recover() }()
		_, _, _ = do(p, &plainRequest{method: http.MethodGet, panics: true})
	}()
	target := p.Targets()[0]
	if target.InFlight.Load() != 0 || target.Client().ConnsCount() != 0 || o.Sweeper.Len() != 0 {
		t.Errorf("%d requests, %d connections, %d sockets are left, want none",
			target.InFlight.Load(), target.Client().ConnsCount(), o.Sweeper.Len())
	}
}

// TestSpareConnection checks that a connection which was dialled for a request
// that had given up is looked at before another one uses it.
func TestSpareConnection(t *testing.T) {
	hold, speak, spoke := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var accepted atomic.Int32
	server := listen(t, "127.0.0.1:0", func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		switch accepted.Add(1) {
		case 1: // serves one slow request, and closes
			_, _ = http.ReadRequest(reader)
			<-hold
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			_ = conn.Close()
			return
		case 2: // the spare one: what HAProxy and Apache send when they tire of it
			<-speak
			_, _ = io.WriteString(conn, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			close(spoke)
		}
		for {
			if _, err := http.ReadRequest(reader); err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	defer func() { _ = server.Close() }()
	o := dialTo(t, server)
	dialled, proceed := make(chan struct{}, 4), make(chan struct{}, 4)
	dial := o.Dial
	proceed <- struct{}{} // the first dial goes through at once
	o.Dial = func(ctx context.Context, kind, address string) (net.Conn, error) {
		dialled <- struct{}{}
		<-proceed
		return dial(ctx, kind, address)
	}
	r := upstream.NewRegistry(o)
	defer r.Close()
	config := upstream.PoolConfig{Name: "tenant", Services: services("http://10.0.0.1")}
	config.Timeouts = upstream.TimeoutsConfig{Connect: settings.Duration(patience)}
	config.Connections = upstream.ConnectionsConfig{
		MaxPerTarget: 1, MaxPending: 10, PendingTimeout: settings.Duration(time.Second),
	}
	p := start(t, r, config).Pools()[0]
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _, _ = do(p, &plainRequest{method: http.MethodGet, path: "/slow"})
	}()
	<-dialled
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		_, _, _ = do(p, &plainRequest{method: http.MethodGet, path: "/waits"})
	}()
	client := p.Targets()[0].Client()
	eventually(t, "two requests", func() bool { return p.Targets()[0].InFlight.Load() == 2 })
	close(hold) // the slot is free, and a connection is dialled for the one that waits
	<-done
	select {
	case <-dialled:
	case <-waited: // it gave up before: nothing to see
		return
	}
	<-waited
	proceed <- struct{}{}
	eventually(t, "a spare connection", func() bool { return client.IdleConnsCount() == 1 })
	speak <- struct{}{}
	<-spoke
	for range 2 {
		proceed <- struct{}{}
	}
	if status, _, err := do(p, &plainRequest{method: http.MethodGet, path: "/mine"}); status != http.StatusOK {
		t.Errorf("got %d, %v: an answer that nobody asked for", status, err)
	}
}

// TestHandedOverConnection hands a connection straight from one request to
// another, which was there before the connection: bytes that follow the first
// one's answer must not become the second one's.
func TestHandedOverConnection(t *testing.T) {
	const body = 16 << 10 // as much as is read at once, so that what follows stays with the system
	var accepted atomic.Int32
	stray := "HTTP/1.1 203 Stray\r\nContent-Length: 0\r\n\r\n"
	begun := make(chan struct{})
	server := listen(t, "127.0.0.1:0", func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		first := accepted.Add(1) == 1
		for {
			if _, err := http.ReadRequest(reader); err != nil {
				return
			}
			if !first {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				continue
			}
			first = false
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", body)
			<-begun // its head has been read
			_, _ = io.WriteString(conn, strings.Repeat("x", body)+stray)
			begun <- struct{}{}
		}
	})
	defer func() { _ = server.Close() }()
	o := dialTo(t, server)
	dialled, proceed := make(chan struct{}, 4), make(chan struct{})
	dial := o.Dial
	o.Dial = func(ctx context.Context, kind, address string) (net.Conn, error) {
		dialled <- struct{}{}
		<-proceed
		return dial(ctx, kind, address)
	}
	r := upstream.NewRegistry(o)
	defer r.Close()
	config := upstream.PoolConfig{Name: "tenant", Services: services("http://10.0.0.1")}
	config.Timeouts = upstream.TimeoutsConfig{Connect: settings.Duration(patience)}
	config.Connections = upstream.ConnectionsConfig{
		MaxPerTarget: 1, MaxPending: 10, PendingTimeout: settings.Duration(patience),
	}
	p := start(t, r, config).Pools()[0]
	handed := make(chan struct{})
	go func() {
		defer close(handed)
		first := newCall(&plainRequest{method: http.MethodGet, path: "/first"})
		if err := first.Do(p); err != nil {
			t.Errorf("the first request: %v", err)
			return
		}
		begun <- struct{}{}
		<-begun
		if got, err := readAll(first); len(got) != body || err != nil {
			t.Errorf("the first request: %d bytes, %v", len(got), err)
		}
	}()
	<-dialled
	second := make(chan int, 1)
	go func() {
		status, _, err := do(p, &plainRequest{method: http.MethodGet, path: "/second"})
		if err != nil {
			t.Errorf("the second request: %v", err)
		}
		second <- status
	}()
	eventually(t, "two requests", func() bool { return p.Targets()[0].InFlight.Load() == 2 })
	close(proceed)
	<-handed
	if status := <-second; status != http.StatusOK {
		t.Errorf("the second request got %d, want 200", status)
	}
}

// TestFailedConnects: which way a connect failed is told apart, since a 504 and
// a 502 say different things to whoever looks for the fault.
func TestFailedConnects(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		dial func(ctx context.Context) error
		want upstream.Reason
	}{
		"refused":   {func(context.Context) error { return syscall.ECONNREFUSED }, upstream.ConnectFailed},
		"timed out": {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, upstream.ConnectTimeout},
	} {
		o := options(newNetwork())
		o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return nil, c.dial(ctx) }
		r := upstream.NewRegistry(o)
		config := upstream.PoolConfig{Name: "tenant", Services: services("http://10.0.0.1")}
		config.Timeouts.Connect = settings.Duration(20 * time.Millisecond)
		_, _, err := do(start(t, r, config).Pools()[0], &plainRequest{method: http.MethodGet, path: "/"})
		failure, _ := errors.AsType[*upstream.Failure](err)
		if failure == nil || failure.Reason != c.want {
			t.Errorf("%s: %v with the reason %v, want %v", name, err, failure, c.want)
		}
		r.Close()
	}
}
