package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// serveFunc starts an upstream with that handler and returns its host:port.
func serveFunc(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: patience}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}

func simpleConfig(address string, lines ...string) string {
	return "tenants:\n  - name: simple\n    path_prefix: /\n    services: [{name: main, url: \"http://" + address + "\"}]\n" +
		strings.Join(lines, "\n")
}

// TestDrain checks that SIGTERM lets a request and a tunnel finish, ends
// keep-alive with Connection: close, and refuses new connections.
func TestDrain(t *testing.T) {
	arrived, proceed := make(chan struct{}, 2), make(chan struct{})
	upstream := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			defer func() { _ = conn.Close() }()
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			_, _ = io.Copy(conn, rw)
			return
		}
		if r.URL.Path == "/slow" {
			arrived <- struct{}{}
			<-proceed
		}
		_, _ = io.WriteString(w, "done")
	})
	g := startGateway(t, simpleConfig(upstream))
	slow, tunnel := dial(t, g.address), dial(t, g.address)
	_, _ = io.WriteString(slow, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	<-arrived
	_, _ = io.WriteString(tunnel, "GET /t HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nping")
	if head, err := readHead(tunnel.reader); err != nil || !strings.Contains(head.start, " 101 ") {
		t.Fatalf("no tunnel: %v, %v", head, err)
	}
	expectBytes(t, tunnel, "ping")

	if err := g.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "new connections are refused", func() bool {
		conn, err := net.Dial("tcp", g.address)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	_, _ = io.WriteString(tunnel, "still")
	expectBytes(t, tunnel, "still")
	close(proceed)
	answer := slow.answer(t, "GET")
	if string(answer.body) != "done" {
		t.Errorf("the request in progress got %q", answer.body)
	}
	if got := valuesOf(answer.fields, "connection"); len(got) != 1 || got[0] != "close" {
		t.Errorf("Connection: %q, want close", got)
	}
	select {
	case <-g.exited:
		t.Error("the gateway ended before the tunnel did")
	default:
	}
	_ = tunnel.Close()
	await(t, "the gateway ends after all has finished", g.exited)
}

// TestDrainTimeout checks that what doesn't finish is cut, and that the exit
// code is 0 all the same.
func TestDrainTimeout(t *testing.T) {
	arrived := make(chan struct{}, 1)
	upstream := serveFunc(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	g := startGateway(t, "server:\n  drain_timeout: 300ms\n"+simpleConfig(upstream))
	conn := dial(t, g.address)
	_, _ = io.WriteString(conn, "GET /never HTTP/1.1\r\nHost: a\r\n\r\n")
	<-arrived
	began := time.Now()
	g.stop(t)
	if took := time.Since(began); took >= 30*time.Second {
		t.Errorf("the end took %v, as by default", took)
	}
}

// TestBadReload checks that a bad file changes nothing and is reported with
// file, line and column, and that a good one after it counts.
func TestBadReload(t *testing.T) {
	upstream := serveFunc(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) })
	g := startGateway(t, simpleConfig(upstream))
	status := func(path string) int {
		response, err := http.Get("http://" + g.address + path) // #nosec G107 -- the gateway of this test
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	g.write(t, simpleConfig(upstream)+"\nnonsense: 1\n")
	_ = g.command.Process.Signal(syscall.SIGHUP)
	eventually(t, patience, "the bad reload is logged", func() bool {
		return strings.Contains(g.output.String(), "nonsense") && strings.Contains(g.output.String(), g.config+":")
	})
	if got := status("/"); got != 200 {
		t.Errorf("after a bad reload: %d, want 200", got)
	}
	g.write(t, strings.ReplaceAll(simpleConfig(upstream), "path_prefix: /", "path_prefix: /new"))
	_ = g.command.Process.Signal(syscall.SIGHUP)
	eventually(t, patience, "the good reload counts", func() bool { return status("/") == 404 && status("/new") == 200 })
}

// TestBodiesStream sends 256 MiB (1 GiB with KEYSTONE_LONG) up and down at
// once, byte for byte, within little memory.
func TestBodiesStream(t *testing.T) {
	size := int64(256 << 20)
	if os.Getenv("KEYSTONE_LONG") != "" {
		size = 1 << 30
	}
	if raceEnabled {
		size = 32 << 20
	}
	upstream := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			n, err := io.Copy(io.Discard, r.Body)
			_, _ = fmt.Fprintf(w, "%d %v", n, err)
			return
		}
		chunk := make([]byte, 64<<10)
		for left := size; left > 0; left -= int64(len(chunk)) {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	g := startGateway(t, simpleConfig(upstream, "request_limits: {max_body_size: 2GiB}"))
	var wait sync.WaitGroup
	wait.Go(func() {
		response, err := http.Post("http://"+g.address+"/up", "application/octet-stream", io.LimitReader(zeros{}, size)) // #nosec G107 -- as above
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = response.Body.Close() }()
		if answer, _ := io.ReadAll(response.Body); string(answer) != fmt.Sprintf("%d <nil>", size) {
			t.Errorf("up: %q", answer)
		}
	})
	wait.Go(func() {
		response, err := http.Get("http://" + g.address + "/down") // #nosec G107 -- as above
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = response.Body.Close() }()
		if n, err := io.Copy(io.Discard, response.Body); n != size || err != nil {
			t.Errorf("down: %d bytes, %v", n, err)
		}
	})
	wait.Wait()
	if peak := peakMemory(t, g); !raceEnabled && peak > 64<<20 {
		t.Errorf("the process took %d MiB at most, want less than 64", peak>>20)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// peakMemory returns the largest resident set of the gateway in bytes, or 0
// where the system doesn't tell.
func peakMemory(t *testing.T, g *gateway) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.command.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kb), "kB")), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("peak memory of the gateway: %d kB", n)
			return n << 10
		}
	}
	return 0
}

