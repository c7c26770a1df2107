package socket_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

func unixPair(t *testing.T, s *socket.Sweeper) (*socket.Conn, net.Conn) {
	t.Helper()
	return pairOn(t, s, "unix", filepath.Join(t.TempDir(), "s"))
}

func tcpPair(t *testing.T, s *socket.Sweeper) (*socket.Conn, net.Conn) {
	t.Helper()
	return pair(t, s)
}

// relay moves n bytes from socket to socket.
func relay(from, to *socket.Conn, n int64) error {
	for n > 0 {
		pipe, err := from.ReadPipe(n)
		if err != nil {
			return err
		}
		n -= int64(pipe.Len())
		if _, err := to.WritePipe(pipe); err != nil {
			return err
		}
	}
	return nil
}

// pattern is bytes of which no two places look alike.
func pattern(n int) []byte {
	p := make([]byte, n)
	x := uint32(1)
	for i := range p {
		x = x*1664525 + 1013904223
		p[i] = byte(x >> 24)
	}
	return p
}

func TestSplice(t *testing.T) {
	const tail = "what comes after"
	sent := pattern(10 << 20)
	pairs := map[string]func(*testing.T, *socket.Sweeper) (*socket.Conn, net.Conn){"tcp": tcpPair, "unix": unixPair}
	for fromName, fromPair := range pairs {
		for toName, toPair := range pairs {
			t.Run(fromName+" to "+toName, func(t *testing.T) {
				s := sweeping(t)
				from, source := fromPair(t, s)
				to, sink := toPair(t, s)
				for _, n := range []int{1, 64<<10 - 1, 64 << 10, 64<<10 + 1, 1 << 20, len(sent)} {
					go func() {
						_, _ = source.Write(sent[:n])
						_, _ = io.WriteString(source, tail)
					}()
					relayed := make(chan error, 1)
					go func() { relayed <- relay(from, to, int64(n)) }()
					got := make([]byte, n)
					if _, err := io.ReadFull(sink, got); err != nil || !bytes.Equal(got, sent[:n]) {
						t.Fatalf("%d bytes: %v, or others arrived", n, err)
					}
					if err := <-relayed; err != nil {
						t.Fatalf("%d bytes: %v", n, err)
					}
					rest := make([]byte, len(tail))
					if _, err := io.ReadFull(readerOf{from}, rest); err != nil || string(rest) != tail {
						t.Fatalf("%d bytes: %q is left, %v", n, rest, err)
					}
				}
				_ = source.Close()
				if pipe, err := from.ReadPipe(1); pipe != nil || err != io.EOF {
					t.Errorf("at the end: %v, %v", pipe, err)
				}
				if idle, open := s.Pipes(); idle != 1 || open != 1 {
					t.Errorf("%d idle pipes, %d open, want one", idle, open)
				}
			})
		}
	}
}

type readerOf struct{ c *socket.Conn }

func (r readerOf) Read(p []byte) (int, error) { return r.c.Read(p) }

// TestSpliceEnds checks what ends a wait, and that a pipe with bytes in it is
// never used again.
func TestSpliceEnds(t *testing.T) {
	s := sweeping(t)
	from, source := pair(t, s)
	to, _ := pair(t, s)
	from.SetReadExpiry(within(time.Millisecond))
	if pipe, err := from.ReadPipe(1); pipe != nil || !errors.Is(err, socket.ErrTimeout) {
		t.Errorf("nothing came: %v, %v", pipe, err)
	}
	if _, open := s.Pipes(); open != 1 {
		t.Errorf("%d pipes open, want 1: none is held by a wait", open)
	}
	from.SetReadExpiry(0)
	to.SetWriteLimits(int64(2*socket.SweepInterval), 0, 0)
	go func() { _, _ = source.Write(make([]byte, 64<<20)) }()
	if err := relay(from, to, 64<<20); !errors.Is(err, socket.ErrTimeout) {
		t.Errorf("write to one who doesn't read: %v", err)
	}
	if _, open := s.Pipes(); open != 0 {
		t.Errorf("%d pipes open, want 0: it was not empty", open)
	}
	cause := errors.New("cause")
	to.SetWriteLimits(0, 0, 0)
	ended := make(chan error)
	go func() { ended <- relay(from, to, 64<<20) }()
	to.Abort(cause)
	if err := <-ended; err != cause {
		t.Errorf("abort of a write: %v", err)
	}
	quiet, _ := pair(t, s)
	go func() { ended <- relay(quiet, from, 1) }()
	quiet.Abort(cause)
	if err := <-ended; err != cause {
		t.Errorf("abort of a read: %v", err)
	}
}

