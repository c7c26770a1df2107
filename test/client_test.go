package test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// client is one raw connection to the gateway. What it reads comes through its
// reader, so that nothing which that has already read is lost.
type client struct {
	net.Conn
	reader  *bufio.Reader
	written chan struct{}
}

// dial connects; the connection lives for at most patience and ends with the
// test.
func dial(t *testing.T, address string) *client {
	t.Helper()
	c, err := open(&net.Dialer{}, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// open is dial where there is no test to end, or a dialer with settings.
func open(dialer *net.Dialer, address string) (*client, error) {
	dialer.Timeout = patience
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return clientOn(conn), nil
}

// clientOn is a client with a connection that there is: a Unix one, or one with
// TLS.
func clientOn(conn net.Conn) *client {
	_ = conn.SetDeadline(time.Now().Add(patience))
	return &client{Conn: conn, reader: bufio.NewReader(conn)}
}

// talk sends raw bytes and returns all that comes back until the gateway ends
// the connection.
func talk(t *testing.T, g *gateway, request string) string {
	t.Helper()
	c := dial(t, g.address)
	defer c.close()
	c.send(t, request)
	got, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%.100q: the connection doesn't end after %q", request, got)
	}
	return string(got)
}

// Read reads what the reader has first.
func (c *client) Read(p []byte) (int, error) { return c.reader.Read(p) }

// CloseWrite ends the sending side.
func (c *client) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

// reset ends the connection with RST.
func (c *client) reset() {
	_ = c.Conn.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

// write sends in the background. Failures are left to the reading side: a
// gateway may refuse a request that it hasn't read to its end.
func (c *client) write(writes []string, halfClose bool) {
	c.written = make(chan struct{})
	go func() {
		defer close(c.written)
		for _, piece := range writes {
			if _, err := io.WriteString(c, piece); err != nil {
				return
			}
		}
		if halfClose {
			_ = c.CloseWrite()
		}
	}()
}

// send writes text and fails the test when it can't.
func (c *client) send(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatalf("cannot send %.100q: %v", text, err)
	}
}

// answer reads a well-formed and whole answer.
func (c *client) answer(t *testing.T, method string) *response {
	t.Helper()
	answer, err := readResponse(c.reader, method)
	if err != nil {
		t.Fatalf("no whole answer: %v (so far %+v)", err, answer)
	}
	return answer
}

// exchange sends a raw request and reads the answer.
func (c *client) exchange(t *testing.T, raw string) *response {
	t.Helper()
	c.send(t, raw)
	method, _, _ := strings.Cut(raw, " ")
	return c.answer(t, method)
}

// expectEnd fails the test unless the gateway ends the connection without
// another byte.
func (c *client) expectEnd(t *testing.T) {
	t.Helper()
	next, err := c.reader.ReadByte()
	if err == nil {
		rest, _ := c.reader.Peek(c.reader.Buffered())
		t.Errorf("want the connection closed, got %.300q", string(next)+string(rest))
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("want the connection closed, but it stays open")
	}
}

// close ends the connection and the writer.
func (c *client) close() {
	_ = c.Close()
	if c.written != nil {
		<-c.written
	}
}

// probe sends a plain request and fails the test unless the upstream's answer
// to this very request comes back.
func probe(t *testing.T, client *client, host, target string) {
	t.Helper()
	if client.written != nil {
		<-client.written
	}
	answer := client.exchange(t, lined("GET "+target+" HTTP/1.1", "Host: "+host))
	if got := strings.Join(answer.values("X-Answer-To"), ","); answer.status != 200 || got != target ||
		string(answer.body) != "answer to GET "+target {
		t.Fatalf("GET %s got %d, the answer to %q, with body %.300q", target, answer.status, got, answer.body)
	}
}

// expectBytes fails the test unless exactly these come next.
func expectBytes(t *testing.T, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v; want %q", got, err, want)
	}
}