// TestNothingLeaks sends exchanges that end in every way, and then counts what
// is left: descriptors and goroutines.
func TestNothingLeaks(t *testing.T) {
	upstream := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "short")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/hang":
			<-r.Context().Done()
		case "/early":
			_ = http.NewResponseController(w).EnableFullDuplex() // or it waits for the body
			w.WriteHeader(http.StatusTeapot)
			_ = http.NewResponseController(w).Flush()
		default:
			_, _ = io.Copy(w, r.Body)
		}
	})
	g := startGateway(t, simpleConfig(upstream, "    connections: {idle_timeout: 200ms}", "access_log: {enabled: false}"))
	descriptors := func() int {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", g.command.Process.Pid))
		if err != nil {
			missing(t, "this system doesn't show the descriptors of a process")
		}
		return len(entries)
	}
	before := descriptors()
	var wait sync.WaitGroup
	for i := range 200 {
		wait.Go(func() { leakOne(t, g.address, i) })
	}
	wait.Wait()
	eventually(t, patience, "as many descriptors as before", func() bool { return descriptors() <= before+2 })
	eventually(t, patience, "few goroutines", func() bool {
		n := goroutines(t, g)
		return n > 0 && n < 60
	})
}

// leakOne makes one exchange, and leaves it in one of several ways.
func leakOne(t *testing.T, address string, i int) {
	conn, err := open(&net.Dialer{}, address)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.close()
	switch i % 8 {
	case 0: // answered
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
	case 1: // a response that is cut
		_, _ = io.WriteString(conn, "GET /cut HTTP/1.1\r\nHost: a\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
	case 2: // gone while the target works
		_, _ = io.WriteString(conn, "GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
	case 3: // gone within a streamed upload
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	case 4: // an early answer to an upload
		_, _ = io.WriteString(conn, "POST /early HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
		_, _ = conn.Read(make([]byte, 100))
	case 5: // half a head
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHo")
	case 6: // malformed
		_, _ = io.WriteString(conn, "GET / HTTP/9.9\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
	case 7: // reset
		_, _ = io.WriteString(conn, "GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
		conn.reset()
	}
}

// goroutines asks the admin API for their number.
func goroutines(t *testing.T, g *gateway) int {
	t.Helper()
	response, err := http.Get("http://" + g.admin + "/metrics") // #nosec G107 -- as above
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
	}
	return 0
}
