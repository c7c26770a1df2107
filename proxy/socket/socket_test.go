package socket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

const patience = time.Minute

// pair returns both ends of a TCP connection, the first one wrapped.
func pair(t *testing.T, s *socket.Sweeper) (*socket.Conn, *net.TCPConn) {
	t.Helper()
	c, peer := pairOn(t, s, "tcp", "127.0.0.1:0")
	return c, peer.(*net.TCPConn)
}

// pairOn is pair for any kind of socket.
func pairOn(t *testing.T, s *socket.Sweeper, network, address string) (*socket.Conn, net.Conn) {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	peer, err := net.Dial(network, listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c, err := socket.New(accepted, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.Close(), peer.Close() })
	if err := peer.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c, peer
}

// sweeping runs the sweeper until the test ends.
func sweeping(t *testing.T) *socket.Sweeper {
	t.Helper()
	s := socket.NewSweeper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return s
}

func within(d time.Duration) int64 { return socket.Nanotime() + int64(d) }

func TestReadWrite(t *testing.T) {
	c, peer := pair(t, sweeping(t))
	if _, err := peer.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	if n, err := c.Read(buf); n != 5 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	big := bytes.Repeat([]byte("0123456789"), 1_000_000) // more than the socket's buffers hold
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = c.WriteVec(big[:10], big[10:5_000_000], big[5_000_000:])
	}()
	got, err := io.ReadAll(io.LimitReader(peer, int64(len(big))))
	if err != nil || !bytes.Equal(got, big) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	<-written
	go func() { _, _ = c.Write(big); _ = c.CloseWrite() }()
	if got, err = io.ReadAll(peer); err != nil || !bytes.Equal(got, big) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	_ = peer.Close()
	if _, err := c.Read(buf); err != io.EOF {
		t.Errorf("read at the end: %v", err)
	}
}

func TestReadLazily(t *testing.T) {
	c, peer := pair(t, sweeping(t))
	held, most := 0, 0
	acquire := func() []byte { held++; most = max(most, held); return make([]byte, 16) }
	release := func([]byte) { held-- }
	parked := make(chan struct{})
	result := make(chan string)
	go func() {
		close(parked)
		buf, n, err := c.ReadLazily(acquire, release)
		if err != nil {
			result <- err.Error()
			return
		}
		result <- string(buf[:n])
	}()
	<-parked
	if _, err := peer.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if got := <-result; got != "x" || held != 1 || most != 1 {
		t.Errorf("got %q, %d buffers held, %d at most", got, held, most)
	}
	_ = peer.Close()
	if buf, n, err := c.ReadLazily(acquire, release); buf != nil || n != 0 || err != io.EOF || held != 1 {
		t.Errorf("at the end: %v, %d, %v, %d held", buf, n, err, held)
	}
}

// sendReceive returns what was read as text.
func sendReceive(c *socket.Conn, out []byte, kept bool) (written int, got string, err error) {
	written, buf, n, err := c.SendReceive(out, func() []byte { return make([]byte, 100) }, func([]byte) {}, kept)
	if (buf == nil) != (n == 0) {
		return written, "", fmt.Errorf("a buffer of %d bytes with %d in it", len(buf), n)
	}
	return written, string(buf[:n]), err
}

func TestSendReceive(t *testing.T) {
	c, peer := pair(t, sweeping(t))
	c.SetReadExpiry(within(patience))
	for _, size := range []int{10, 8_000_000} { // within and beyond the socket's buffers
		out := bytes.Repeat([]byte("o"), size)
		go func() {
			_, _ = io.CopyN(io.Discard, peer, int64(size))
			_, _ = peer.Write([]byte("answer"))
		}()
		written, got, err := sendReceive(c, out, true)
		if written != size || got != "answer" || err != nil {
			t.Errorf("%d: wrote %d, got %q, %v", size, written, got, err)
		}
	}
	_ = peer.SetLinger(0)
	_ = peer.Close()
	eventually(t, "the reset has arrived", func() bool { return c.Peer() == socket.PeerGone })
	if written, _, err := sendReceive(c, []byte("x"), false); written != 0 || err == nil {
		t.Errorf("after a reset: wrote %d, %v", written, err)
	}
}

