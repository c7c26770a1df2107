package proxy_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// TestSleepingConnection has connections sleep between their requests, and
// again after them.
func TestSleepingConnection(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		parts []string // of the next request; the connection may sleep between them
		tls   bool
	}{
		"plain":           {parts: []string{"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"}},
		"TLS":             {parts: []string{"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"}, tls: true},
		"head in parts":   {parts: []string{"GET / HT", "TP/1.1\r\nHost: example.com\r\n\r\n"}},
		"body":            {parts: []string{"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\n\r\n", "body"}},
		"empty line ends": {parts: []string{"\r\n", "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := ""
			if test.tls {
				config = certificate(t)
			}
			server := sleepy(t, "75s", config)
			conn := fallAsleep(t, server, test.tls)
			in := bufio.NewReader(conn)
			for range 2 {
				for _, part := range test.parts {
					send(t, conn, part)
				}
				if err := answered(in); err != nil {
					t.Fatal(err)
				}
				awaitAsleep(t, server)
			}
		})
	}
}

// TestSleepEnds looks at what a connection that sleeps leaves behind.
func TestSleepEnds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		keepalive string
		end       func(net.Conn)
	}{
		"by the client":    {"75s", func(c net.Conn) { _ = c.Close() }},
		"by a half close":  {"75s", func(c net.Conn) { _ = c.(*net.TCPConn).CloseWrite() }},
		"by its idle time": {"5s", func(net.Conn) {}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := sleepy(t, test.keepalive, "")
			test.end(fallAsleep(t, server, false))
			eventually(t, "the connection is closed", func() bool { return server.Open() == 0 })
			if n := server.Asleep(); n != 0 {
				t.Errorf("%d connections still sleep, want none", n)
			}
		})
	}
}

// TestDrainEndsSleep stops the server while a connection sleeps, which must
// not keep it until the drain time-out.
func TestDrainEndsSleep(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	t.Run("server", func(t2 *testing.T) {
		conn := fallAsleep(t, sleepy(t2, "75s", ""), false)
		_ = conn.SetReadDeadline(time.Now().Add(patience)) // before the time-out
		go func() {
			_, err := conn.Read(make([]byte, 1))
			ended <- err
		}()
	})
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the end of the connection", err)
	}
}

// sleepy runs a server whose connections sleep soon, until the test ends.
func sleepy(t *testing.T, keepalive, config string) *proxy.Server {
	t.Helper()
	target := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	server := serve(t, "server: {address: \"127.0.0.1:0\", timeouts: {keepalive: "+keepalive+"}}\naccess_log: {enabled: false}\n"+
		config+"tenants:\n  - {name: a, domains: [example.com], services: [{url: \"http://"+target+"\"}]}\n")
	server.SleepSoon()
	return server
}

// fallAsleep returns the server's only connection, which sleeps after a request.
func fallAsleep(t *testing.T, server *proxy.Server, secure bool) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if secure {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // #nosec G402 -- of this test
	}
	t.Cleanup(func() { _ = conn.Close() })
	send(t, conn, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
	if err := answered(bufio.NewReader(conn)); err != nil {
		t.Fatal(err)
	}
	awaitAsleep(t, server)
	return conn
}

func awaitAsleep(t *testing.T, server *proxy.Server) {
	t.Helper()
	eventually(t, "the connection sleeps", func() bool { return server.Asleep() == 1 })
}

// certificate is the section of a configuration for a certificate that nobody
// trusts.
func certificate(t *testing.T) string {
	t.Helper()
	donor := httptest.NewTLSServer(nil)
	donor.Close()
	pair, dir := donor.TLS.Certificates[0], t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "key.pem": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("tls: {enabled: true, cert_file: %q, key_file: %q}\n", filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
}
