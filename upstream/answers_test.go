package upstream_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// TestConnectionsThatAreKept: after which answers the connection may serve
// another request. Where a target may be wrong about where its answer ends, or
// says that it closes, it doesn't: the next answer on it could be anybody's.
func TestConnectionsThatAreKept(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method, answer string
		kept           bool
	}{
		"length":                  {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", true},
		"chunked":                 {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", true},
		"nothing":                 {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true},
		"until close":             {"GET", "HTTP/1.1 200 OK\r\n\r\n", false},
		"close":                   {"GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab", false},
		"1.0":                     {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab", false},
		"1.0, keep-alive":         {"GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nab", true},
		"1.0, both":               {"GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\nContent-Length: 2\r\n\r\nab", false},
		"more than its length":    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc", false},
		"an answer too many":      {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false},
		"interim":                 {"GET", "HTTP/1.1 103 x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", true},
		"204":                     {"GET", "HTTP/1.1 204 x\r\n\r\n", true},
		"204 with a length of 0":  {"GET", "HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n", true},
		"204 with a length":       {"GET", "HTTP/1.1 204 x\r\nContent-Length: 1\r\n\r\n", false},
		"204 with chunks":         {"GET", "HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n", false},
		"205 with a length of 0":  {"GET", "HTTP/1.1 205 x\r\nContent-Length: 0\r\n\r\n", true},
		"304":                     {"GET", "HTTP/1.1 304 x\r\n\r\n", true},
		"304 with a length":       {"GET", "HTTP/1.1 304 x\r\nContent-Length: 1\r\n\r\n", false},
		"HEAD":                    {"HEAD", "HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n", true},
		"HEAD without a length":   {"HEAD", "HTTP/1.1 200 x\r\n\r\n", true},
		"HEAD with a length":      {"HEAD", "HTTP/1.1 200 x\r\nContent-Length: 1\r\n\r\n", false},
		"HEAD with chunks":        {"HEAD", "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n", false},
		"kept for nobody":         {"GET", "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\nContent-Length: 0\r\n\r\n", false},
		"kept for no request":     {"GET", "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=600, max=0\r\nContent-Length: 0\r\n\r\n", false},
		"kept for ten minutes":    {"GET", "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=600, max=1\r\nContent-Length: 0\r\n\r\n", true},
		"kept for who knows what": {"GET", "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=x, max\r\nContent-Length: 0\r\n\r\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var connections atomic.Int32
			server := listen(t, "127.0.0.1:0", func(conn net.Conn) {
				connections.Add(1)
				for in := bufio.NewReader(conn); ; {
					if _, err := http.ReadRequest(in); err != nil {
						return
					}
					if _, err := io.WriteString(conn, c.answer); err != nil || strings.HasSuffix(c.answer, "200 OK\r\n\r\n") {
						return
					}
				}
			})
			defer func() { _ = server.Close() }()
			r := upstream.NewRegistry(dialTo(t, server))
			defer r.Close()
			p := start(t, r, upstream.PoolConfig{Name: "tenant", Services: services("http://10.0.0.1")}).Pools()[0]
			for range 2 {
				if _, _, err := do(p, &plainRequest{method: c.method, path: "/"}); err != nil {
					t.Fatal(err)
				}
			}
			if kept := connections.Load() == 1; kept != c.kept {
				t.Errorf("two requests took %d connections; it is to be kept: %v", connections.Load(), c.kept)
			}
		})
	}
}

// TestInterimAnswers: up to 32 are passed on, one more is a fault of the target.
func TestInterimAnswers(t *testing.T) {
	t.Parallel()
	for n, fails := range map[int]bool{0: false, 1: false, 32: false, 33: true} {
		server := listen(t, "127.0.0.1:0", func(conn net.Conn) {
			readHead(conn)
			_, _ = io.WriteString(conn, strings.Repeat("HTTP/1.1 103 x\r\n\r\n", n)+"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab")
			silent(conn)
		})
		r := upstream.NewRegistry(dialTo(t, server))
		p := start(t, r, upstream.PoolConfig{Name: "tenant", Services: services("http://10.0.0.1")}).Pools()[0]
		_, body, err := do(p, &plainRequest{method: http.MethodGet, path: "/"})
		failure, failed := errors.AsType[*upstream.Failure](err)
		if failed != fails || failed && failure.Reason != upstream.BadResponse || !failed && body != "ab" {
			t.Errorf("%d interim answers: %q, %v", n, body, err)
		}
		r.Close()
		_ = server.Close()
	}
}

// TestTheRequestsOwnTimeEndsEverything: what takes longer than the whole request
// may is given up in each of its phases, whatever the phase itself may take.
func TestTheRequestsOwnTimeEndsEverything(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		payload int
		target  func(net.Conn)
	}{
		"a target that doesn't read":    {64 << 20, func(net.Conn) { <-t.Context().Done() }},
		"a target that doesn't answer":  {0, silent},
		"a target that reads and waits": {memory.LargeBuffer, silent},
		"an answer that doesn't go on":  {0, func(conn net.Conn) { readHead(conn); _, _ = io.WriteString(conn, "HTTP/1.1 200"); silent(conn) }},
		"a body that doesn't go on": {0, func(conn net.Conn) {
			readHead(conn)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na")
			silent(conn)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := listen(t, "127.0.0.1:0", c.target)
			defer func() { _ = server.Close() }()
			r := upstream.NewRegistry(dialTo(t, server))
			defer r.Close()
			p := start(t, r, upstream.PoolConfig{Name: "tenant", Services: services("http://10.0.0.1")}).Pools()[0]
			call := newCall(&plainRequest{method: http.MethodPost, path: "/"})
			call.Payload = make([]byte, c.payload)
			call.Timeouts = upstream.Timeouts{Connect: time.Hour, ResponseHeader: time.Hour, Idle: time.Hour, Total: time.Second, TotalKey: "total"}
			call.Expiry = socket.Nanotime() + int64(time.Second)
			err := call.Do(p)
			if err == nil { // the head is there: what follows is the caller's to read
				for err == nil {
					call.Conn.Sock.SetReadExpiry(upstream.Expiry(time.Hour, call.Expiry))
					_, err = call.Body.Next()
				}
				call.End(false)
				if !errors.Is(err, socket.ErrTimeout) {
					t.Errorf("the body: %v", err)
				}
				return
			}
			failure, is := errors.AsType[*upstream.Failure](err)
			if !is || failure.Reason != upstream.ResponseTimeout || call.Attempts != 1 {
				t.Errorf("got %v after %d attempts, want a time-out after one", err, call.Attempts)
			}
			if socket.Nanotime() < call.Expiry {
				t.Error("it was given up early")
			}
		})
	}
}

