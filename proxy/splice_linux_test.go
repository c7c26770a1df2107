package proxy_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

// largeContent is bytes of which no two places look alike.
var largeContent = func() []byte {
	p := make([]byte, 10<<20)
	x := uint32(1)
	for i := range p {
		x = x*1664525 + 1013904223
		p[i] = byte(x >> 24)
	}
	return p
}()

// largeTarget answers GET /N with N bytes, and a POST with the length of its
// body if that is what it should be. opened counts connections.
func largeTarget(t *testing.T) (address string, opened *atomic.Int32) {
	t.Helper()
	opened = &atomic.Int32{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			body, err := io.ReadAll(r.Body)
			if err == nil && bytes.Equal(body, largeContent[:len(body)]) {
				_, _ = fmt.Fprint(w, len(body))
			}
			return
		}
		n, _ := strconv.Atoi(r.URL.Path[1:])
		w.Header().Set("Content-Length", strconv.Itoa(n))
		_, _ = w.Write(largeContent[:n])
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), opened
}

// rawClient is a connection on which requests are sent as they are.
type rawClient struct {
	net.Conn
	reader *bufio.Reader
}

func dialRaw(t *testing.T, address string) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return &rawClient{conn, bufio.NewReader(conn)}
}

// answer reads one answer.
func (c *rawClient) answer() (status int, body []byte, err error) {
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

func getLarge(n int) string { return fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: example.com\r\n\r\n", n) }

func postLarge(n int) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: %d\r\n\r\n%s", n, largeContent[:n])
}

func tenantOf(target string) string {
	return "access_log: {enabled: false}\ntenants:\n  - {name: a, domains: [example.com], services: [{url: \"http://" + target + "\"}]}\n"
}

// exchangeLarge sends what may be several requests and checks their answers.
func (c *rawClient) exchangeLarge(t *testing.T, requests string, want ...string) {
	t.Helper()
	go func() { _, _ = io.WriteString(c, requests) }()
	for i, body := range want {
		if status, got, err := c.answer(); status != 200 || string(got) != body || err != nil {
			t.Fatalf("answer %d: status %d, %d bytes, %v; want 200 and %d bytes", i, status, len(got), err, len(body))
		}
	}
}

// pipesOpen counts the ends of pipes that this process has.
func pipesOpen(t *testing.T) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if name, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && strings.HasPrefix(name, "pipe:") {
			n++
		}
	}
	return n
}

// TestLargeBodies sends bodies of all sizes on one connection, each way, and
// checks that a pipe was used for those that are large enough, and that what
// follows on both connections is as it should be.
func TestLargeBodies(t *testing.T) {
	if !measure.Alone(t) { // it counts the descriptors of its process
		return
	}
	for name, request := range map[string]func(n int) (text, want string){
		"down": func(n int) (string, string) { return getLarge(n), string(largeContent[:n]) },
		"up":   func(n int) (string, string) { return postLarge(n), strconv.Itoa(n) },
	} {
		t.Run(name, func(t *testing.T) {
			target, opened := largeTarget(t)
			client := dialRaw(t, start(t, tenantOf(target)).Addr().String())
			before := pipesOpen(t)
			for _, n := range []int{64<<10 - 1, 64 << 10, 64<<10 + 1, 128<<10 - 1, 128 << 10, 128<<10 + 1, 1 << 20, 10 << 20} {
				text, want := request(n)
				client.exchangeLarge(t, text, want)
				if spliced := pipesOpen(t) > before; spliced != (n >= 128<<10-1) {
					t.Errorf("%d bytes: spliced is %v", n, spliced)
				}
			}
			if opened.Load() != 1 {
				t.Errorf("%d connections to the target, want 1", opened.Load())
			}
		})
	}
}

// TestLargeBodiesPipelined sends requests behind each other without waiting.
func TestLargeBodiesPipelined(t *testing.T) {
	target, opened := largeTarget(t)
	client := dialRaw(t, start(t, tenantOf(target)).Addr().String())
	client.exchangeLarge(t, postLarge(1<<20)+getLarge(200_000)+postLarge(200_000)+getLarge(7),
		"1048576", string(largeContent[:200_000]), "200000", string(largeContent[:7]))
	if opened.Load() != 1 {
		t.Errorf("%d connections to the target, want 1", opened.Load())
	}
}

