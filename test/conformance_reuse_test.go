package test

import (
	"bufio"
	encoding "encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestStaleConnections checks that a kept upstream connection which ended, or on
// which unasked bytes came, is never used again: no spurious error, whatever
// the method, and no answer to another request.
func TestStaleConnections(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(net.Conn){
		"closed":         func(conn net.Conn) { _ = conn.Close() },
		"half-closed":    func(conn net.Conn) { _ = conn.(*net.TCPConn).CloseWrite() },
		"reset":          func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0); _ = conn.Close() },
		"another answer": func(conn net.Conn) { _, _ = io.WriteString(conn, evil) },
		"408 and closed": func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 408 EVIL\r\nContent-Length: 0\r\n\r\n")
			_ = conn.Close()
		},
		"half of another answer": func(conn net.Conn) { _, _ = io.WriteString(conn, evil[:20]) },
		"an interim answer":      func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n") },
		"one line end":           func(conn net.Conn) { _, _ = io.WriteString(conn, "\r\n") },
		"one NUL":                func(conn net.Conn) { _, _ = io.WriteString(conn, "\x00") },
		"two answers":            func(conn net.Conn) { _, _ = io.WriteString(conn, evil+evil) },
		"another answer and reset": func(conn net.Conn) {
			_, _ = io.WriteString(conn, evil)
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFlow(t, "", nil)
			for i, method := range []string{"GET", "POST", "HEAD", "PUT", "FROB"} {
				probe(t, dial(t, f.gateway.address), f.mock.host(), fmt.Sprintf("/again-%d", i))
				f.spoilIdle(t, spoil)
				client := dial(t, f.gateway.address)
				target := fmt.Sprintf("/%d", i)
				client.send(t, f.expand(lined(method+" "+target+" HTTP/1.1", "Host: {host}", "Content-Length: 5")+"hello"))
				answer := client.answer(t, method)
				if got := strings.Join(answer.values("X-Answer-To"), ","); answer.status != 200 || got != target {
					t.Errorf("%s %s got %d, the answer to %q, want 200 and its own", method, target, answer.status, got)
				}
				if seen := f.mock.filtered(func(r *request) bool { return r.target == target }); len(seen) != 1 {
					t.Errorf("the upstream saw %s %s %d times, want once", method, target, len(seen))
				}
			}
		})
	}
}

// spoilIdle does something to every connection of the mock, which are idle, and
// returns when it has arrived at the gateway's side.
func (f *flow) spoilIdle(t *testing.T, spoil func(net.Conn)) {
	t.Helper()
	f.mock.mu.Lock()
	for conn := range f.mock.conns {
		spoil(conn)
	}
	f.mock.mu.Unlock()
	eventually(t, patience, "it has arrived", func() bool { return !f.mock.hasQuietClient() })
}

// hasQuietClient reports whether the other side of any connection is open and
// has nothing to read, as far as the system tells: elsewhere than on Linux it
// isn't asked, since loopback mostly delivers at once.
func (m *mock) hasQuietClient() bool {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return false
	}
	at := netip.MustParseAddrPort(m.address)
	ip := at.Addr().As4()
	remote := fmt.Sprintf("%08X:%04X", encoding.NativeEndian.Uint32(ip[:]), at.Port())
	for line := range strings.Lines(string(table)) {
		// Number, local and remote address, state (01 is open), queues to send and to read.
		fields := strings.Fields(line)
		if len(fields) > 4 && fields[2] == remote && fields[3] == "01" && strings.HasSuffix(fields[4], ":00000000") {
			return true
		}
	}
	return false
}

// TestRetries checks who is sent again when a kept connection ends on the very
// request: a GET is, a POST never.
func TestRetries(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, send string
		end        ending
		want       string
		seen       int
	}{
		{"GET closed", get("/u"), fin, "200", 2},
		{"GET reset", get("/u"), reset, "200", 2},
		{"HEAD closed", lined("HEAD /u HTTP/1.1", "Host: {host}"), fin, "200", 2},
		{"POST closed", post("Content-Length: 5") + "hello", fin, "502", 1},
		{"POST reset", post("Content-Length: 5") + "hello", reset, "502", 1},
		{"empty POST closed", post("Content-Length: 0"), fin, "502", 1},
		{"chunked POST closed", post(chunked) + hello, fin, "502", 1},
		{"PATCH closed", lined("PATCH /p HTTP/1.1", "Host: {host}", "Content-Length: 5") + "hello", fin, "502", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var times atomic.Int32
			f := startFlow(t, "", func(r *request) reply {
				if !r.probing() && times.Add(1) == 1 {
					return reply{end: c.end}
				}
				return answerOK(r)
			})
			probe(t, dial(t, f.gateway.address), f.mock.host(), "/again-first")
			eventually(t, patience, "its connection is kept", func() bool { return inFlight(t, f.gateway) == 0 })
			client := dial(t, f.gateway.address)
			client.send(t, f.expand(c.send))
			method, _, _ := strings.Cut(c.send, " ")
			if got := outcome(readResponse(client.reader, method)); got != c.want {
				t.Errorf("want %s, got %s", c.want, got)
			}
			if seen := f.mock.seen(); len(seen) != c.seen {
				t.Errorf("the upstream saw the request %d times, want %d", len(seen), c.seen)
			}
		})
	}
}

