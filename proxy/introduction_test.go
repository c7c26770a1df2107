package proxy_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// telling starts an upstream that answers with what a request says of its client.
func telling(t *testing.T) (address string) {
	t.Helper()
	return target(t, func(conn net.Conn) {
		for in := bufio.NewReader(conn); ; {
			request, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			body := request.Header.Get("X-Forwarded-For") + " " + request.Header.Get("X-Forwarded-Proto")
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
	})
}

const tell = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.1\r\n\r\n"

// told reads an answer: the body of one with 200, else its status.
func told(in *bufio.Reader) string {
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		return "nothing"
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return fmt.Sprint(response.StatusCode)
	}
	return string(body)
}

func dial(t *testing.T, server *proxy.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

const (
	headerV2    = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x01\x9c\x40\x01\xbb"
	headerOfTLS = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x31\xc0\x00\x02\x07\xc6\x33\x64\x01\x9c\x40\x01\xbb" +
		"\x02\x00\x0bshop.\"x\nabc" + "\x05\x00\x02id" + "\x20\x00\x0f\x01\x00\x00\x00\x00\x21\x00\x07TLSv1.3"
	headerLocal = "\r\n\r\n\x00\r\nQUIT\n\x20\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x01\x9c\x40\x01\xbb"
	headerUnix  = "\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\xd8"
)

// TestProxyProtocol says who the client is in each way, and demands what the
// target is told of it. The peer itself is a trusted proxy, and so is
// 198.51.100.9: what they say of others must count only where they are the client.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "access.log")
	server := serve(t, fmt.Sprintf("server: {address: \"127.0.0.1:0\", trusted_proxies: [127.0.0.0/8, 198.51.100.9], proxy_protocol: {from: [127.0.0.0/8]}}\n"+
		"access_log: {output: %q}\ntenants: [{name: a, path_prefix: /, services: [{url: \"http://%s\"}]}]\n", log, telling(t)))
	for name, test := range map[string]struct{ header, want string }{
		"v1":                     {"PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n", "192.0.2.7 http"},
		"v1 of a trusted proxy":  {"PROXY TCP4 198.51.100.9 198.51.100.1 40000 443\r\n", "203.0.113.1, 198.51.100.9 http"},
		"v1 unknown":             {"PROXY UNKNOWN\r\n", "127.0.0.1 http"},
		"v2":                     {headerV2, "192.0.2.7 http"},
		"v2 from TLS":            {headerOfTLS, "192.0.2.7 https"},
		"v2 local":               {headerLocal, "127.0.0.1 http"},
		"v2 from a Unix socket":  {headerUnix + strings.Repeat("\x00", 216), "127.0.0.1 http"},
		"none":                   {"", "nothing"},
		"one in front of itself": {headerV2 + headerV2, "400"},
	} {
		conn := dial(t, server)
		send(t, conn, test.header+tell)
		in := bufio.NewReader(conn)
		if got := told(in); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
		if strings.HasSuffix(test.want, "http") { // the second request of the connection has the same client
			send(t, conn, tell)
			if got := told(in); got != test.want {
				t.Errorf("%s, second request: %s, want %s", name, got, test.want)
			}
		}
	}
	conn := dial(t, server) // byte by byte
	for i := range headerOfTLS {
		send(t, conn, headerOfTLS[i:i+1])
	}
	send(t, conn, tell)
	if got := told(bufio.NewReader(conn)); got != "192.0.2.7 https" {
		t.Errorf("byte by byte: %s", got)
	}
	eventually(t, "the access log says what the header has said", func() bool {
		lines, _ := os.ReadFile(log)
		return strings.Contains(string(lines), `"peer":"192.0.2.7","client":"192.0.2.7","proxy":"127.0.0.1","proxy_server_name":"shop.\"x\u000aabc","proxy_id":"id","proxy_tls":"TLSv1.3"`) &&
			strings.Contains(string(lines), `"proxy":"127.0.0.1","proxy_local":true,`)
	})
}

