package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// TestExpectForward: with expect: forward, the target says whether it wants a
// large body, and the client is told when it does.
func TestExpectForward(t *testing.T) {
	t.Parallel()
	const large = 100_000
	read := func(conn net.Conn, reader *bufio.Reader, r *request) {
		copied := request{message: r.message}
		if copied.readBody(reader, false) == nil {
			_, _ = io.WriteString(conn, answer("200 OK", fmt.Sprint(len(copied.body)), fmt.Sprintf("Content-Length: %d", len(fmt.Sprint(len(copied.body)))), "Connection: close"))
		}
	}
	f := startFlow(t, "", func(r *request) reply {
		play := func(conn net.Conn, reader *bufio.Reader) { read(conn, reader, r) }
		switch r.target {
		case "/continue":
			return reply{parts: []string{"HTTP/1.1 100 Continue\r\n\r\n"}, early: true, play: play}
		case "/hints":
			return reply{parts: []string{"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Go\r\n\r\n"}, early: true, play: play}
		case "/hints-only":
			return reply{parts: []string{"HTTP/1.1 103 Early Hints\r\n\r\n"}, early: true, play: play}
		case "/silent":
			return reply{early: true, play: play}
		case "/refuse":
			return reply{parts: []string{answer("403 x", "no", length2)}, early: true, end: hang}
		case "/417":
			return reply{parts: []string{answer("417 x", "no", length2)}, early: true, end: hang}
		}
		return answerOK(r)
	}, "expect: forward")
	for name, c := range map[string]struct {
		path, framing, body string
		interim             string // before the body is sent
		status              int
		want                string // at the target
	}{
		"wanted":            {"/continue", fmt.Sprintf("Content-Length: %d", large), strings.Repeat("x", large), "[100]", 200, "100-continue"},
		"wanted, chunked":   {"/continue", chunked, fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", large, strings.Repeat("x", large)), "[100]", 200, "100-continue"},
		"hints before":      {"/hints", fmt.Sprintf("Content-Length: %d", large), strings.Repeat("x", large), "[103 100]", 200, "100-continue"},
		"hints, then none":  {"/hints-only", fmt.Sprintf("Content-Length: %d", large), strings.Repeat("x", large), "[103 100]", 200, "100-continue"},
		"no word":           {"/silent", fmt.Sprintf("Content-Length: %d", large), strings.Repeat("x", large), "[100]", 200, "100-continue"},
		"refused":           {"/refuse", fmt.Sprintf("Content-Length: %d", large), "", "[]", 403, "100-continue"},
		"refused, chunked":  {"/refuse", chunked, "", "[]", 403, "100-continue"},
		"expectation fails": {"/417", chunked, "", "[]", 417, "100-continue"},
		"too large":         {"/continue", fmt.Sprintf("Content-Length: %d", bodyLimit+1), "", "[]", 413, ""},
		"small":             {"/small", "Content-Length: 5", "hello", "[100]", 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := dial(t, f.gateway.address)
			client.send(t, f.expand(strings.Replace(post("Expect: 100-continue", c.framing, "X-Case: "+name), "/p", c.path, 1)))
			interim := []int{}
			for strings.Contains(c.interim, "100") {
				head, err := readHead(client.reader)
				if err != nil {
					t.Fatal(err)
				}
				var status int
				_, _ = fmt.Sscanf(head.start, "HTTP/1.1 %d", &status)
				if interim = append(interim, status); status != 103 {
					break
				}
			}
			if fmt.Sprint(interim) != c.interim {
				t.Fatalf("interim answers %v, want %s", interim, c.interim)
			}
			client.send(t, c.body)
			got := client.answer(t, "POST")
			if got.status != c.status || c.status == 200 && c.want != "" && string(got.body) != fmt.Sprint(large) || len(got.interim) > 0 {
				t.Errorf("%q after %v: %q", got.start, got.interim, got.body)
			}
			if got.closes() != (c.status != 200) {
				t.Errorf("%d with Connection %q", c.status, got.values("Connection"))
			}
			found := f.mock.filtered(func(r *request) bool { return r.hasLine("X-Case: " + name) })
			if (len(found) == 1) != (c.status != 413) || len(found) == 1 && strings.Join(found[0].values("Expect"), "|") != c.want {
				t.Errorf("the target saw %d requests: %q", len(found), starts(found))
			}
			for _, r := range found {
				if c.status != 200 && len(f.mock.filtered(func(other *request) bool { return other.conn == r.conn && other.seq > r.seq })) > 0 {
					t.Error("a connection on which a body is owed was used again")
				}
			}
			if c.status == 200 {
				probe(t, client, f.mock.host(), "/again-1")
			}
		})
	}
}
