package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// rawUpstream accepts connections and leaves them to serve.
func rawUpstream(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				_ = conn.SetDeadline(time.Now().Add(patience))
				serve(conn)
			}()
		}
	}()
	return listener.Addr().String()
}

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
		conn := connect(t, g.address)
		if answer := exchangeOn(t, conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); answer.status != 503 && answer.status != 502 {
			t.Errorf("%d", answer.status)
		}
		_ = conn.Close()
	}
}

// TestSteadySlowReader: whoever takes something all the time isn't idle.
func TestSteadySlowReader(t *testing.T) {
	t.Parallel()
	const size = 4 << 20
	upstream := serveFunc(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, size)) })
	g := startGateway(t, "server:\n  timeouts: {write_idle: 700ms}\n"+simpleConfig(upstream))
	conn := connect(t, g.address)
	_ = conn.(*net.TCPConn).SetReadBuffer(16 << 10)
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	total, buf := 0, make([]byte, 16<<10)
	ticker := time.NewTicker(10 * time.Millisecond) // at most 1.6 MB/s, some 2.6 s in all
	defer ticker.Stop()
	for {
		n, err := conn.Read(buf)
		if total += n; err != nil {
			break
		}
		<-ticker.C
	}
	if total < size {
		t.Errorf("got %d bytes of %d", total, size)
	}
}

// TestHalfClosedPause: a half-closed client that pauses in its download keeps it.
func TestHalfClosedPause(t *testing.T) {
	t.Parallel()
	const size = 16 << 20
	upstream := serveFunc(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, size)) })
	g := startGateway(t, "server:\n  timeouts: {half_close: 100ms}\n"+simpleConfig(upstream))
	conn := connect(t, g.address)
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	_ = conn.(*net.TCPConn).CloseWrite()
	time.Sleep(time.Second) // the pause that this is about
	if n, _ := io.Copy(io.Discard, conn); n < size {
		t.Errorf("got %d bytes of %d", n, size)
	}
}

// TestClippedConnect: a request whose own time is nearly up must not take its
// target down for others.
func TestClippedConnect(t *testing.T) {
	t.Parallel()
	var slow atomic.Bool
	upstream := rawUpstream(t, func(net.Conn) { // TLS whose handshake takes its time, and fails
		if slow.Load() {
			time.Sleep(300 * time.Millisecond)
		}
	})
	g := startGateway(t, "tenants:\n  - {name: a, path_prefix: /, timeouts: {total: 700ms, connect: 5s}, services: [{name: main, url: \"https://"+upstream+"\"}]}\n")
	slow.Store(true)
	conn := connect(t, g.address)
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n")
	time.Sleep(600 * time.Millisecond) // so that 100 ms are left for connecting
	_, _ = io.WriteString(conn, "x")
	answer, err := readResponse(bufio.NewReader(conn), "POST")
	if err != nil || answer.status != 504 {
		t.Errorf("%v, %v; want 504", answer, err)
	}
	if strings.Contains(g.output.String(), "target is unhealthy") {
		t.Error("the target was marked")
	}
}

// TestConversation: a client that only waits for the target's next word isn't
// slow, however long that takes.
func TestConversation(t *testing.T) {
	t.Parallel()
	const words = 3
	upstream := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		heard := bufio.NewReader(r.Body)
		for i := range words {
			if i > 0 {
				time.Sleep(1500 * time.Millisecond)
			}
			_, _ = fmt.Fprintf(w, "word %d\n", i)
			_ = control.Flush()
			if _, err := heard.ReadString('\n'); err != nil {
				return
			}
		}
	})
	g := startGateway(t, "server:\n  min_rate: 1000\n  timeouts: {body_idle: 700ms}\n"+simpleConfig(upstream))
	conn := connect(t, g.address)
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	reader := bufio.NewReader(conn)
	head, err := readHead(reader)
	if err != nil || !strings.Contains(head.start, " 200 ") {
		t.Fatal(head, err)
	}
	for i := range words {
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
	conn := connect(t, g.address)
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
	conn := connect(t, g.address)
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
	reader := bufio.NewReader(conn)
	if head, err := readHead(reader); err != nil || !strings.Contains(head.start, " 101 ") {
		t.Fatal(head, err)
	}
	_, _ = io.WriteString(conn, strings.Repeat("x", 1000))
	expectBytes(t, reader, "hello")
	_ = conn.(*net.TCPConn).CloseWrite()
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
	conn := connect(t, g.address)
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-arrived
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
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
