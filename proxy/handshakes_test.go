package proxy_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

// half begins a handshake and leaves it there, once the gateway has answered.
func half(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	stuck := &stuckConn{Conn: conn}
	_ = tls.Client(stuck, &tls.Config{InsecureSkipVerify: true}).Handshake()
	return conn
}

// clientHello is the first flight of a handshake.
func clientHello() string {
	var hello recorded
	_ = tls.Client(&hello, &tls.Config{InsecureSkipVerify: true}).Handshake()
	return string(hello.sent)
}

// recorded keeps what is written, and fails then.
type recorded struct {
	net.Conn
	sent []byte
}

func (r *recorded) Write(p []byte) (int, error) {
	r.sent = append(r.sent, p...)
	return 0, io.ErrClosedPipe
}

func (r *recorded) Close() error { return nil }

// stuckConn sends the first flight of a handshake and nothing after it.
type stuckConn struct {
	net.Conn
	sent bool
}

func (c *stuckConn) Write(p []byte) (int, error) {
	if c.sent {
		return 0, io.ErrClosedPipe
	}
	c.sent = true
	return c.Conn.Write(p)
}

func secureServer(t *testing.T, options string, log io.Writer) *proxy.Server {
	t.Helper()
	cert, key := keyPair(t)
	return runLogged(t, fmt.Sprintf("tls: {cert_file: %q, key_file: %q}\nlisteners: [{address: \"127.0.0.1:0\", tls: true%s}, {address: \"127.0.0.1:0\"}]\n", cert, key, options)+
		shop(answering(t, helloResponse)), zerolog.New(log))
}

// TestHalfOpenHandshakes: with as many handshakes in flight as may be, none of which goes
// on, others are served, here and at another listener, and the oldest make way.
func TestHalfOpenHandshakes(t *testing.T) {
	t.Parallel()
	const most, halves = 250, 1000
	server := secureServer(t, fmt.Sprintf(", max_handshakes: %d, handshake_timeout: 10m", most), io.Discard)
	address := server.Addrs()[0].String()
	hello := clientHello()
	for range most {
		half(t, address)
	}
	eventually(t, "all are in flight", func() bool { return server.Handshakes(0) == most })
	for n := range halves - most {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		send(t, conn, hello)
		if n%300 == 0 {
			if response := request(t, dialAt(t, server, 1), get); response.StatusCode != 200 {
				t.Errorf("another listener: %s", response.Status)
			}
		}
	}
	for range 3 {
		conn := tls.Client(dialAt(t, server, 0), &tls.Config{InsecureSkipVerify: true})
		if response := request(t, conn, get); response.StatusCode != 200 {
			t.Errorf("one more: %s", response.Status)
		}
		_ = conn.Close()
	}
	if n := server.Handshakes(0); n > most {
		t.Errorf("%d handshakes are in flight, want %d at most", n, most)
	}
	eventually(t, "as many have made way as there was no room for", func() bool { return server.HandshakeFailures(0)["crowded_out"] >= halves-most })
}

// TestHandshakesOfOthers: who opens more handshakes than there may be pushes out
// its own, and not one that is on its way from elsewhere, however slow that is.
func TestHandshakesOfOthers(t *testing.T) {
	t.Parallel()
	const most = 8
	server := secureServer(t, fmt.Sprintf(", max_handshakes: %d, handshake_timeout: 10m", most), io.Discard)
	address := server.Addrs()[0].String()
	slow := &slowToBegin{Conn: dialAt(t, server, 0), rest: make(chan struct{})}
	done := make(chan error, 1)
	go func() {
		conn := tls.Client(slow, &tls.Config{InsecureSkipVerify: true})
		done <- conn.Handshake()
	}()
	eventually(t, "the first is in flight", func() bool { return server.Handshakes(0) == 1 })
	crowd := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	for range 3 * most {
		conn, err := crowd.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		send(t, conn, "\x16")
	}
	eventually(t, "the crowd has made way for its own", func() bool { return server.HandshakeFailures(0)["crowded_out"] >= 2*most+1 })
	close(slow.rest)
	if err := <-done; err != nil {
		t.Errorf("the first handshake: %v", err)
	}
}

// slowToBegin sends one byte, and the rest when it is told to.
type slowToBegin struct {
	net.Conn
	rest chan struct{}
	once sync.Once
}

func (s *slowToBegin) Write(b []byte) (n int, err error) {
	s.once.Do(func() {
		n, err = s.Conn.Write(b[:1])
		b = b[1:]
		<-s.rest
	})
	if err != nil {
		return n, err
	}
	more, err := s.Conn.Write(b)
	return n + more, err
}