// TestLargeBodiesWithoutPipes runs out of descriptors after all connections
// have been opened.
func TestLargeBodiesWithoutPipes(t *testing.T) {
	if !measure.Alone(t) { // it counts the descriptors of its process
		return
	}
	target, _ := largeTarget(t)
	client := dialRaw(t, start(t, tenantOf(target)).Addr().String())
	client.exchangeLarge(t, getLarge(1), string(largeContent[:1]))
	before := pipesOpen(t)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := syscall.Rlimit{Cur: 3, Max: limit.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}
	defer restore()
	client.exchangeLarge(t, getLarge(1<<20), string(largeContent[:1<<20]))
	client.exchangeLarge(t, postLarge(1<<20), "1048576")
	restore()
	if now := pipesOpen(t); now != before {
		t.Errorf("%d ends of pipes, want %d", now, before)
	}
}

// scriptedTarget starts an upstream that does with each connection what f says.
func scriptedTarget(t *testing.T, f func(conn *rawClient)) string {
	t.Helper()
	return target(t, func(conn net.Conn) {
		_ = conn.SetDeadline(time.Now().Add(patience))
		f(&rawClient{conn, bufio.NewReader(conn)})
	})
}

// TestLargeResponseCut checks that all that came before a cut is passed on, and
// that the rest is missed.
func TestLargeResponseCut(t *testing.T) {
	target := scriptedTarget(t, func(conn *rawClient) {
		if _, err := http.ReadRequest(conn.reader); err == nil {
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n%s", largeContent[:600_000])
		}
	})
	client := dialRaw(t, start(t, tenantOf(target)).Addr().String())
	_, _ = io.WriteString(client, getLarge(1_000_000))
	if _, body, err := client.answer(); err != io.ErrUnexpectedEOF || !bytes.Equal(body, largeContent[:600_000]) {
		t.Errorf("%d bytes, %v; want the 600000 that were sent, and an unexpected end", len(body), err)
	}
}

// TestLargeUploadCut checks that an upload whose client goes away never looks
// whole to the target, and that the pipe is not used again.
func TestLargeUploadCut(t *testing.T) {
	ended := make(chan error, 1)
	var got atomic.Int64
	target := scriptedTarget(t, func(conn *rawClient) {
		request, err := http.ReadRequest(conn.reader)
		if err != nil {
			ended <- err
			return
		}
		n, err := io.Copy(io.Discard, request.Body)
		got.Store(n)
		ended <- err
	})
	client := dialRaw(t, start(t, tenantOf(target)).Addr().String())
	whole := postLarge(1 << 20)
	_, _ = io.WriteString(client, whole[:600_000])
	_ = client.Close()
	if err := <-ended; !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the target read %d bytes and %v, want an unexpected end", got.Load(), err)
	}
}

// TestLargeUploadRefused checks an answer that comes while the body is being
// sent to a target that doesn't read it.
func TestLargeUploadRefused(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	target := scriptedTarget(t, func(conn *rawClient) {
		if _, err := http.ReadRequest(conn.reader); err == nil {
			_, _ = io.CopyN(io.Discard, conn.reader, 300_000)
			_, _ = io.WriteString(conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nlarge")
			<-release
		}
	})
	client := dialRaw(t, start(t, tenantOf(target)).Addr().String())
	go func() { _, _ = io.WriteString(client, postLarge(10<<20)) }()
	if status, body, err := client.answer(); status != 413 || string(body) != "large" || err != nil {
		t.Errorf("status %d, %q, %v; want the target's 413", status, body, err)
	}
}

func TestLargeResponseAllocates0(t *testing.T) {
	const size = 256 << 10
	target := answering(t, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, largeContent[:size]))
	client := dialRaw(t, start(t, tenantOf(target)).Addr().String())
	out, in := []byte(getLarge(size)), make([]byte, 64<<10)
	n := measure.Allocations(window, func() {
		if _, err := client.Write(out); err != nil {
			t.Fatal(err)
		}
		head, total := 0, 0
		for head == 0 || total < head+size {
			n, err := client.Read(in)
			if err != nil {
				t.Fatal(err)
			}
			if head == 0 {
				head = bytes.Index(in[:n], []byte("\r\n\r\n")) + 4
			}
			total += n
		}
	})
	if n > 0 {
		t.Errorf("a large response allocates: %d times in %d of them at best, want 0", n, window)
	}
}
