package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/test/port"
)

// Each test here stands for a fault that was once found by attacking.

// logged waits for a line of the access log that holds all of these.
func (g *gateway) logged(t *testing.T, parts ...string) {
	t.Helper()
	eventually(t, patience, fmt.Sprintf("the access log holds %q", parts), func() bool {
		for line := range strings.Lines(g.output.String()) {
			found := strings.Contains(line, `"bytes_out":`)
			for _, part := range parts {
				found = found && strings.Contains(line, part)
			}
			if found {
				return true
			}
		}
		return false
	})
}

// TestPauseAfterUpload: the end of an upload must not replace the time-out of
// a response that has begun.
func TestPauseAfterUpload(t *testing.T) {
	t.Parallel()
	uploaded, proceed := make(chan struct{}), make(chan struct{})
	upstream := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		_, _ = io.WriteString(w, "begun ")
		_ = control.Flush()
		_, _ = io.Copy(io.Discard, r.Body)
		close(uploaded)
		<-proceed
		_, _ = io.WriteString(w, "ended")
	})
	g := startGateway(t, simpleConfig(upstream, "    timeouts: {response_header: 3s, idle: 1m}")+clock(t, 4*time.Second))
	conn := dial(t, g.address)
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
	reader := conn.reader
	if _, err := reader.Peek(1); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "0\r\n\r\n")
	await(t, "the upload has ended", uploaded)
	g.pass(t) // response_header, not idle
	close(proceed)
	answer, err := readResponse(reader, "POST")
	if err != nil || string(answer.body) != "begun ended" {
		t.Errorf("%v, %v", answer, err)
	}
}

// TestTotalAfterInterim: the 504 must reach a client that has had a 103.
func TestTotalAfterInterim(t *testing.T) {
	t.Parallel()
	upstream := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
		<-r.Context().Done()
	})
	g := startGateway(t, simpleConfig(upstream, "    timeouts: {total: 4s}"))
	conns := make([]*client, 3)
	for i := range conns {
		conns[i] = dial(t, g.address)
		_, _ = io.WriteString(conns[i], "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	}
	for _, conn := range conns {
		text, err := io.ReadAll(bufferUntil(conn, "request id"))
		if err != nil || !strings.Contains(string(text), "HTTP/1.1 103 ") || !strings.Contains(string(text), "HTTP/1.1 504 ") {
			t.Errorf("%q, %v", text, err)
		}
	}
}

// bufferUntil returns what comes up to and with a text.
func bufferUntil(r io.Reader, text string) io.Reader {
	var got strings.Builder
	buf := make([]byte, 1)
	for !strings.HasSuffix(got.String(), text) {
		if n, err := r.Read(buf); n == 0 || err != nil {
			break
		}
		got.Write(buf)
	}
	return strings.NewReader(got.String())
}

// TestResetWithinUpload: a client that resets is gone, and no internal error.
func TestResetWithinUpload(t *testing.T) {
	t.Parallel()
	upstream := serveFunc(t, echoFields)
	g := startGateway(t, simpleConfig(upstream))
	for _, head := range []string{"Content-Length: 1000", "Content-Length: 1000000", "Transfer-Encoding: chunked"} {
		conn := dial(t, g.address)
		_, _ = io.WriteString(conn, "POST /"+head[:9]+head[len(head)-4:]+" HTTP/1.1\r\nHost: a\r\n"+head+"\r\n\r\n5\r\nhello\r\n")
		eventually(t, patience, "the request has begun", func() bool { return inFlight(t, g) > 0 })
		conn.reset()
		g.logged(t, `"status":499`, head[len(head)-4:])
		eventually(t, patience, "the request has ended", func() bool { return inFlight(t, g) == 0 })
	}
}

func inFlight(t *testing.T, g *gateway) int { return metric(t, g, "keystone_requests_in_flight") }

func openConnections(t *testing.T, g *gateway) int { return metric(t, g, "keystone_connections") }

// metric reads one that has no labels.
func metric(t *testing.T, g *gateway, name string) (n int) {
	t.Helper()
	response, err := http.Get("http://" + g.admin + "/metrics") // #nosec G107 -- the gateway of this test
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		_, _ = fmt.Sscanf(lines.Text(), name+" %d", &n)
	}
	return n
}

