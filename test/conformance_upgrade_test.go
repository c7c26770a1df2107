package test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

const switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

// upgrade is a WebSocket handshake with names in their own case.
func upgrade(path string) string {
	return get(path, "Connection: keep-alive, Upgrade", "Upgrade: websocket", "sec-websocket-version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
}

// echo sends back what it receives until the other side ends, then says bye.
func echo(conn net.Conn, r *bufio.Reader) {
	_, _ = io.Copy(conn, r)
	_, _ = io.WriteString(conn, "bye")
}

// tunnels is the script of an upstream that takes up every handshake.
func tunnels(r *request) reply {
	switch r.target {
	case "/echo":
		return reply{parts: []string{switching}, play: echo}
	case "/greets":
		return reply{parts: []string{switching + "welcome"}, play: echo}
	case "/leaves":
		return reply{parts: []string{switching + "welcome"}, end: fin}
	case "/after-103":
		return reply{parts: []string{"HTTP/1.1 103 x\r\n\r\n" + switching}, play: echo}
	}
	return answerOK(r)
}

// TestHandshake checks that a handshake passes both ways byte for byte.
func TestHandshake(t *testing.T) {
	t.Parallel()
	f := startFlow(t, "", tunnels)
	client, answer := f.open(t, upgrade("/echo"))
	if answer.status != 101 || !answer.hasLine("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") ||
		!strings.EqualFold(strings.Join(answer.values("Upgrade"), ","), "websocket") ||
		!strings.Contains(strings.ToLower(strings.Join(answer.values("Connection"), ",")), "upgrade") {
		t.Fatalf("want the upstream's 101, got %q with %q", answer.start, answer.fields)
	}
	seen := f.mock.seen()
	if wrong := line("sec-websocket-version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")(seen[0]); wrong != "" {
		t.Errorf("the upstream got the handshake changed: %s", wrong)
	}
	if !strings.EqualFold(strings.Join(seen[0].values("Upgrade"), ","), "websocket") ||
		!strings.EqualFold(strings.Join(seen[0].values("Connection"), ","), "upgrade") {
		t.Errorf("the upstream got Connection %q and Upgrade %q", seen[0].values("Connection"), seen[0].values("Upgrade"))
	}
	client.close()
}

// TestTunnel checks bytes in both directions, bytes that come early, and the
// end from either side.
func TestTunnel(t *testing.T) {
	t.Parallel()
	f := startFlow(t, "", tunnels)
	for name, c := range map[string]struct{ path, early, want string }{
		"echo":                           {"/echo", "", "ping-1ping-2bye"},
		"bytes right behind the request": {"/echo", "GET /canary HTTP/1.1\r\n\r\n", "GET /canary HTTP/1.1\r\n\r\nping-1ping-2bye"},
		"bytes right behind the 101":     {"/greets", "", "welcomeping-1ping-2bye"},
		"both at once":                   {"/greets", "early", "welcomeearlyping-1ping-2bye"},
		"behind an interim answer":       {"/after-103", "", "ping-1ping-2bye"},
	} {
		t.Run(name, func(t *testing.T) {
			client, answer := f.open(t, upgrade(c.path)+c.early)
			if answer.status != 101 {
				t.Fatalf("want 101, got %d", answer.status)
			}
			client.send(t, "ping-1")
			client.send(t, "ping-2")
			_ = client.CloseWrite()
			if got, err := io.ReadAll(client.reader); string(got) != c.want || err != nil {
				t.Errorf("want %q through the tunnel, got %q, %v", c.want, got, err)
			}
		})
	}
	t.Run("the upstream ends the tunnel", func(t *testing.T) {
		client, _ := f.open(t, upgrade("/leaves"))
		if got, err := io.ReadAll(client.reader); string(got) != "welcome" || err != nil {
			t.Errorf("want %q and the end, got %q, %v", "welcome", got, err)
		}
	})
	t.Run("a megabyte each way", func(t *testing.T) {
		client, _ := f.open(t, upgrade("/echo"))
		text := strings.Repeat("0123456789abcdef", 1<<16)
		client.write([]string{text}, true)
		if got, err := io.ReadAll(client.reader); string(got) != text+"bye" || err != nil {
			t.Errorf("want %d bytes back, got %d, %v", len(text)+3, len(got), err)
		}
	})
	t.Run("a tunnel ends with its connection", func(t *testing.T) {
		client, _ := f.open(t, upgrade("/echo"))
		before := f.mock.open()
		client.reset()
		eventually(t, patience, "the upstream's side of the tunnel ended", func() bool { return f.mock.open() < before })
	})
	for _, r := range f.mock.smuggled() {
		t.Errorf("bytes of a tunnel were taken for the request %q", r.start)
	}
}

// TestUpgradeRefused checks what is no tunnel although someone wants it to be.
func TestUpgradeRefused(t *testing.T) {
	t.Parallel()
	f := startFlow(t, "", func(r *request) reply {
		switch r.target {
		case "/403":
			return reply{parts: []string{answer("403 x", "no", "Content-Length: 2", "X-Answer-To: /403")}}
		case "/426":
			return reply{parts: []string{answer("426 x", "no", "Content-Length: 2", "Upgrade: websocket", "Connection: Upgrade")}}
		case "/other", "/plain":
			return reply{parts: []string{"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: EVIL\r\n\r\n" + evil}}
		}
		return answerOK(r)
	})
	for name, c := range map[string]struct{ send, want string }{
		"403":                          {upgrade("/403"), "403"},
		"426":                          {upgrade("/426"), "426"},
		"200":                          {upgrade("/200"), "200"},
		"101 to another protocol":      {upgrade("/other"), "502"},
		"101 to a plain request":       {get("/plain"), "502"},
		"101 to Connection: Upgrade":   {get("/plain", "Connection: Upgrade"), "502"},
		"101 to Upgrade alone":         {get("/plain", "Upgrade: websocket"), "502"},
		"101 to HTTP/1.0":              {strings.Replace(upgrade("/plain"), "HTTP/1.1", "HTTP/1.0", 1), "502"},
		"handshake with bad framing":   {strings.Replace(upgrade("/200"), "\r\n\r\n", "\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 1), "400"},
		"handshake for an unknown one": {strings.Replace(upgrade("/200"), "{host}", "nobody.example", 1), "404"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := dial(t, f.gateway.address)
			client.send(t, f.expand(c.send))
			answer, err := readResponse(client.reader, "GET")
			if got := outcome(answer, err); got != c.want {
				t.Fatalf("want %s, got %s", c.want, got)
			}
			switch {
			case answer.closes() || answer.status == 400:
				client.expectEnd(t)
			case !strings.Contains(c.send, "HTTP/1.0"): // which needn't announce its end
				probe(t, client, f.mock.host(), "/again-1")
			}
			probe(t, dial(t, f.gateway.address), f.mock.host(), "/after-1")
		})
	}
}

// open sends a request on a new connection and reads the head of its answer.
func (f *flow) open(t *testing.T, send string) (*client, *response) {
	t.Helper()
	client := dial(t, f.gateway.address)
	client.send(t, f.expand(send))
	answer, err := readResponse(client.reader, "GET")
	var violation malformed
	if answer == nil || errors.As(err, &violation) {
		t.Fatalf("no answer to the handshake: %v", err)
	}
	return client, answer
}
