package test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// request is one request as it reached a mock.
type request struct {
	message
	method, target string
	// conn numbers the mock's connections from 1, seq the requests on one.
	conn, seq int
}

// ending says what becomes of the connection after a reply.
type ending int

const (
	// keep reads the next request.
	keep ending = iota
	// fin closes the connection in an orderly way.
	fin
	// reset closes it with a RST.
	reset
	// hang says nothing more until the other side closes.
	hang
)

// reply is what a mock does on a request.
type reply struct {
	// parts are written one after the other. Before each but the first, a value
	// is awaited from step, when it is set.
	parts []string
	step  <-chan struct{}
	end   ending
	// early replies before the request's body has been read.
	early bool
	// play, when set, takes over after the parts were written; the connection is
	// closed when it returns.
	play func(conn net.Conn, r *bufio.Reader)
}

// mock is an upstream that records every byte-exact request, judges it
// strictly and replies from a script. Its methods may be used concurrently.
type mock struct {
	name, address string
	listener      net.Listener
	// script returns the reply to a request whose head has been read.
	script func(*request) reply
	served sync.WaitGroup

	mu       sync.Mutex
	requests []*request
	faults   []string
	conns    map[net.Conn]bool
	accepted int
	released int
}

// startMock listens on a free port until the test ends. A nil script means
// answerOK.
func startMock(t *testing.T, name string, script func(*request) reply) *mock {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if script == nil {
		script = answerOK
	}
	m := &mock{
		name: name, address: listener.Addr().String(), listener: listener,
		script: script, conns: map[net.Conn]bool{},
	}
	m.served.Go(m.accept)
	t.Cleanup(m.close)
	return m
}

// answerOK answers any request in an orderly way and says which one it was.
func answerOK(r *request) reply {
	return reply{parts: []string{okTo(r)}}
}

// okTo is a plain answer to r that names r's target in a field and in its body.
func okTo(r *request) string {
	body := "answer to " + r.method + " " + r.target
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Answer-To: %s\r\n\r\n", len(body), r.target)
	if r.method == "HEAD" {
		return head
	}
	return head + body
}

// probing tells whether the harness itself made the request, to see whether
// connections are still in step.
func (r *request) probing() bool {
	return strings.HasPrefix(r.target, "/again-") || strings.HasPrefix(r.target, "/after-")
}

func (m *mock) accept() {
	for {
		conn, err := m.listener.Accept()
		if err != nil {
			return
		}
		m.mu.Lock()
		m.accepted++
		number := m.accepted
		m.conns[conn] = true
		m.mu.Unlock()
		m.served.Go(func() {
			m.serve(conn, number)
			_ = conn.Close()
			m.mu.Lock()
			delete(m.conns, conn)
			m.mu.Unlock()
		})
	}
}

func (m *mock) serve(conn net.Conn, number int) {
	reader := bufio.NewReader(conn)
	for seq := 1; ; seq++ {
		if _, err := reader.Peek(1); err != nil {
			return
		}
		r, err := m.readRequest(reader, number, seq)
		if err != nil {
			m.judge(r, err)
			return
		}
		answer := m.script(r)
		if !answer.early && !m.finish(reader, r) {
			return
		}
		if !m.play(conn, reader, answer) {
			return
		}
		if answer.early && !m.finish(reader, r) {
			return
		}
	}
}

// readRequest reads a request's head, records it and judges it strictly: a
// gateway has to send what no upstream could misread.
func (m *mock) readRequest(reader *bufio.Reader, conn, seq int) (*request, error) {
	head, err := readHead(reader)
	r := &request{message: *head, conn: conn, seq: seq}
	if parts := requestLine.FindStringSubmatch(head.start); parts != nil {
		r.method, r.target = parts[1], parts[2]
	} else if err == nil {
		err = malformed(fmt.Sprintf("request line %.200q", head.start))
	}
	m.mu.Lock()
	m.requests = append(m.requests, r)
	m.mu.Unlock()
	if err != nil {
		return r, err
	}
	if hosts := r.values("Host"); len(hosts) != 1 || hosts[0] == "" {
		return r, malformed(fmt.Sprintf("Host fields %q", hosts))
	}
	return r, nil
}

// finish reads the body and tells whether it came whole.
func (m *mock) finish(reader *bufio.Reader, r *request) bool {
	copied := request{message: r.message}
	err := copied.readBody(reader, false)
	m.mu.Lock()
	r.message = copied.message
	m.mu.Unlock()
	m.judge(r, err)
	return err == nil
}

// judge records a violation; a request that was cut off is none.
func (m *mock) judge(r *request, err error) {
	var violation malformed
	if errors.As(err, &violation) {
		m.mu.Lock()
		m.faults = append(m.faults, fmt.Sprintf("request %d on connection %d, %q: %v", r.seq, r.conn, r.start, violation))
		m.mu.Unlock()
	}
}

// play writes the reply and tells whether the connection lives on.
func (m *mock) play(conn net.Conn, reader *bufio.Reader, answer reply) bool {
	for i, part := range answer.parts {
		if i > 0 && answer.step != nil {
			<-answer.step
		}
		if _, err := io.WriteString(conn, part); err != nil {
			return false
		}
	}
	if answer.play != nil {
		answer.play(conn, reader)
		return false
	}
	switch answer.end {
	case reset:
		_ = conn.(*net.TCPConn).SetLinger(0)
	case hang:
		_, _ = io.Copy(io.Discard, reader)
		m.mu.Lock()
		m.released++
		m.mu.Unlock()
	}
	return answer.end == keep
}

// seen returns copies of the recorded requests other than the harness's probes.
func (m *mock) seen() []request {
	return m.filtered(func(r *request) bool { return !r.probing() })
}

// completed returns those of seen that came whole.
func (m *mock) completed() []request {
	return m.filtered(func(r *request) bool { return !r.probing() && r.complete })
}

// smuggled returns the requests whose target marks a canary.
func (m *mock) smuggled() []request {
	return m.filtered(func(r *request) bool { return strings.Contains(r.start, "/canary") })
}

func (m *mock) filtered(want func(*request) bool) (found []request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.requests {
		if want(r) {
			found = append(found, *r)
		}
	}
	return found
}

// violations returns what was wrong with the requests' syntax.
func (m *mock) violations() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.faults)
}

// letGo returns how many hanging connections the other side has closed.
func (m *mock) letGo() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.released
}

// open returns how many connections are open.
func (m *mock) open() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.conns)
}

func (m *mock) close() {
	_ = m.listener.Close()
	m.mu.Lock()
	for conn := range m.conns {
		_ = conn.Close()
	}
	m.mu.Unlock()
	m.served.Wait()
}