// TestHandshakeKinds: failures are counted by what they are.
func TestHandshakeKinds(t *testing.T) {
	t.Parallel()
	server := secureServer(t, ", handshake_timeout: 1s", io.Discard)
	hello := clientHello()
	address := server.Addrs()[0].String()
	shake := func(config *tls.Config) {
		config.InsecureSkipVerify = config.RootCAs == nil && config.VerifyConnection == nil && config.ServerName == ""
		conn, err := tls.Dial("tcp", address, config)
		if err == nil {
			_ = conn.Close()
		}
	}
	say := func(text string) string {
		conn := dialAt(t, server, 0)
		send(t, conn, text)
		answer, _ := io.ReadAll(conn)
		return string(answer)
	}
	for kind, fail := range map[string]func(){
		"plain_http": func() {
			if got := say(get); !strings.HasPrefix(got, "HTTP/1.1 400 ") || !strings.Contains(got, "this port speaks HTTPS") {
				t.Errorf("HTTP got %q", got)
			}
		},
		"proxy_header": func() {
			before := server.HandshakeFailures(0)["proxy_header"]
			for _, header := range []string{"PROXY TCP4 192.0.2.1 192.0.2.2 4000 443\r\n", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x0f\xa0\x01\xbb"} {
				if got := say(header + hello); strings.Contains(got, "HTTP") {
					t.Errorf("%q got %q", header, got)
				}
			}
			eventually(t, "both are counted", func() bool { return server.HandshakeFailures(0)["proxy_header"] == before+2 })
		},
		"not_tls": func() { say("\x00\x01\x02\x03\x04\x05\x06\x07") },
		"version": func() { shake(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}) },
		"cipher": func() {
			shake(&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_RC4_128_SHA}})
		},
		"protocol": func() { shake(&tls.Config{NextProtos: []string{"spdy/1"}}) },
		"rejected": func() { shake(&tls.Config{ServerName: "not-there.example", MaxVersion: tls.VersionTLS12}) },
		"timeout":  func() { half(t, address) },
		"gone":     func() { _ = half(t, address).Close() },
	} {
		before := server.HandshakeFailures(0)[kind]
		fail()
		eventually(t, kind+" is counted", func() bool { return server.HandshakeFailures(0)[kind] > before })
	}
	if n := server.HandshakeFailures(0)["other"]; n != 0 {
		t.Errorf("%d failures are of no kind of %q", n, cause.Handshakes)
	}
}

// TestLogsNameListeners: where there are several, what is logged of connections and
// requests says by which they came.
func TestLogsNameListeners(t *testing.T) {
	t.Parallel()
	cert, key := keyPair(t)
	var log lockedBuffer
	lines := filepath.Join(t.TempDir(), "access.log")
	tenants := strings.Replace(shop(answering(t, helloResponse)), "access_log: {enabled: false}", fmt.Sprintf("access_log: {output: %q}", lines), 1)
	server := runLogged(t, fmt.Sprintf("tls: {cert_file: %q, key_file: %q}\nlisteners:\n"+
		"- {address: \"127.0.0.1:0\", tls: true, name: web}\n- {address: \"127.0.0.1:0\", proxy_protocol: {from: [192.0.2.1]}, name: behind}\n"+
		"- {address: \"127.0.0.1:0\", max_connections: 1}\n", cert, key)+tenants, zerolog.New(&log))
	send(t, dialAt(t, server, 0), "PROXY TCP4 192.0.2.1 192.0.2.2 4000 443\r\n")
	_, _ = io.ReadAll(dialAt(t, server, 1))
	request(t, tls.Client(dialAt(t, server, 0), &tls.Config{InsecureSkipVerify: true}), get)
	request(t, dialAt(t, server, 2), get)
	if response := request(t, dialAt(t, server, 2), get); response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a second connection where one may be: %s", response.Status)
	}
	for _, want := range []string{
		`"listener":"web","peer":"127.0.0.1","server_name":"","reason":"it was introduced by the PROXY protocol, which this listener doesn't expect (proxy_protocol.from)"`,
		`"listener":"behind","peer":"127.0.0.1","reason":"it is not in proxy_protocol.from"`,
		`"listener":"127.0.0.1:0","peer":"127.0.0.1","limit_per_address":false`,
	} {
		eventually(t, "there is "+want, func() bool { return strings.Contains(log.String(), want) })
	}
	var text []byte
	eventually(t, "the access log names the listener", func() bool {
		text, _ = os.ReadFile(lines) // #nosec G304 -- of this test
		return strings.Contains(string(text), `"peer":"127.0.0.1","listener":"web","client":"127.0.0.1"`) && strings.Contains(string(text), `"peer":"127.0.0.1","client":"127.0.0.1"`)
	})
}