// TestAbandonedAnswers checks that the rest of an answer whose client has left
// isn't the beginning of the next one's.
func TestAbandonedAnswers(t *testing.T) {
	t.Parallel()
	for name, rest := range map[string]string{
		"length": evil + strings.Repeat("x", 100_000),
		"chunks": "4\r\nEVIL\r\n0\r\n\r\n" + evil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step := make(chan struct{})
			end := sync.OnceFunc(func() { close(step) })
			framing := "Content-Length: 200000"
			if name == "chunks" {
				framing = chunked
			}
			f := startFlow(t, "", func(r *request) reply {
				if r.probing() {
					return answerOK(r)
				}
				return reply{parts: []string{answer("200 OK", "5\r\nhello\r\n", framing), rest}, step: step}
			})
			t.Cleanup(end)
			for range 5 {
				client := dial(t, f.gateway.address)
				client.send(t, f.expand(get("/u")))
				if _, err := readHead(client.reader); err != nil {
					t.Fatal(err)
				}
				client.reset()
			}
			end()
			for i := range 10 {
				probe(t, dial(t, f.gateway.address), f.mock.host(), fmt.Sprintf("/after-%d", i))
			}
		})
	}
}

// TestEndlessInterim checks that interim answers without end are cut.
func TestEndlessInterim(t *testing.T) {
	t.Parallel()
	f := startFlow(t, "", func(r *request) reply {
		if r.probing() {
			return answerOK(r)
		}
		return reply{play: func(conn net.Conn, _ *bufio.Reader) {
			interim := strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 1000)
			for {
				if _, err := io.WriteString(conn, interim); err != nil {
					return
				}
			}
		}}
	})
	client := dial(t, f.gateway.address)
	client.send(t, f.expand(get("/u")))
	answer, err := readResponse(client.reader, "GET")
	if got := outcome(answer, err); got != "502" && got != "cut" && got != "none" {
		t.Errorf("want 502 or a cut, got %s", got)
	}
	eventually(t, patience, "the gateway closed the upstream connection", func() bool { return f.mock.open() == 0 })
}

// TestFlushing checks that parts of an answer reach the client as they come.
func TestFlushing(t *testing.T) {
	t.Parallel()
	for name, parts := range map[string][]string{
		"chunks":        {answer("200 OK", "", chunked), "1\r\na\r\n", "1\r\nb\r\n", "1\r\nc\r\n"},
		"events":        {answer("200 OK", "", chunked, "Content-Type: text/event-stream"), "1\r\na\r\n", "1\r\nb\r\n", "1\r\nc\r\n"},
		"until the end": {answer("200 OK", "", "Connection: close"), "a", "b", "c"},
		"known length":  {answer("200 OK", "", "Content-Length: 100000"), "a", "b", "c"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step := make(chan struct{})
			end := sync.OnceFunc(func() { close(step) })
			f := startFlow(t, "", func(*request) reply { return reply{parts: parts, step: step} })
			t.Cleanup(end)
			client := dial(t, f.gateway.address)
			client.send(t, f.expand(get("/u")))
			if _, err := readHead(client.reader); err != nil {
				t.Fatalf("the head doesn't come before the body: %v", err)
			}
			for _, want := range []byte("abc") {
				select {
				case step <- struct{}{}:
				case <-time.After(patience):
					t.Fatalf("the upstream can't send %q: its connection ended", want)
				}
				if _, err := client.reader.ReadString(want); err != nil {
					t.Fatalf("%q doesn't come before the next part: %v", want, err)
				}
			}
		})
	}
}

