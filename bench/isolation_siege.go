//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// siege is clients that hold what they can: each opens a connection, sends its
// request but for the end or takes its answer slowly, and tries again a while
// after it was refused or dropped. It is about what they hold: so many at once
// that only copying what they send kept the machine busy would measure that.
type siege struct {
	connections     int
	method, path    string
	announced, sent int  // bytes of the body
	drip            bool // a byte every 10 s after that
	sip             bool // 2 kB of the answer every 5 s
}

const (
	// siegeRate is how many connections are opened a second.
	siegeRate = 400
	// siegePause is how long a client waits before it tries again.
	siegePause = 10 * time.Second
	// siegeTime is how long a siege lasts at least.
	siegeTime = 10 * time.Second
)

// run goes on until ctx is done.
func (s *siege) run(ctx context.Context, address, host string) (h harm) {
	h.Due = int64(s.connections)
	request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n", s.method, s.path, host)
	if s.announced > 0 {
		request += fmt.Sprintf("Content-Length: %d\r\n", s.announced)
	}
	out := []byte(request + "\r\n" + strings.Repeat("x", s.sent))
	began := time.Now()
	var wait sync.WaitGroup
	for range s.connections {
		if ctx.Err() != nil {
			break
		}
		wait.Go(func() {
			for ctx.Err() == nil {
				s.once(ctx, address, out)
				pause(ctx, siegePause)
			}
		})
		h.Done++
		pause(ctx, time.Until(began.Add(time.Duration(h.Done)*time.Second/siegeRate)))
	}
	wait.Wait()
	return h
}

// once is one connection, until it ends.
func (s *siege) once(ctx context.Context, address string, out []byte) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer func() { _ = conn.Close() }()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4096)
		_ = tcp.SetLinger(0)
	}
	_ = conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write(out); err != nil {
		return
	}
	if s.sip {
		buf := make([]byte, 2000)
		for err == nil && ctx.Err() == nil {
			_, err = conn.Read(buf)
			pause(ctx, 5*time.Second)
		}
		return
	}
	if s.drip {
		go func() {
			for ctx.Err() == nil {
				pause(ctx, 10*time.Second)
				if _, err := conn.Write([]byte("x")); err != nil {
					return
				}
			}
		}()
	}
	_, _ = io.Copy(io.Discard, conn) // the refusal, if there is one
}
