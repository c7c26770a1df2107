package proxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// speaking starts a server with a tenant whose target answers by the path that it
// is asked for, in every way in which an answer may end.
func speaking(t *testing.T, settings string) *proxy.Server {
	t.Helper()
	address := target(t, func(conn net.Conn) {
		for in := bufio.NewReader(conn); ; {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if r.URL.Path != "/early" {
				_, _ = io.Copy(io.Discard, r.Body)
			}
			answer, ends := map[string]string{
				"/sized":       "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
				"/early":       "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
				"/hints":       "HTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
				"/chunked":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
				"/until":       "HTTP/1.1 200 OK\r\n\r\nhello",
				"/cut":         "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
				"/cut-chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
			}[r.URL.Path], r.URL.Path != "/sized" && r.URL.Path != "/hints" && r.URL.Path != "/chunked"
			if r.Method == http.MethodHead {
				answer = answer[:strings.Index(answer, "\r\n\r\n")+4]
			}
			if _, err := io.WriteString(conn, answer); err != nil || ends {
				return
			}
		}
	})
	return start(t, settings+"access_log: {enabled: false}\ntenants:\n  - {name: a, domains: [example.com], services: [{url: \"http://"+address+"\"}]}\n")
}

func connect(t *testing.T, server *proxy.Server) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn.(*net.TCPConn)
}

// TestConnectionsGoOn: after which requests a connection has another one, and what
// the client is told of that. Where it has none, it ends in order.
func TestConnectionsGoOn(t *testing.T) {
	t.Parallel()
	server := speaking(t, "request_limits: {max_body_size: 200KB}\n")
	const host, other = "\r\nHost: example.com\r\n", "\r\nHost: nobody.example\r\n"
	large := func(n int) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", n, strings.Repeat("x", n)) }
	for name, c := range map[string]struct {
		request    string
		status     int
		connection string // the field of the answer
		body       string
		goesOn     bool
	}{
		"sized":                     {"GET /sized HTTP/1.1" + host + "\r\n", 200, "", "hello", true},
		"chunked":                   {"GET /chunked HTTP/1.1" + host + "\r\n", 200, "", "hello", true},
		"until the end":             {"GET /until HTTP/1.1" + host + "\r\n", 200, "", "hello", true},
		"HEAD":                      {"HEAD /chunked HTTP/1.1" + host + "\r\n", 200, "", "", true},
		"asked to close":            {"GET /sized HTTP/1.1" + host + "Connection: close\r\n\r\n", 200, "close", "hello", false},
		"1.0":                       {"GET /sized HTTP/1.0" + host + "\r\n", 200, "close", "hello", false},
		"1.0, kept":                 {"GET /sized HTTP/1.0" + host + "Connection: keep-alive\r\n\r\n", 200, "keep-alive", "hello", true},
		"1.0, unsized":              {"GET /chunked HTTP/1.0" + host + "Connection: keep-alive\r\n\r\n", 200, "close", "hello", false},
		"1.0, HEAD of it":           {"HEAD /chunked HTTP/1.0" + host + "Connection: keep-alive\r\n\r\n", 200, "keep-alive", "", true},
		"a body":                    {"POST /sized HTTP/1.1" + host + large(70_000), 200, "", "hello", true},
		"an empty line before":      {"\r\nGET /sized HTTP/1.1" + host + "\r\n", 200, "", "hello", true},
		"no tenant":                 {"GET / HTTP/1.1" + other + "\r\n", 404, "", "*", true},
		"a small body that's left":  {"POST / HTTP/1.1" + other + large(10), 404, "", "*", true},
		"the largest that's read":   {"POST / HTTP/1.1" + other + large(64<<10), 404, "", "*", true},
		"a larger one":              {"POST / HTTP/1.1" + other + large(64<<10+1), 404, "close", "*", false},
		"chunks that are left":      {"POST / HTTP/1.1" + other + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 404, "close", "*", false},
		"a body that's waited for":  {"POST / HTTP/1.1" + other + "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n", 404, "close", "*", false},
		"too large a body":          {"POST / HTTP/1.1" + host + large(200_001), 413, "close", "*", false},
		"no HTTP":                   {"GET / HTTQ\r\n\r\n", 400, "close", "*", false},
		"a host that isn't there":   {"GET / HTTP/1.1\r\n\r\n", 400, "close", "*", false},
		"an expectation":            {"GET / HTTP/1.1" + host + "Expect: more\r\n\r\n", 417, "close", "*", false},
		"TLS":                       {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n", 400, "close", "*", false},
		"followed by what is empty": {"GET /sized HTTP/1.1" + host + "\r\n\r\n", 200, "", "hello", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, server)
			in := bufio.NewReader(conn)
			go func() { _, _ = io.WriteString(conn, c.request) }() // who is refused may be told before all is sent
			method, _, _ := strings.Cut(strings.TrimSpace(c.request), " ")
			response, err := http.ReadResponse(in, &http.Request{Method: method})
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			if got := response.Header.Get("Connection"); response.StatusCode != c.status || got != c.connection && response.Close != (c.connection == "close") || c.body != "*" && string(body) != c.body || err != nil {
				t.Errorf("got %s, Connection %q, %q, %v", response.Status, got, body, err)
			}
			if (name == "TLS") != strings.Contains(string(body), "was spoken to in TLS") {
				t.Errorf("got %q", body)
			}
			if !c.goesOn {
				if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
					t.Errorf("the connection ends with %q, %v", rest, err)
				}
				return
			}
			_, _ = io.WriteString(conn, "GET /sized HTTP/1.1"+host+"\r\n")
			if err := answered(in); err != nil {
				t.Errorf("the next request: %v", err)
			}
		})
	}
}