// TestEachAttemptIsCounted: what a call is told of the connection it had.
func TestEachAttemptIsCounted(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	server := listen(t, "127.0.0.1:0", func(conn net.Conn) {
		in := bufio.NewReader(conn)
		for {
			if _, err := http.ReadRequest(in); err != nil || requests.Add(1) == 2 {
				return // the second one is lost
			}
			_, _ = fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	defer func() { _ = server.Close() }()
	r := upstream.NewRegistry(dialTo(t, server))
	defer r.Close()
	p := start(t, r, upstream.PoolConfig{Name: "tenant", Services: services("http://10.0.0.1")}).Pools()[0]
	for i, want := range []int{1, 2, 1} {
		call := newCall(&plainRequest{method: http.MethodGet, path: "/"})
		if err := call.Do(p); err != nil {
			t.Fatal(err)
		}
		if _, err := readAll(call); err != nil {
			t.Fatal(err)
		}
		if call.Attempts != want || call.Conn != nil {
			t.Errorf("request %d: %d attempts, want %d; the connection is still there: %v", i, call.Attempts, want, call.Conn != nil)
		}
		if fresh := i == 0 || i == 1; (call.ConnectTime > 0) != fresh {
			t.Errorf("request %d took %v to connect; it has connected: %v", i, call.ConnectTime, fresh)
		}
	}
}