// TestProxyProtocolPolicies: where the load balancer doesn't say who the client is,
// the policy ip refuses it, whatever is allowed, the load balancer's own address
// too, and a Unix socket's clients.
func TestProxyProtocolPolicies(t *testing.T) {
	t.Parallel()
	target := echoing(t, "")
	tenant := func(name, policy string) string {
		return fmt.Sprintf("- {name: %s, domains: [%[1]s.example.com], policies: [%s, {headers: {request: {set: {X-Client: '${client_address}'}}}}], services: [{url: 'http://%s'}]}\n", name, policy, target)
	}
	tenants := "tenants:\n" + tenant("allow", "{ip: {allow: [127.0.0.0/8, 192.0.2.0/24, unix]}}") + tenant("deny", "{ip: {deny: 10.0.0.0/8}}") + tenant("all", "{headers: {request: {remove: X}}}")
	socket := filepath.Join(t.TempDir(), "s")
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": "unix:" + socket} {
		server := serve(t, "server: {address: '"+address+"', trusted_proxies: [127.0.0.0/8, unix], proxy_protocol: {from: [127.0.0.0/8, unix]}}\naccess_log: {enabled: false}\n"+tenants)
		if network == "tcp" {
			address = server.Addr().String()
		} else {
			address = socket
		}
		for _, test := range []struct{ header, host, want string }{
			{headerV2, "allow", "192.0.2.7"}, {headerV2, "deny", "192.0.2.7"}, {headerV2, "all", "192.0.2.7"},
			{"PROXY UNKNOWN\r\n", "allow", "403"}, {"PROXY UNKNOWN\r\n", "deny", "403"}, {"PROXY UNKNOWN\r\n", "all", "unknown"},
			{headerLocal, "allow", "403"}, {headerLocal, "deny", "403"}, {headerLocal, "all", "unknown"},
			{headerUnix + strings.Repeat("\x00", 216), "allow", "403"},
		} {
			conn, err := net.Dial(network, address)
			if err != nil {
				t.Fatal(err)
			}
			send(t, conn, test.header+"GET / HTTP/1.1\r\nHost: "+test.host+".example.com\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n\r\n")
			got := told(bufio.NewReader(conn))
			_ = conn.Close()
			if _, rest, echoed := strings.Cut(got, "X-Client: "); echoed {
				got, _, _ = strings.Cut(rest, "\r\n")
			}
			if got != test.want {
				t.Errorf("%s, %q to %s: got %q, want %q", network, test.header, test.host, got, test.want)
			}
		}
	}
}

// TestProxyProtocolBeforeTLS has the header come before TLS, in one write with
// the handshake's first bytes.
func TestProxyProtocolBeforeTLS(t *testing.T) {
	t.Parallel()
	cert, key := keyPair(t)
	server := serve(t, fmt.Sprintf("server: {address: \"127.0.0.1:0\", proxy_protocol: {from: [127.0.0.1]}}\ntls: {enabled: true, cert_file: %q, key_file: %q}\n"+
		"access_log: {enabled: false}\ntenants: [{name: a, path_prefix: /, services: [{url: \"http://%s\"}]}]\n", cert, key, telling(t)))
	secure := tls.Client(&prefixed{Conn: dial(t, server), prefix: headerV2}, &tls.Config{InsecureSkipVerify: true})
	send(t, secure, tell)
	if got := told(bufio.NewReader(secure)); got != "192.0.2.7 https" {
		t.Errorf("over TLS: %s", got)
	}
}

// prefixed sends something before the first bytes.
type prefixed struct {
	net.Conn
	prefix string
}

func (p *prefixed) Write(b []byte) (int, error) {
	if p.prefix == "" {
		return p.Conn.Write(b)
	}
	_, err := p.Conn.Write(append([]byte(p.prefix), b...))
	p.prefix = ""
	return len(b), err
}

// TestProxyProtocolOfStrangers sends headers from where none is believed.
func TestProxyProtocolOfStrangers(t *testing.T) {
	t.Parallel()
	const config = "server: {address: \"127.0.0.1:0\", proxy_protocol: {from: [192.0.2.0/24, unix], required: %v}}\n" +
		"access_log: {enabled: false}\ntenants: [{name: a, path_prefix: /, services: [{url: \"http://%s\"}]}]\n"
	log, address := &lockedBuffer{}, telling(t)
	server := runLogged(t, fmt.Sprintf(config, true, address), zerolog.New(log))
	for _, first := range []string{headerV2 + tell, tell} {
		conn := dial(t, server)
		_, _ = io.WriteString(conn, first) // which the closing may overtake
		if rest, err := io.ReadAll(conn); len(rest) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("a stranger got %q, %v", rest, err)
		}
	}
	eventually(t, "strangers are counted and logged", func() bool {
		return server.Counters().NoHeaders == 2 && strings.Contains(log.String(), `"peer":"127.0.0.1","reason":"it is not in proxy_protocol.from"`)
	})
	server = serve(t, fmt.Sprintf(config, false, address))
	for first, want := range map[string]string{tell: "127.0.0.1 http", headerV2 + tell: "400", "PROXY UNKNOWN\r\n" + tell: "400"} {
		conn := dial(t, server)
		send(t, conn, first)
		if got := told(bufio.NewReader(conn)); got != want {
			t.Errorf("%q without a header being required: %s, want %s", first, got, want)
		}
	}
}

