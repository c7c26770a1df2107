package streams_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/upstream/streams"
)

// late is a connection whose writes return long after their bytes have arrived,
// where they begin while slow is set.
type late struct {
	net.Conn
	slow atomic.Bool
	free chan struct{} // closed: they return
}

func (l *late) Write(p []byte) (int, error) {
	slow := l.slow.Load()
	n, err := l.Conn.Write(p)
	if slow {
		<-l.free
	}
	return n, err
}

// TestWhatWasSentIsNotAskedAgain: once a target may have a request, only its own
// word that it has done nothing with it lets it be sent again, however the
// connection ends, and however late the write of it returns.
func TestWhatWasSentIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		last  int // of the GOAWAY; -1 is none
		again bool
	}{"none": {-1, false}, "beyond": {0, true}, "within": {1, false}} {
		for _, slow := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, slow %t", name, slow), func(t *testing.T) {
				t.Parallel()
				near, far := pair(t)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				sweeper := socket.NewSweeper()
				go sweeper.Run(ctx)
				sock, err := socket.New(near, sweeper)
				if err != nil {
					t.Fatal(err)
				}
				framer := http2.NewFramer(far, far)
				if err := framer.WriteSettings(); err != nil {
					t.Fatal(err)
				}
				wire := &late{Conn: sock, free: make(chan struct{})}
				conn, err := streams.NewConn(ctx, wire, sock, streams.Options{Most: 10, Idle: patience, WriteIdle: patience})
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if _, err := far.Read(make([]byte, len(http2.ClientPreface))); err != nil {
					t.Fatal(err)
				}
				pinged(t, framer) // so nothing but the request is still to be written
				wire.slow.Store(slow)
				defer close(wire.free)
				if !conn.Reserve() {
					t.Fatal("no room")
				}
				s := streams.Acquire(conn, nil)
				defer s.Release()
				if err := s.Begin([]byte{0x82, 0x86, 0x84}, nil, true, false); err != nil {
					t.Fatal(err)
				}
				for {
					f, err := framer.ReadFrame()
					if err != nil {
						t.Fatal(err)
					}
					if _, ok := f.(*http2.HeadersFrame); ok {
						break
					}
				}
				if c.last >= 0 {
					if err := framer.WriteGoAway(uint32(c.last), http2.ErrCodeNo, nil); err != nil {
						t.Fatal(err)
					}
				}
				_ = far.Close()
				if _, _, err := s.ReadHead(); err == nil || streams.Unprocessed(err) != c.again {
					t.Errorf("%v: taken as unprocessed: %t", err, streams.Unprocessed(err))
				}
			})
		}
	}
}
