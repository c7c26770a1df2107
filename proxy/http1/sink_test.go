package http1_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// sinkTo is a sink to a peer that takes nothing.
func sinkTo(t *testing.T) *http1.Sink {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	plain, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	sweeper := socket.NewSweeper()
	ctx, cancel := context.WithCancel(context.Background())
	go sweeper.Run(ctx)
	sock, err := socket.New(plain, sweeper)
	if err != nil {
		t.Fatal(err)
	}
	giveUp := time.AfterFunc(time.Minute, func() { _ = sock.Close() })
	t.Cleanup(func() { giveUp.Stop(); _, _ = sock.Close(), peer.Close(); cancel() })
	return &http1.Sink{Conn: sock, Sock: sock, Busy: new(atomic.Bool)}
}

// TestSinkKeepsItsTimes: each of the bounds of a sink ends what its peer doesn't
// take, and a sink that is done is bounded by none.
func TestSinkKeepsItsTimes(t *testing.T) {
	t.Parallel()
	for name, bound := range map[string]func(*http1.Sink){
		"idle":  func(s *http1.Sink) { s.Idle = 300 * time.Millisecond },
		"total": func(s *http1.Sink) { s.Total = socket.Nanotime() + int64(300*time.Millisecond) },
		"both":  func(s *http1.Sink) { s.Idle, s.Total = time.Hour, socket.Nanotime()+int64(300*time.Millisecond) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sinkTo(t)
			bound(s)
			if err := s.Write(make([]byte, 64<<20)); !errors.Is(err, socket.ErrTimeout) || !errors.Is(s.Err, socket.ErrTimeout) || s.Busy.Load() {
				t.Errorf("got %v, %v, busy %v; want a time-out", err, s.Err, s.Busy.Load())
			}
		})
	}
}

// TestWhatIsSpliced: only plain content that isn't framed anew goes through a pipe.
func TestWhatIsSpliced(t *testing.T) {
	t.Parallel()
	donor := httptest.NewTLSServer(nil)
	defer donor.Close()
	for _, secure := range []bool{false, true} {
		for _, chunked := range []bool{false, true} {
			p := http1.Pump{Sink: *sinkTo(t), Chunked: chunked}
			if secure {
				p.Conn = io.Writer(tls.Server(p.Sock, donor.TLS))
			}
			if got := p.Splices(); got != (!secure && !chunked) {
				t.Errorf("TLS %v, chunked %v: splices %v", secure, chunked, got)
			}
		}
	}
}