// TestProxyProtocolMalformed demands an end, and the reason in the log, of who
// never ends a header, sends none, or one that is too large.
func TestProxyProtocolMalformed(t *testing.T) {
	t.Parallel()
	log := &lockedBuffer{}
	server := runLogged(t, "server: {address: \"127.0.0.1:0\", proxy_protocol: {from: [127.0.0.1], timeout: 50ms}}\n"+
		"access_log: {enabled: false}\ntenants: [{name: a, path_prefix: /, services: [{url: \"http://127.0.0.1:1\"}]}]\n", zerolog.New(log))
	for first, reason := range map[string]string{
		headerV2[:20]:                            "it was not complete within proxy_protocol.timeout (50ms)",
		tell:                                     "it doesn't begin with a header of the PROXY protocol",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff": "the header of the PROXY protocol is larger than 8192 bytes",
	} {
		conn := dial(t, server)
		send(t, conn, first)
		if rest, err := io.ReadAll(conn); len(rest) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%q got %q, %v", first, rest, err)
		}
		eventually(t, reason, func() bool { return strings.Contains(log.String(), reason) })
	}
	_ = dial(t, server).Close() // a check whether somebody listens is no failure
	conn := dial(t, server)
	send(t, conn, headerV2[:20])
	_ = conn.Close()
	eventually(t, "a header that ends early is counted", func() bool { return server.Counters().NoHeaders >= 4 && server.Counters().Connections == 0 })
	if n := server.Counters().NoHeaders; n != 4 {
		t.Errorf("%d connections without a header, want 4", n)
	}
}

// TestProxyProtocolPerAddress counts connections for the clients, not for who
// connects on their behalf.
func TestProxyProtocolPerAddress(t *testing.T) {
	t.Parallel()
	server := serve(t, fmt.Sprintf("server: {address: \"127.0.0.1:0\", max_connections_per_address: 1, proxy_protocol: {from: [127.0.0.1]}}\n"+
		"access_log: {enabled: false}\ntenants: [{name: a, path_prefix: /, services: [{url: \"http://%s\"}]}]\n", telling(t)))
	ask := func(source string) (net.Conn, string) {
		conn := dial(t, server)
		send(t, conn, "PROXY TCP4 "+source+" 198.51.100.1 40000 443\r\n"+tell)
		return conn, told(bufio.NewReader(conn))
	}
	first, got := ask("192.0.2.1")
	if got != "192.0.2.1 http" {
		t.Fatalf("the first: %s", got)
	}
	if _, got := ask("192.0.2.2"); got != "192.0.2.2 http" {
		t.Errorf("another client: %s", got)
	}
	if _, got := ask("192.0.2.1"); got != "429" {
		t.Errorf("a second connection of the first client: %s, want 429", got)
	}
	_ = first.Close()
	eventually(t, "its place is free again", func() bool {
		_, got := ask("192.0.2.1")
		return got == "192.0.2.1 http"
	})
}

// TestProxyProtocolIsntExpected: a header that nobody is to send is told from other
// garbage, in the answer and in the log, which names the setting.
func TestProxyProtocolIsntExpected(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "access.log")
	server := serve(t, fmt.Sprintf("access_log: {output: %q}\ntenants: [{name: a, path_prefix: /, services: [{url: \"http://127.0.0.1:1\"}]}]\n", log))
	for n, header := range []string{"PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n", "PROXY UNKNOWN\r\n", headerV2, headerLocal} {
		conn := dial(t, server)
		send(t, conn, header+tell)
		answer, _ := io.ReadAll(conn)
		if text := string(answer); !strings.HasPrefix(text, "HTTP/1.1 400 ") || !strings.Contains(text, "was spoken to in the PROXY protocol") {
			t.Errorf("%q: the answer is %q", header, text)
		}
		eventually(t, "the log says it", func() bool {
			text, _ := os.ReadFile(log)
			return strings.Count(string(text), `"error":"bad_request","cause":"a header of the PROXY protocol came where a request was expected: proxy_protocol.from of the listener names who may`) == n+1
		})
	}
}