// TestDripFed: a byte now and then holds nothing for ever, in either direction.
func TestDripFed(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 32<<20)
	upstream := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, big)
	})
	g := startGateway(t, "server:\n  min_rate: 1000KB\n  timeouts: {body_idle: 500ms, write_idle: 500ms}\n"+simpleConfig(upstream))
	up, down := dial(t, g.address), dial(t, g.address)
	_, _ = io.WriteString(up, "POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	_, _ = io.WriteString(down, "GET /down HTTP/1.1\r\nHost: a\r\n\r\n")
	_ = down.Conn.(*net.TCPConn).SetReadBuffer(4096)
	every(t, 100*time.Millisecond, func() {
		_, _ = io.WriteString(up, "1\r\nx\r\n")
		_, _ = down.Read(make([]byte, 1000))
	})
	g.logged(t, `"path":"/up"`, `"error":"body_timeout"`, `"status":408`)
	g.logged(t, `"path":"/down"`, `"error":"client_write_timeout"`)
}

// TestHalfClosedSlow: a half-closed client gets its answer, however long that
// takes; one that is gone has its request cancelled.
func TestHalfClosedSlow(t *testing.T) {
	t.Parallel()
	cancelled, proceed := make(chan struct{}, 1), make(chan struct{})
	upstream := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gone" {
			<-r.Context().Done()
			cancelled <- struct{}{}
			return
		}
		<-proceed
		_, _ = io.WriteString(w, "late")
	})
	g := startGateway(t, "server:\n  timeouts: {half_close: 200ms}\n"+simpleConfig(upstream)+clock(t, time.Second))
	conn := dial(t, g.address)
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	_ = conn.CloseWrite()
	g.pass(t) // half_close
	close(proceed)
	answer, err := readResponse(conn.reader, "GET")
	if err != nil || string(answer.body) != "late" {
		t.Errorf("half-closed: %v", err)
	}
	gone := dial(t, g.address)
	_, _ = io.WriteString(gone, "GET /gone HTTP/1.1\r\nHost: a\r\n\r\n")
	_ = gone.Close()
	await(t, "the request of a client that is gone is cancelled", cancelled)
	g.logged(t, `"path":"/gone"`, `"status":499`)
}

// TestTrailerOfOneLength: a trailer section that is exactly at its limit must
// not hang the upload.
func TestTrailerOfOneLength(t *testing.T) {
	t.Parallel()
	upstream := serveFunc(t, echoFields)
	g := startGateway(t, "server:\n  timeouts: {body_idle: 1s}\n"+simpleConfig(upstream))
	conns := map[int]*client{}
	for length := 8190; length <= 8196; length++ {
		conns[length] = dial(t, g.address)
		_, _ = io.WriteString(conns[length], "POST / HTTP/1.1\r\nHost: a\r\nX: "+strings.Repeat("a", 5000)+"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "+
			strings.Repeat("a", length-3))
	}
	for length, conn := range conns {
		if answer, err := readResponse(conn.reader, "POST"); err != nil || answer.status != 408 && answer.status != 400 {
			t.Errorf("%d bytes: %v, %v; want 400 or 408", length, answer, err)
		}
	}
}

// TestStuckLog: a reader of the access log that has stopped delays neither
// requests nor reload nor the end.
func TestStuckLog(t *testing.T) {
	t.Parallel()
	upstream := serveFunc(t, echoFields)
	g := &gateway{address: port.Reserve(t), admin: port.Reserve(t), exited: make(chan struct{}), output: &tail{}}
	g.config = filepath.Join(t.TempDir(), "config.yaml")
	g.write(t, simpleConfig(upstream))
	unread, stuck, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = unread.Close(), stuck.Close() }()
	g.command = exec.Command(gatewayBinary(t), "-config", g.config) // #nosec G204 -- the binary that this test built
	g.command.Stdout, g.command.Stderr = stuck, g.output
	if err := g.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = g.command.Wait()
		close(g.exited)
	}()
	g.awaitReady(t)
	conn := dial(t, g.address)
	reader := conn.reader
	for range 1000 { // far more lines than the pipe holds
		_, _ = io.WriteString(conn, "GET /"+strings.Repeat("x", 500)+" HTTP/1.1\r\nHost: a\r\n\r\n")
		if answer, err := readResponse(reader, "GET"); err != nil || answer.status != 200 {
			t.Fatal(answer, err)
		}
	}
	_ = g.command.Process.Signal(syscall.SIGHUP)
	eventually(t, patience, "it reloads", func() bool { return strings.Contains(g.output.String(), `"reloaded"`) })
	g.stop(t)
}

// TestSpoofedSpellings: neither underscores nor a bare X-Forwarded get past.
func TestSpoofedSpellings(t *testing.T) {
	t.Parallel()
	upstream := serveFunc(t, echoFields)
	g := startGateway(t, simpleConfig(upstream))
	answer := dial(t, g.address).exchange(t, "POST / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: evil\r\nX-Forwarded_Host: evil\r\nX-Forwarded: evil\r\n"+
		"Content-Length: 0003\r\n\r\nabc")
	if strings.Contains(string(answer.body), "evil") || !strings.Contains(string(answer.body), "Content-Length: 3") {
		t.Errorf("the target got\n%s", answer.body)
	}
	answer = dial(t, g.address).exchange(t, "GET /"+strings.Repeat("a", 40_000)+" HTTP/1.1\r\nHost: a\r\n\r\n")
	if answer.status != 414 {
		t.Errorf("a target longer than the header may be: %d, want 414", answer.status)
	}
}

