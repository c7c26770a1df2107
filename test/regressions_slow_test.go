package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/test/raw"
)

// rawUpstream leaves each connection to what it is given.
var rawUpstream = raw.Serve

// TestEarlyAnswer: what a target says before it was asked is seen at once, and
// the connection serves nobody else.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	upstream := rawUpstream(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
	})
	g := startGateway(t, simpleConfig(upstream))
	for range 20 {
		conn := dial(t, g.address)
		if answer := conn.exchange(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); answer.status != 503 && answer.status != 502 {
			t.Errorf("%d", answer.status)
		}
		_ = conn.Close()
	}
}

// TestSteadySlowReader: whoever takes something all the time isn't idle, for
// how much longer than write_idle it may take. How little is something,
// TestSlowButSteady of package socket has.
func TestSteadySlowReader(t *testing.T) {
	t.Parallel()
	const idle = 8 * time.Second
	upstream := serveFunc(t, func(w http.ResponseWriter, _ *http.Request) { // without end
		for chunk := make([]byte, 64<<10); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	g := startGateway(t, fmt.Sprintf("server:\n  min_rate: 0\n  timeouts: {write_idle: %v}\n", idle)+simpleConfig(upstream))
	steady, idler := dial(t, g.address), dial(t, g.address)
	steady.send(t, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	every(t, 20*time.Millisecond, func() {
		if n, err := io.CopyN(io.Discard, steady, 64<<10); err != nil { // at most 3 MB/s: the gateway waits most of the time
			t.Errorf("got %d bytes, %v", n, err)
		}
	})
	idler.send(t, "GET /idler HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	g.logged(t, `"path":"/idler"`, `"error":"client_write_timeout"`) // who takes nothing has had its time
}

// TestHalfClosedPause: a half-closed client that pauses in its download keeps
// it. What it gets afterwards lies with the system by then: a target that takes
// its time would be another matter.
func TestHalfClosedPause(t *testing.T) {
	t.Parallel()
	const size = 1 << 20 // more than the client's side takes, less than both do
	written := make(chan struct{})
	upstream := rawUpstream(t, func(conn net.Conn) {
		_, _ = readHead(bufio.NewReader(conn))
		_ = conn.(*net.TCPConn).SetWriteBuffer(2 * size)
		_, _ = io.WriteString(conn, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)+strings.Repeat("x", size))
		close(written)
		_, _ = io.Copy(io.Discard, conn)
	})
	g := startGateway(t, "server:\n  timeouts: {half_close: 2s}\n"+simpleConfig(upstream)+clock(t, 3*time.Second))
	conn := connectSmall(t, g.address)
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	_ = conn.CloseWrite()
	<-written
	g.pass(t) // the pause that this is about
	if n, err := io.Copy(io.Discard, conn); n < size {
		t.Errorf("got %d bytes of %d, %v", n, size, err)
	}
}

// connectSmall is connect for a client whose system takes little before it is
// read.
func connectSmall(t *testing.T, address string) *client {
	t.Helper()
	c, err := open(&net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 64<<10)
		})
	}}, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

// TestClippedConnect: a request whose own time is nearly up must not take its
// target down for others.
func TestClippedConnect(t *testing.T) {
	t.Parallel()
	upstream := rawUpstream(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }) // TLS whose handshake doesn't end
	g := startGateway(t, "tenants:\n  - {name: a, path_prefix: /, timeouts: {total: 3s, connect: 1m}, services: [{name: main, url: \"https://"+upstream+"\"}]}"+clock(t, time.Second))
	conn := dial(t, g.address)
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n")
	g.pass(t) // a part of its time is gone before it connects
	_, _ = io.WriteString(conn, "x")
	answer, err := readResponse(conn.reader, "POST")
	if err != nil || answer.status != 504 {
		t.Errorf("%v, %v; want 504", answer, err)
	}
	if strings.Contains(g.output.String(), "it is unhealthy") {
		t.Error("the target was marked")
	}
}

// TestConversation: a client that only waits for the target's next word isn't
// slow, however long that takes.
func TestConversation(t *testing.T) {
	t.Parallel()
	const words, idle = 3, 4 * time.Second
	proceed := make(chan struct{})
	upstream := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		heard := bufio.NewReader(r.Body)
		for i := range words {
			if i > 0 {
				select {
				case <-proceed:
				case <-r.Context().Done():
					return
				}
			}
			_, _ = fmt.Fprintf(w, "word %d\n", i)
			_ = control.Flush()
			if _, err := heard.ReadString('\n'); err != nil {
				return
			}
		}
	})
	g := startGateway(t, fmt.Sprintf("server:\n  min_rate: 1000\n  timeouts: {body_idle: %v}\n", idle)+simpleConfig(upstream)+clock(t, idle+time.Second))
	conn := dial(t, g.address)
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	reader := conn.reader
	head, err := readHead(reader)
	if err != nil || !strings.Contains(head.start, " 200 ") {
		t.Fatal(head, err)
	}
	for i := range words {
		if i > 0 {
			g.pass(t) // body_idle, while the target has the word
			proceed <- struct{}{}
		}
		for want := fmt.Sprintf("word %d", i); ; {
			line, err := reader.ReadString('\n')
			if err != nil {
				t.Fatalf("word %d: %v", i, err)
			}
			if strings.Contains(line, want) {
				break
			}
		}
		_, _ = io.WriteString(conn, "1\r\n\n\r\n")
	}
}

// TestDrainHasABound: what is left of a refused body is read for a moment only.
func TestDrainHasABound(t *testing.T) {
	t.Parallel()
	g := startGateway(t, simpleConfig("127.0.0.1:1", "    domains: [other.example]"))
	conn := dial(t, g.address)
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n")
	every(t, 100*time.Millisecond, func() { _, _ = io.WriteString(conn, "x") })
	g.logged(t, `"error":"no_tenant"`)
	eventually(t, patience, "the request has ended", func() bool { return inFlight(t, g) == 0 })
}

// TestTunnelIsCounted: the access log has what went through a tunnel.
func TestTunnelIsCounted(t *testing.T) {
	t.Parallel()
	upstream := rawUpstream(t, func(conn net.Conn) {
		if _, err := readHead(bufio.NewReader(io.LimitReader(conn, 1<<16))); err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello")
		_, _ = io.Copy(io.Discard, conn)
	})
	g := startGateway(t, simpleConfig(upstream))
	conn := dial(t, g.address)
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
	reader := conn.reader
	if head, err := readHead(reader); err != nil || !strings.Contains(head.start, " 101 ") {
		t.Fatal(head, err)
	}
	_, _ = io.WriteString(conn, strings.Repeat("x", 1000))
	expectBytes(t, reader, "hello")
	_ = conn.CloseWrite()
	_, _ = io.Copy(io.Discard, reader)
	g.logged(t, `"status":101`, `"bytes_in":1000`, `"bytes_out":5`)
}

// TestBlameless: an aborted request is no failure of its target.
func TestBlameless(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 1)
	upstream := serveFunc(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	g := startGateway(t, simpleConfig(upstream))
	conn := dial(t, g.address)
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-arrived
	conn.reset()
	g.logged(t, `"status":499`, `"attempts":1`)
	response, err := http.Get("http://" + g.admin + "/admin/tenants/simple/health") // #nosec G107 -- the gateway of this test
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if body, _ := io.ReadAll(response.Body); !strings.Contains(string(body), `"failures": 0`) {
		t.Errorf("%s", body)
	}
}