// TestSendReceiveStale checks that what was there before the request is never
// its answer on a kept connection, and is found at once on a new one.
func TestSendReceiveStale(t *testing.T) {
	c, peer := pair(t, sweeping(t))
	c.SetReadExpiry(within(patience))
	if _, err := peer.Write([]byte("early")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has arrived", func() bool { return !c.Quiet() })
	if written, got, err := sendReceive(c, []byte("x"), true); written != 0 || got != "" || !errors.Is(err, socket.ErrStale) {
		t.Errorf("kept: wrote %d, read %q, %v", written, got, err)
	}
	if written, got, err := sendReceive(c, []byte("x"), false); written != 1 || got != "early" || err != nil || !c.Early() {
		t.Errorf("new: wrote %d, read %q, %v", written, got, err)
	}
}

func TestExpiry(t *testing.T) {
	c, peer := pair(t, sweeping(t))
	c.SetReadExpiry(within(time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, socket.ErrTimeout) {
		t.Errorf("read: %v", err)
	}
	c.SetReadExpiry(within(patience)) // usable again
	if _, err := peer.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("read after a time-out: %d, %v", n, err)
	}
	c.SetWriteLimits(int64(2*socket.SweepInterval), 0, 0)
	if n, err := c.Write(make([]byte, 64<<20)); !errors.Is(err, socket.ErrTimeout) || n == 0 {
		t.Errorf("write to one who doesn't read: %d, %v", n, err)
	}
	var netErr net.Error
	if !errors.As(socket.ErrTimeout, &netErr) || !netErr.Timeout() {
		t.Error("ErrTimeout is no time-out to package net")
	}
}

// slowButSteady has peer take what a writer sends piece by piece: each time the
// writer's expiry has to be renewed, so that it is never further away than the
// write limit from the last time that something was taken. Pieces are much
// smaller than a socket's buffer, of which by itself the system tells when a
// third of it is free.
func slowButSteady(t *testing.T, c *socket.Conn, peer io.Reader, size int64) {
	t.Helper()
	const piece = 512 << 10
	var last, total int64
	for range 20 {
		eventually(t, "the writer waits with a new expiry", func() bool {
			expiry := c.WriteExpiry()
			renewed := expiry > last
			last = expiry
			return renewed
		})
		n, err := io.CopyN(io.Discard, peer, piece)
		if total += n; err != nil {
			t.Fatalf("%d bytes of %d: %v", total, size, err)
		}
	}
	rest, err := io.Copy(io.Discard, peer)
	if total+rest != size || err != nil {
		t.Errorf("%d bytes of %d: %v", total+rest, size, err)
	}
}

// TestSlowButSteady checks that progress renews the write expiry.
func TestSlowButSteady(t *testing.T) {
	const size = 64 << 20
	c, peer := pair(t, sweeping(t))
	c.SetWriteLimits(int64(time.Hour), 0, 0)
	done := make(chan error, 1)
	go func() {
		_, err := c.Write(make([]byte, size))
		_ = c.CloseWrite()
		done <- err
	}()
	slowButSteady(t, c, peer, size)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAbort(t *testing.T) {
	cause := errors.New("cause")
	c, peer := pair(t, sweeping(t))
	got := make(chan error)
	go func() {
		_, err := c.Read(make([]byte, 1))
		got <- err
	}()
	c.Abort(cause)
	c.Abort(errors.New("another"))
	if err := <-got; err != cause {
		t.Errorf("read: %v", err)
	}
	if _, err := c.Write([]byte("x")); err != cause || c.Aborted() != cause {
		t.Errorf("write: %v, aborted by %v", err, c.Aborted())
	}
	c.ClearAbort()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Errorf("write when cleared: %v", err)
	}
	if n, err := peer.Read(make([]byte, 9)); n != 1 || err != nil {
		t.Errorf("the peer read %d, %v", n, err)
	}
}

func TestPeerAndQuiet(t *testing.T) {
	c, peer := pair(t, sweeping(t))
	if c.Peer() != socket.PeerOpen || !c.Quiet() {
		t.Error("a fresh connection isn't open and quiet")
	}
	_, _ = peer.Write([]byte("x"))
	eventually(t, "it is not quiet", func() bool { return !c.Quiet() })
	_ = peer.CloseWrite()
	eventually(t, "the end is seen behind unread data", func() bool { return runtime.GOOS != "linux" || c.Peer() == socket.PeerFinished })
}

// sweptFunc is a function as socket.Swept.
type sweptFunc func(now int64)

func (f sweptFunc) Sweep(now int64) { f(now) }

func TestSweeperForgetsClosed(t *testing.T) {
	s := sweeping(t)
	c, _ := pair(t, s)
	d, _ := pair(t, s)
	swept := make(chan int64, 1)
	var told socket.Swept = sweptFunc(func(now int64) {
		select {
		case swept <- now:
		default:
		}
	})
	d.OnSweep(&told)
	<-swept
	if s.Len() != 2 {
		t.Errorf("%d connections, want 2", s.Len())
	}
	_ = c.Close()
	_ = c.Close()
	_ = d.Reset()
	if s.Len() != 0 {
		t.Errorf("%d connections after closing, want 0", s.Len())
	}
}

func TestNewRefusesOthers(t *testing.T) {
	a, b := net.Pipe()
	defer func() { _, _ = a.Close(), b.Close() }()
	if _, err := socket.New(a, socket.NewSweeper()); err == nil {
		t.Error("a pipe was wrapped")
	}
}

func TestReadWriteAllocate0(t *testing.T) {
	c, peer := pair(t, socket.NewSweeper())
	in, out := make([]byte, 64), []byte("ping")
	n := measure.Allocations(200, func() {
		c.SetReadExpiry(within(patience))
		if _, err := c.Write(out); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(peer, in[:4]); err != nil {
			t.Fatal(err)
		}
		if _, err := peer.Write(out); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(in); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("a write and a read allocate %v times, want 0", n)
	}
}

var eventually = until.True