// TestSlowButSteadySplice checks that progress renews the write expiry.
func TestSlowButSteadySplice(t *testing.T) {
	const size = 64 << 20
	s := sweeping(t)
	from, source := pair(t, s)
	to, sink := pair(t, s)
	to.SetWriteLimits(int64(time.Hour), 0, 0)
	go func() { _, _ = source.Write(make([]byte, size)) }()
	relayed := make(chan error, 1)
	go func() {
		err := relay(from, to, size)
		_ = to.CloseWrite()
		relayed <- err
	}()
	slowButSteady(t, to, sink, size)
	if err := <-relayed; err != nil {
		t.Error(err)
	}
}

// TestSpliceRefused checks that no byte is lost on sockets, or kernels, that
// can't splice.
func TestSpliceRefused(t *testing.T) {
	const text = "hello"
	for _, errno := range []syscall.Errno{syscall.EINVAL, syscall.ENOSYS, syscall.EPERM} {
		s := socket.NewSweeper()
		s.SetSplice(func(int, int, int) int { return -int(errno) })
		from, source := pair(t, s)
		_, _ = io.WriteString(source, text)
		if pipe, err := from.ReadPipe(5); pipe != nil || err != socket.ErrNoSplice {
			t.Errorf("%v: %v, %v", errno, pipe, err)
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(readerOf{from}, got); err != nil || string(got) != text {
			t.Errorf("%v: %q, %v", errno, got, err)
		}
		if idle, open := s.Pipes(); idle != 1 || open != 1 {
			t.Errorf("%v: %d idle pipes, %d open, want one", errno, idle, open)
		}
	}
}

// TestSpliceRefusedByReceiver does so where bytes are in the pipe already.
func TestSpliceRefusedByReceiver(t *testing.T) {
	sent := pattern(40_000)
	s := socket.NewSweeper()
	// What is read is put into the pipe by hand; what would be written is refused.
	s.SetSplice(func(from, to, n int) int {
		buf := make([]byte, n)
		got, err := syscall.Read(from, buf)
		if err != nil {
			return -int(syscall.EAGAIN)
		}
		put, _ := syscall.Write(to, buf[:got])
		s.SetSplice(func(int, int, int) int { return -int(syscall.EINVAL) })
		return put
	})
	from, source := pair(t, s)
	to, sink := pair(t, s)
	if _, err := source.Write(sent); err != nil {
		t.Fatal(err)
	}
	pipe, err := from.ReadPipe(int64(len(sent)))
	if err != nil {
		t.Fatal(err)
	}
	held := pipe.Len()
	if n, err := to.WritePipe(pipe); n != held || err != nil {
		t.Errorf("wrote %d of %d: %v", n, held, err)
	}
	got := make([]byte, held)
	if _, err := io.ReadFull(sink, got); err != nil || !bytes.Equal(got, sent[:held]) {
		t.Errorf("%v, or other bytes arrived", err)
	}
	if idle, open := s.Pipes(); idle != 1 || open != 1 {
		t.Errorf("%d idle pipes, %d open, want one", idle, open)
	}
}

func TestSpliceAllocates0(t *testing.T) {
	s := socket.NewSweeper()
	from, source := pair(t, s)
	to, sink := pair(t, s)
	out, in := pattern(128<<10), make([]byte, 128<<10)
	n := measure.Allocations(200, func() {
		if _, err := source.Write(out); err != nil {
			t.Fatal(err)
		}
		if err := relay(from, to, int64(len(out))); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(sink, in); err != nil || !bytes.Equal(in, out) {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("a splice allocates %v times, want 0", n)
	}
}
