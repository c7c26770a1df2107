package test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
)

// asked is a gateway that asks half-closed clients soon whether they are there,
// and a target that answers, each time it is told to, after what it sends first.
func asked(t *testing.T, first string) (g *gateway, proceed chan struct{}) {
	t.Helper()
	proceed = make(chan struct{})
	target := rawUpstream(t, func(conn net.Conn) {
		for in := bufio.NewReader(conn); ; {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			_, _ = io.WriteString(conn, first)
			ended := make(chan struct{})
			go func() { // a peek tells when the gateway gives up
				defer close(ended)
				_, _ = in.Peek(1)
			}()
			select {
			case <-proceed:
			case <-ended:
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			<-ended
		}
	})
	t.Cleanup(func() { close(proceed) })
	return startGateway(t, "server:\n  timeouts: {half_close: 200ms}\n"+simpleConfig(target)), proceed
}

// halfClose sends requests and ends the client's sending side.
func halfClose(t *testing.T, g *gateway, requests string) *client {
	t.Helper()
	client := dial(t, g.address)
	client.send(t, requests)
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	return client
}

func (c *client) expectInterim(t *testing.T, want string) {
	t.Helper()
	head, err := readHead(c.reader)
	if err != nil || !strings.HasPrefix(head.start, "HTTP/1.1 "+want) {
		t.Fatalf("got %q, %v; want %s", head.start, err, want)
	}
}

// TestAskedOnce: a half-closed client is asked once a request whether it is
// there, however long its target takes; anew for its next request, and after
// what its target says meanwhile.
func TestAskedOnce(t *testing.T) {
	t.Parallel()
	const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	g, proceed := asked(t, "")
	first := halfClose(t, g, request)
	first.expectInterim(t, "100")
	for range 3 { // each is asked after half_close: time enough to ask the first one again
		halfClose(t, g, request).expectInterim(t, "100")
	}
	for range 4 {
		proceed <- struct{}{}
	}
	if answer := first.answer(t, "GET"); len(answer.interim) != 0 || answer.status != 200 {
		t.Errorf("after the first 100: %v, then %d; want 200 at once", answer.interim, answer.status)
	}
	two := halfClose(t, g, request+request)
	for range 2 {
		two.expectInterim(t, "100")
		proceed <- struct{}{}
		if answer := two.answer(t, "GET"); answer.status != 200 {
			t.Error(answer.status)
		}
	}
	hinting, proceed := asked(t, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
	hinted := halfClose(t, hinting, request)
	hinted.expectInterim(t, "103")
	hinted.expectInterim(t, "100")
	proceed <- struct{}{}
	if answer := hinted.answer(t, "GET"); answer.status != 200 {
		t.Error(answer.status)
	}
}

// TestNotAsked: who can't be asked is taken for gone: a client of HTTP/1.0, which
// knows no interim answers, and one in the middle of an answer, of which 100
// Continue would become a part.
func TestNotAsked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, request, first string }{
		{"HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", ""},
		{"within an answer", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhello"},
	} {
		g, _ := asked(t, c.first)
		got, err := io.ReadAll(halfClose(t, g, c.request).reader)
		if strings.Contains(string(got), "100 Continue") || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: got %q, %v; want no 100, and the end", c.name, got, err)
		}
	}
}