// TestStrayLineThenIdle: an empty line after a request is no request, and its
// time-out is no answer.
func TestStrayLineThenIdle(t *testing.T) {
	t.Parallel()
	upstream := serveFunc(t, echoFields)
	g := startGateway(t, "server:\n  timeouts: {header: 4s}\n"+simpleConfig(upstream))
	conn := dial(t, g.address)
	reader := conn.reader
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n")
	if answer, err := readResponse(reader, "GET"); err != nil || answer.status != 200 {
		t.Fatal(answer, err)
	}
	if rest, err := io.ReadAll(reader); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v; want the end and nothing else", rest, err)
	}
}

// TestLoop: a request that has been here before ends, and takes no connections.
func TestLoop(t *testing.T) {
	t.Parallel()
	address := port.Reserve(t)
	g := &gateway{address: address, admin: port.Reserve(t)}
	g.config = filepath.Join(t.TempDir(), "config.yaml")
	host, number, _ := net.SplitHostPort(address)
	// The same address in another spelling, or the configuration would be refused.
	g.write(t, "server:\n  via: edge\n"+simpleConfig(strings.Replace(host, "127.0.0.1", "127.1.1.1", 1)+":"+number))
	text, err := os.ReadFile(g.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(g.config, []byte(strings.Replace(string(text), "address: "+address, "address: 0.0.0.0:"+number, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	g.launch(t)
	g.awaitReady(t)
	answer := dial(t, g.address).exchange(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if answer.status != 508 {
		t.Errorf("%d, want 508", answer.status)
	}
	if _, stderr, code := runBinary(t, "check", "-config", g.config); code != 0 {
		t.Errorf("check: %d %s", code, stderr)
	}
}

// TestScriptsAreNotSkipped: a tenant with scripts isn't served without them:
// while lua_routing.enabled is false it gets 503, which the log and check warn
// of, and a reload that enables them makes them run.
func TestScriptsAreNotSkipped(t *testing.T) {
	t.Parallel()
	upstream := serveFunc(t, echoFields)
	g := startGateway(t, simpleConfig(upstream, "    lua_routes: [auth.lua]"))
	answer := dial(t, g.address).exchange(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	const warning = "lua_routing.enabled is false: its requests are answered with 503"
	if answer.status != 503 {
		t.Errorf("%d, want 503", answer.status)
	}
	eventually(t, patience, "a warning in the log", func() bool { return strings.Contains(g.output.String(), warning) })
	if stdout, _, code := runBinary(t, "check", "-config", g.config); code != 0 || !strings.Contains(stdout, warning) {
		t.Errorf("check: %d %q, want a warning", code, stdout)
	}

	directory := t.TempDir()
	script := "chi_middleware(function(request, response) response:status(401) end)"
	if err := os.WriteFile(filepath.Join(directory, "auth.lua"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	g.write(t, simpleConfig(upstream, "    lua_routes: [auth.lua]", "lua_routing: {enabled: true, scripts_dir: "+directory+"}"))
	if err := g.command.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the script refuses", func() bool {
		return dial(t, g.address).exchange(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 401
	})
}

// TestRestartOnly: what a reload can't change is warned of until it is put
// back, and never shown as if it were so.
func TestRestartOnly(t *testing.T) {
	t.Parallel()
	upstream := serveFunc(t, echoFields)
	g := startGateway(t, simpleConfig(upstream))
	ask := func(method, path string) string {
		request, _ := http.NewRequestWithContext(t.Context(), method, "http://"+g.admin+path, nil)
		request.Header.Set("X-Gateway-Admin", "1")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		body, _ := io.ReadAll(response.Body)
		return string(body)
	}
	const warning = "admin.address takes effect at the next start"
	running := g.admin
	g.admin = "127.0.0.1:1"
	g.write(t, simpleConfig(upstream))
	g.admin = running
	for range 2 {
		if got := ask("POST", "/admin/reload"); !strings.Contains(got, warning) {
			t.Errorf("no warning in %s", got)
		}
	}
	if got := ask("GET", "/admin/config"); !strings.Contains(got, running) || strings.Contains(got, "127.0.0.1:1\"") {
		t.Errorf("not the address in use: %s", got)
	}
	g.write(t, simpleConfig(upstream))
	if got := ask("POST", "/admin/reload"); strings.Contains(got, warning) {
		t.Errorf("a warning where nothing differs: %s", got)
	}
}
