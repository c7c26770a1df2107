package test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// shortTimeouts make a slow client's end come soon.
const shortTimeouts = "server:\n  timeouts:\n    header: 1s\n    body_idle: 1s\n    write_idle: 1s\n    keepalive: 1s\n"

// TestSlowClients checks that a client which stops in the middle is cut, that it
// gets 408 at the most, and that the upstream sees no whole request of it.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	f := startFlow(t, shortTimeouts, nil)
	for name, sent := range map[string]string{
		"nothing":                     "",
		"in the method":               "GE",
		"after the request line":      "GET /slow HTTP/1.1\r\n",
		"in the fields":               "GET /slow HTTP/1.1\r\nHost: {host}\r\nX-A:",
		"before the last LF":          "GET /slow HTTP/1.1\r\nHost: {host}\r\n\r",
		"before the body":             post("Content-Length: 5"),
		"in the body":                 post("Content-Length: 5") + "hel",
		"before a chunk":              post(chunked),
		"in a chunk size":             post(chunked) + "5",
		"in a chunk":                  post(chunked) + "5\r\nhel",
		"before the last chunk":       post(chunked) + "5\r\nhello\r\n",
		"in the trailers":             post(chunked) + "5\r\nhello\r\n0\r\nX-A: b\r\n",
		"a CL.TE prefix that waits":   post("Content-Length: 6", chunked) + "0\r\n\r\n",
		"a TE.CL prefix that waits":   post("Content-Length: 3", chunked) + "0\r\n\r\n",
		"after 100":                   post("Expect: 100-continue", "Content-Length: 5"),
		"in a body over the buffer":   post("Content-Length: 200000") + strings.Repeat("x", 150_000),
		"in a second request":         get("/first") + "GET /slow",
		"with a body behind HTTP/1.0": lined("POST /slow HTTP/1.0", "Host: {host}", "Content-Length: 5"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := dial(t, f.gateway.address)
			client.send(t, f.expand(sent))
			for {
				answer, err := readResponse(client.reader, "GET")
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("the client isn't cut after %v, want about 1 s", patience)
				}
				if answer == nil || err != nil {
					break
				}
				if first := strings.HasPrefix(sent, "GET /first"); answer.status != 408 && answer.status != 400 && (answer.status != 200 || !first) {
					t.Fatalf("want 408, 400 or the end, got %d", answer.status)
				}
			}
		})
	}
	t.Cleanup(func() {
		for _, r := range f.mock.completed() {
			if r.target != "/first" {
				t.Errorf("%q reached the upstream as whole", r.start)
			}
		}
	})
}

// TestDrippingHeader checks that bytes which trickle in don't prolong the head's
// time (slowloris).
func TestDrippingHeader(t *testing.T) {
	t.Parallel()
	f := startFlow(t, shortTimeouts, nil)
	client := dial(t, f.gateway.address)
	client.send(t, "GET /slow HTTP/1.1\r\nHost: flow.example\r\n")
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, client.reader)
		close(ended)
	}()
	drip := time.NewTicker(100 * time.Millisecond)
	defer drip.Stop()
	for begun := time.Now(); time.Since(begun) < patience; {
		select {
		case <-ended:
			return
		case <-drip.C:
			_, _ = io.WriteString(client, "X: y\r\n")
		}
	}
	t.Errorf("a head that drips for %v isn't cut by header: 1s", patience)
}

// TestSlowReader checks that a client which doesn't read its answer is cut, and
// the upstream let go.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	f := startFlow(t, shortTimeouts, func(r *request) reply {
		if r.probing() {
			return answerOK(r)
		}
		head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
		return reply{parts: []string{head, strings.Repeat("x", size)}, end: hang}
	})
	client := dial(t, f.gateway.address)
	client.send(t, f.expand(get("/slow")))
	eventually(t, patience, "the request reached the upstream", func() bool { return len(f.mock.seen()) == 1 })
	eventually(t, patience, "the gateway closed the upstream connection", func() bool { return f.mock.open() == 0 })
	if answer, err := readResponse(client.reader, "GET"); err == nil {
		t.Errorf("a reader that slept longer than write_idle: 1s got its whole answer, %d bytes", len(answer.body))
	}
	probe(t, dial(t, f.gateway.address), f.mock.host(), "/after-slow")
}

// TestUpstreamTimeouts checks tenants[].timeouts: 504 while nothing was sent, a
// cut afterwards.
func TestUpstreamTimeouts(t *testing.T) {
	t.Parallel()
	begun := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
	f := startFlow(t, "", func(r *request) reply {
		switch r.target {
		case "/silent":
			return reply{end: hang}
		case "/half-line":
			return reply{parts: []string{"HTTP/1.1 20"}, end: hang}
		case "/half-head":
			return reply{parts: []string{"HTTP/1.1 200 OK\r\nX-A: b\r\n"}, end: hang}
		case "/interim":
			return reply{parts: []string{"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"}, end: hang}
		case "/chunk":
			return reply{parts: []string{begun}, end: hang}
		case "/length":
			return reply{parts: []string{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"}, end: hang}
		case "/endless":
			return reply{parts: []string{"HTTP/1.1 200 OK\r\n\r\nhello"}, end: hang}
		}
		return answerOK(r)
	}, "timeouts:", "  response_header: 4s", "  idle: 4s", "  total: 2m") // time enough for the probes behind
	for path, want := range map[string]string{
		"/silent": "504", "/half-line": "504|502", "/half-head": "504|502", "/interim": "504", "/chunk": "cut", "/length": "cut|504", "/endless": "cut",
	} {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			client := dial(t, f.gateway.address)
			client.send(t, f.expand(get(path)))
			got := outcome(readResponse(client.reader, "GET"))
			if !slices.Contains(strings.Split(want, "|"), got) {
				t.Errorf("want %s, got %s", want, got)
			}
			probe(t, dial(t, f.gateway.address), f.mock.host(), "/after"+strings.ReplaceAll(path, "/", "-"))
		})
	}
}
