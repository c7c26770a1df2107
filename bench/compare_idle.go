//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// idleConnections are open at once, where files suffice.
const idleConnections = 10_000

// idleTime is how long nothing happens before memory is read.
const idleTime = 3 * time.Second

// The figures of idle connections.
const (
	metricIdleEach  = "RSS per connection"
	metricIdleAll   = "RSS with all of them"
	metricIdleNone  = "RSS before"
	metricIdleCount = "connections"
)

// idle opens connections, sends one request on each, and looks at what the
// proxy keeps for them.
func idle(ctx context.Context, l *lab, r *running) (sample, error) {
	n := l.mostIdle()
	before, _ := memoryOf(tree(r.pid()))
	requests := requestsTo(r.work.hosts, "/")
	conns, err := openIdle(ctx, r, requests.heads(), n)
	defer func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	pause(ctx, idleTime)
	after, _ := memoryOf(tree(r.pid()))
	if err := stillOpen(conns); err != nil {
		return nil, err
	}
	return sample{
		metricIdleEach: (after - before) / 1e3 / float64(n), metricIdleAll: after / 1e6, metricIdleNone: before / 1e6,
		metricIdleCount: float64(n),
	}, ctx.Err()
}

// mostIdle is fewer where files are short: HAProxy counts two for each
// connection, whether or not it has one to the upstream.
func (l *lab) mostIdle() int {
	const spare = 300
	return int(min(idleConnections, max(int64(l.files)/2-spare, 100))) //nolint:gosec // G115: a limit of files
}

// openIdle opens n connections, 64 at a time.
func openIdle(ctx context.Context, r *running, heads [][]byte, n int) (conns []net.Conn, err error) {
	var mu sync.Mutex
	var workers sync.WaitGroup
	for worker := range 64 {
		workers.Go(func() {
			for i := worker; i < n; i += 64 {
				conn, failed := openOne(ctx, r.address.String(), heads[i%len(heads)])
				mu.Lock()
				if conn != nil {
					conns = append(conns, conn)
				}
				if err == nil { // one says enough
					err = failed
				}
				stop := err != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	workers.Wait()
	return conns, err
}

// openOne may return a connection with the error.
func openOne(ctx context.Context, address string, head []byte) (net.Conn, error) {
	conn, kept, err := askOnce(ctx, address, head)
	if err == nil && !kept {
		err = errors.New("the connection is not kept after a request that doesn't ask for its end")
	}
	return conn, err
}

// askOnce sends one request on a connection of its own, and says whether that
// is kept. It may return a connection with the error.
func askOnce(ctx context.Context, address string, head []byte) (conn net.Conn, kept bool, err error) {
	dialer := net.Dialer{Timeout: 10 * time.Second}
	if conn, err = dialer.DialContext(ctx, "tcp4", address); err != nil {
		return nil, false, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // no port is left in TIME_WAIT
	}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err = conn.Write(head); err != nil {
		return conn, false, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return conn, false, err
	}
	if response.StatusCode != http.StatusOK {
		return conn, false, fmt.Errorf("got status %d, expected 200", response.StatusCode)
	}
	if _, err = io.Copy(io.Discard, response.Body); err != nil {
		return conn, false, err
	}
	return conn, !response.Close, response.Body.Close()
}

// stillOpen demands that no connection was closed while it was idle.
func stillOpen(conns []net.Conn) error {
	closed := 0
	for _, conn := range conns {
		raw, ok := conn.(syscall.Conn)
		if !ok {
			return errors.New("BUG: a TCP connection without a descriptor")
		}
		control, err := raw.SyscallConn()
		if err != nil {
			return err
		}
		err = control.Control(func(fd uintptr) {
			var one [1]byte
			_, _, err := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
			if !errors.Is(err, unix.EAGAIN) {
				closed++
			}
		})
		if err != nil {
			return err
		}
	}
	if closed > 0 {
		return fmt.Errorf("%d of %d idle connections were closed, expected none", closed, len(conns))
	}
	return nil
}