// TestConnectionsAreCut: an answer that is cut never looks complete, and where its
// end says nothing, the connection is reset.
func TestConnectionsAreCut(t *testing.T) {
	t.Parallel()
	server := speaking(t, "")
	for name, c := range map[string]struct {
		request string
		reset   bool
	}{
		"sized":        {"GET /cut HTTP/1.1", false},
		"chunked":      {"GET /cut-chunked HTTP/1.1", false},
		"sized, 1.0":   {"GET /cut HTTP/1.0", false},
		"unsized, 1.0": {"GET /cut-chunked HTTP/1.0", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, server)
			send(t, conn, c.request+"\r\nHost: example.com\r\n\r\n")
			got, err := io.ReadAll(conn)
			if errors.Is(err, syscall.ECONNRESET) != c.reset || err != nil && !c.reset {
				t.Errorf("the connection ends with %v; to be reset: %v", err, c.reset)
			}
			if !c.reset && (!strings.Contains(string(got), "hello") || strings.HasSuffix(string(got), "0\r\n\r\n")) {
				t.Errorf("got %q", got)
			}
		})
	}
}

// TestInterimsByVersion: who speaks HTTP/1.0 gets no interim response, and who
// waits for 100 Continue gets it once.
func TestInterimsByVersion(t *testing.T) {
	t.Parallel()
	server := speaking(t, "")
	const expects = "Expect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
	for name, c := range map[string]struct {
		request, body string
		want          string // statuses
	}{
		"1.1":                       {"GET /hints HTTP/1.1\r\nConnection: close\r\nHost: example.com\r\n\r\n", "", "103 200"},
		"1.0":                       {"GET /hints HTTP/1.0\r\nHost: example.com\r\n\r\n", "", "200"},
		"waits":                     {"POST /sized HTTP/1.1\r\nHost: example.com\r\n" + expects, "hello", "100 200"},
		"waits, and more":           {"POST /hints HTTP/1.1\r\nHost: example.com\r\n" + expects, "hello", "100 103 200"},
		"1.0 waits for nothing":     {"POST /sized HTTP/1.0\r\nHost: example.com\r\n" + expects + "hello", "", "200"},
		"waits for what is refused": {"POST /sized HTTP/1.1\r\nHost: nobody.example\r\n" + expects, "", "404"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, server)
			send(t, conn, c.request)
			in := bufio.NewReader(conn)
			var got []string
			for {
				response, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatal(got, err)
				}
				if got = append(got, fmt.Sprint(response.StatusCode)); response.StatusCode >= 200 {
					break
				}
				if response.StatusCode == 100 {
					send(t, conn, c.body)
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %q, want %s", got, c.want)
			}
		})
	}
}

