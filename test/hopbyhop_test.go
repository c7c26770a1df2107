package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
)

// TestUpgradeOffers: of what a client offers, only HTTP itself is taken away,
// and a target can't choose it.
func TestUpgradeOffers(t *testing.T) {
	t.Parallel()
	f := startFlow(t, "", func(r *request) reply {
		if choice, ok := strings.CutPrefix(r.target, "/choose-"); ok {
			return reply{parts: []string{"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: " + choice + "\r\n\r\n"}, play: echo}
		}
		return answerOK(r)
	})
	for name, c := range map[string]struct {
		path  string
		lines []string
		want  []string // Upgrade at the target
		got   string
	}{
		"websocket and h2c":       {"/choose-websocket", []string{"Connection: Upgrade", "Upgrade: websocket, h2c"}, []string{"websocket"}, "101"},
		"h2c first":               {"/choose-websocket", []string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c,WebSocket", "HTTP2-Settings: AA"}, []string{"WebSocket"}, "101"},
		"two fields":              {"/choose-b", []string{"Connection: Upgrade", "Upgrade: H2C", "Upgrade: a/1, , b"}, []string{"a/1, b"}, "101"},
		"all of them":             {"/choose-a", []string{"Connection: Upgrade", "Upgrade: a, b/2"}, []string{"a, b/2"}, "101"},
		"only h2c":                {"/p", []string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA"}, nil, "200"},
		"only HTTP and TLS":       {"/p", []string{"Connection: Upgrade", "Upgrade: TLS/1.0, HTTP/2.0, h2"}, nil, "200"},
		"chosen but taken away":   {"/choose-h2c", []string{"Connection: Upgrade", "Upgrade: websocket, h2c"}, []string{"websocket"}, "502"},
		"chosen and not offered":  {"/choose-b", []string{"Connection: Upgrade", "Upgrade: a"}, []string{"a"}, "502"},
		"no word in Connection":   {"/p", []string{"Upgrade: websocket"}, nil, "200"},
		"h2c in another position": {"/choose-c", []string{"Connection: Upgrade", "Upgrade: a , h2c , c"}, []string{"a, c"}, "101"},
	} {
		t.Run(name, func(t *testing.T) {
			client := dial(t, f.gateway.address)
			client.send(t, f.expand(get(c.path, c.lines...)))
			answer, err := readResponse(client.reader, "GET")
			if got := outcome(answer, err); got != c.got {
				t.Fatalf("got %s, want %s", got, c.got)
			}
			seen := f.mock.seen()
			r := seen[len(seen)-1]
			if got := r.values("Upgrade"); !slices.Equal(got, c.want) || r.values("HTTP2-Settings") != nil {
				t.Errorf("the target was offered %q, want %q", got, c.want)
			}
			if want := (c.want != nil); want != slices.Equal(r.values("Connection"), []string{"Upgrade"}) {
				t.Errorf("the target got Connection %q", r.values("Connection"))
			}
		})
	}
}

// TestUpgradeWithBody: a request with a body may ask for another protocol, as
// attaching to a container does. What follows the body is the protocol's, and
// waits for the body to end.
func TestUpgradeWithBody(t *testing.T) {
	t.Parallel()
	const switched = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
	f := startFlow(t, "server:\n  timeouts: {body_idle: 2s}\n", func(r *request) reply {
		switch r.target {
		case "/p":
			return reply{parts: []string{switched}, play: echo}
		case "/early":
			return reply{parts: []string{switched + "early "}, early: true, play: func(conn net.Conn, reader *bufio.Reader) {
				copied := request{message: r.message}
				if copied.readBody(reader, false) == nil {
					_, _ = fmt.Fprintf(conn, "%d ", len(copied.body))
					echo(conn, reader)
				}
			}}
		case "/refuse":
			return reply{parts: []string{"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n"}}
		}
		return answerOK(r)
	})
	ask := []string{"Connection: Upgrade", "Upgrade: tcp"}
	big := strings.Repeat("x", 200_000)
	for name, c := range map[string]struct{ path, framing, body, follows, want string }{
		"no body":         {"/p", "Content-Length: 0", "", "ping", "pingbye"},
		"small":           {"/p", "Content-Length: 5", "hello", "ping", "pingbye"},
		"large":           {"/p", "Content-Length: 200000", big, "ping", "pingbye"},
		"chunked":         {"/p", chunked, hello, "ping", "pingbye"},
		"chunked, large":  {"/p", chunked, "30d40\r\n" + big + "\r\n0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n\r\nbye"},
		"answered early":  {"/early", "Content-Length: 200000", big, "ping", "early 200000 pingbye"},
		"early, chunked":  {"/early", chunked, hello, "ping", "early 5 pingbye"},
		"within one send": {"/p", "Content-Length: 5", "hello", "", "bye"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := dial(t, f.gateway.address)
			head := strings.Replace(f.expand(post(append(ask, c.framing)...)), "/p", c.path, 1)
			go client.write([]string{head, c.body, c.follows}, false)
			answer, err := readResponse(client.reader, "POST")
			if err != nil || answer.status != 101 || !answer.hasLine("Upgrade: tcp") || !answer.hasLine("Content-Type: application/vnd.docker.raw-stream") {
				t.Fatal(answer, err)
			}
			got := make([]byte, len(c.want)-len("bye"))
			if _, err := io.ReadFull(client.reader, got); err != nil || string(got)+"bye" != c.want {
				t.Fatalf("%q, %v; want %q", got, err, c.want)
			}
			_ = client.CloseWrite()
			if rest, err := io.ReadAll(client.reader); string(rest) != "bye" || err != nil {
				t.Errorf("%q, %v at the end", rest, err)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		client := dial(t, f.gateway.address)
		client.send(t, strings.Replace(f.expand(post(append(ask, "Content-Length: 5")...)), "/p", "/refuse", 1)+"hello")
		if answer := client.answer(t, "POST"); answer.status != 409 {
			t.Error(answer.start)
		}
		probe(t, client, f.mock.host(), "/again-1")
	})
	t.Run("a body that never ends", func(t *testing.T) {
		t.Parallel()
		client := dial(t, f.gateway.address)
		client.send(t, strings.Replace(f.expand(post(append(ask, "Content-Length: 200000")...)), "/p", "/early", 1)+"hello")
		if answer, err := readResponse(client.reader, "POST"); err != nil || answer.status != 408 {
			t.Error(answer, err)
		}
	})
}

// TestUpgradeRequired: a 426 keeps its Upgrade (RFC 9110 §15.5.22), other
// answers don't.
func TestUpgradeRequired(t *testing.T) {
	t.Parallel()
	f := startFlow(t, "", func(r *request) reply {
		if r.probing() {
			return answerOK(r)
		}
		return reply{parts: []string{answer(r.target[1:]+" x", "no", length2, "Upgrade: HTTP/3.0, websocket", "Connection: Upgrade")}}
	})
	for _, c := range []struct {
		path, version string
		lines         []string
		want          string
	}{
		{"/426", "HTTP/1.1", nil, "Upgrade"},
		{"/426", "HTTP/1.1", []string{"Connection: close"}, "close, Upgrade"},
		{"/426", "HTTP/1.0", []string{"Connection: keep-alive"}, "keep-alive, Upgrade"},
		{"/426", "HTTP/1.1", []string{"Connection: Upgrade", "Upgrade: x"}, "Upgrade"},
		{"/200", "HTTP/1.1", nil, ""},
		{"/400", "HTTP/1.1", nil, ""},
	} {
		client := dial(t, f.gateway.address)
		client.send(t, f.expand(lined("GET "+c.path+" "+c.version, append(c.lines, "Host: {host}")...)))
		answer := client.answer(t, "GET")
		got := strings.Join(answer.values("Connection"), ", ")
		if upgrade := answer.values("Upgrade"); got != c.want || (len(upgrade) == 1 && upgrade[0] == "HTTP/3.0, websocket") != (c.path == "/426") {
			t.Errorf("%s %q: Connection %q, Upgrade %q; want %q", c.path, c.lines, got, upgrade, c.want)
		}
		if !answer.closes() {
			probe(t, client, f.mock.host(), "/again-1")
		}
	}
}