// TestStreamedUpload checks that parts of an upload reach the upstream as they
// come, and that a client may read the answer while it still sends.
func TestStreamedUpload(t *testing.T) {
	t.Parallel()
	got := make(chan byte, 16)
	f := startFlow(t, "", func(*request) reply {
		return reply{early: true, parts: []string{answer("200 OK", "", chunked)}, play: func(_ net.Conn, r *bufio.Reader) {
			for {
				b, err := r.ReadByte()
				if err != nil {
					return
				}
				if b >= 'p' && b <= 'z' {
					got <- b
				}
			}
		}}
	})
	client := dial(t, f.gateway.address)
	client.send(t, f.expand(post(chunked)))
	for _, part := range []byte("xyz") {
		client.send(t, fmt.Sprintf("1\r\n%c\r\n", part))
		if b := await(t, "a part reaches the upstream before the next one", got); b != part {
			t.Fatalf("the upstream got %q, want %q", b, part)
		}
	}
	if head, err := readHead(client.reader); err != nil || !strings.Contains(head.start, " 200 ") {
		t.Errorf("want 200 while the upload goes on, got %+v, %v", head, err)
	}
}

// TestNoAnswerReachesAnotherRequest mixes upstreams that misbehave in every
// other answer with clients that leave, over shared connections.
func TestNoAnswerReachesAnotherRequest(t *testing.T) {
	t.Parallel()
	f := startFlow(t, "", erratic())
	var whole atomic.Int32
	var workers sync.WaitGroup
	for number := range 24 {
		workers.Go(func() {
			w := worker{t: t, flow: f}
			for i := range 60 {
				if w.ask(fmt.Sprintf("/%d-%d", number, i), (number+i)%9 == 0) {
					whole.Add(1)
				}
			}
			w.leave()
		})
	}
	workers.Wait()
	if whole.Load() < 100 {
		t.Errorf("only %d requests got a whole answer", whole.Load())
	}
	for _, fault := range f.mock.violations() {
		t.Errorf("the upstream got malformed bytes: %s", fault)
	}
}

// worker is a client that goes on with a new connection when one ended.
type worker struct {
	t      *testing.T
	flow   *flow
	client *client
}

// ask requests target and tells whether the upstream's whole answer came. It
// leaves in the middle when told so.
func (w *worker) ask(target string, leaves bool) bool {
	if w.client == nil {
		conn, err := open(&net.Dialer{}, w.flow.gateway.address)
		if err != nil {
			w.t.Error(err)
			return false
		}
		w.client = conn
	}
	_, _ = io.WriteString(w.client, w.flow.expand(get(target)))
	if leaves {
		w.client.reset()
		w.leave()
		return false
	}
	answer, err := readResponse(w.client.reader, "GET")
	if err != nil {
		var violation malformed
		if errors.As(err, &violation) || errors.Is(err, os.ErrDeadlineExceeded) {
			w.t.Errorf("GET %s: %v", target, err)
		}
		w.leave()
		return false
	}
	if answer.closes() {
		w.leave()
	}
	if !answer.fromUpstream() {
		if answer.status != 502 {
			w.t.Errorf("GET %s got %d, want 200, 502 or a cut", target, answer.status)
		}
		return false
	}
	if text := string(answer.body); answer.values("X-Answer-To")[0] != target || text != "answer to GET "+target {
		w.t.Errorf("GET %s got the answer to %q with body %.200q", target, answer.values("X-Answer-To"), text)
	}
	return true
}

// leave ends the connection, if there is one.
func (w *worker) leave() {
	if w.client != nil {
		w.client.close()
		w.client = nil
	}
}

// erratic answers in turn well and badly.
func erratic() func(*request) reply {
	var turn atomic.Int32
	return func(r *request) reply {
		good := okTo(r)
		text := "answer to GET " + r.target
		named := "X-Answer-To: " + r.target
		switch turn.Add(1) % 13 {
		case 1:
			return reply{parts: []string{good + evil}}
		case 2:
			return reply{parts: []string{good}, end: fin}
		case 3:
			return reply{end: fin}
		case 4:
			return reply{end: reset}
		case 5:
			return reply{parts: []string{good[:len(good)-5]}, end: fin}
		case 6:
			return reply{parts: []string{answer("200 OK", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(text), text), chunked, named)}}
		case 7:
			return reply{parts: []string{answer("200 OK", text+evil, "Content-Length: 5, 5", named)}}
		case 8:
			return reply{parts: []string{answer("200 OK", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(text), text)+evil, chunked, named)}}
		case 9:
			return reply{parts: []string{good[:10], good[10:]}}
		}
		return reply{parts: []string{good}}
	}
}