// TestHeadsToTheLast: a head of the largest size is served, one byte more is too
// large.
func TestHeadsToTheLast(t *testing.T) {
	t.Parallel()
	const most = 1000
	server := speaking(t, "request_limits: {max_header_size: 1KB, max_url_size: 500B}\n")
	head := func(length int) string {
		const begin, end = "GET /sized HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\nX: ", "\r\n\r\n"
		return begin + strings.Repeat("x", length-len(begin)-len(end)) + end
	}
	for length, want := range map[int]int{most - 1: 200, most: 200, most + 1: 431} {
		conn := connect(t, server)
		send(t, conn, head(length))
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || response.StatusCode != want {
			t.Errorf("a head of %d bytes: %v, %v; want %d", length, response, err, want)
		}
	}
}

// TestSlowHeads: a head that doesn't come to its end is answered, one that hasn't
// begun is not.
func TestSlowHeads(t *testing.T) {
	t.Parallel()
	address := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	server := serve(t, "server: {address: \"127.0.0.1:0\", timeouts: {header: 200ms, keepalive: 75s}}\naccess_log: {enabled: false}\ntenants:\n  - {name: a, domains: [example.com], services: [{url: \"http://"+address+"\"}]}\n")
	const request = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"
	for name, c := range map[string]struct {
		first, parts string
		status       string // "" is the end without an answer
	}{
		"nothing":                      {"", "", ""},
		"an empty line":                {"", "\r\n", ""},
		"half a line":                  {"", "GET / HT", "408"},
		"half a head":                  {"", "GET / HTTP/1.1\r\nHost: example.com\r\n", "408"},
		"an empty line and half":       {"", "\r\nGET", "408"},
		"half a line, the second time": {request, "GET / HT", "408"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, server)
			in := bufio.NewReader(conn)
			if c.first != "" {
				send(t, conn, c.first)
				if err := answered(in); err != nil {
					t.Fatal(err)
				}
			}
			send(t, conn, c.parts)
			rest, err := io.ReadAll(in)
			if errors.Is(err, os.ErrDeadlineExceeded) || c.status == "" && len(rest) > 0 || c.status != "" && !strings.HasPrefix(string(rest), "HTTP/1.1 "+c.status+" ") {
				t.Errorf("got %q, %v; want %q", rest, err, c.status)
			}
		})
	}
}

// TestAnswersArrive: who is refused and sends on nonetheless gets the answer, and
// not a reset in its place.
func TestAnswersArrive(t *testing.T) {
	t.Parallel()
	server := speaking(t, "")
	for name, head := range map[string]string{
		"sized":   "POST / HTTP/1.1\r\nHost: nobody.example\r\nContent-Length: 9000000\r\n\r\n",
		"chunked": "POST / HTTP/1.1\r\nHost: nobody.example\r\nTransfer-Encoding: chunked\r\n\r\n8954400\r\n",
		"no HTTP": "nonsense\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, server)
			send(t, conn, head)
			for part := strings.Repeat("x", 1<<20); len(head) < 4<<20; head += part { // more than sockets hold
				if _, err := io.WriteString(conn, part); err != nil {
					t.Fatal(err)
				}
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || response.StatusCode < 400 || !response.Close {
				t.Errorf("%v, %v; want a refusal", response, err)
			}
		})
	}
}
