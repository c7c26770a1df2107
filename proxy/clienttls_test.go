package proxy_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// keyPair writes one for example.com, and its key.
func keyPair(t testing.TB) (cert, key string) {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	private, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: server.Certificate().Raw}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// logging is serve with a log that the test reads.
func logging(t testing.TB, config string, log io.Writer) *proxy.Server {
	t.Helper()
	return runLogged(t, "server: {address: \"127.0.0.1:0\"}\n"+config, zerolog.New(log))
}

// TestClientTLS lets clients fail at TLS, each in its way, and demands of the
// log who and why.
func TestClientTLS(t *testing.T) {
	t.Parallel()
	cert, key := keyPair(t)
	log := &lockedBuffer{}
	server := logging(t, fmt.Sprintf("tls: {enabled: true, cert_file: %q, key_file: %q}\naccess_log: {enabled: false}\n"+
		"tenants: [{name: a, path_prefix: /, services: [{url: \"http://127.0.0.1:1\"}]}]\n", cert, key), log)
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}

	conn := dial() // HTTP, on which an answer in HTTP comes
	send(t, conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat("x", 100000))
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 400 || answer.Header.Get("X-Gateway-Error") != "tls_expected" || !strings.Contains(string(body), "speaks HTTPS") {
		t.Errorf("HTTP on a TLS listener: %d %v %s, %v", answer.StatusCode, answer.Header, body, err)
	}
	eventually(t, "HTTP is logged", func() bool {
		return strings.Contains(log.String(), `"reason":"HTTP without TLS was spoken"`) && strings.Contains(log.String(), `"peer":"127.0.0.1"`)
	})

	if tls.Client(dial(), &tls.Config{ServerName: "example.com", MinVersion: tls.VersionTLS12}).Handshake() == nil {
		t.Error("an unknown certificate is accepted")
	}
	eventually(t, "a client that doesn't trust the certificate is logged", func() bool {
		return strings.Contains(log.String(), `"server_name":"example.com","reason":"the other side has refused the TLS handshake: it doesn't accept the certificate (bad_certificate)"`)
	})
	if tls.Client(dial(), &tls.Config{ServerName: strings.Repeat("long.", 10000) + "example", MinVersion: tls.VersionTLS12}).Handshake() == nil {
		t.Error("an unknown certificate is accepted")
	}
	eventually(t, "the beginning of a long name is logged", func() bool {
		return strings.Contains(log.String(), `"server_name":"`+strings.Repeat("long.", 51)+`…","reason"`)
	})
	_ = tls.Client(dial(), &tls.Config{ServerName: "example.com", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11, InsecureSkipVerify: true}).Handshake()
	eventually(t, "an old version is logged", func() bool { return strings.Contains(log.String(), "versions of TLS that are too old") })

	before := server.Counters().Handshakes
	for range 30 {
		send(t, dial(), "GET / HTTP/1.1\r\n\r\n")
	}
	eventually(t, "all are counted", func() bool { return server.Counters().Handshakes == before+30 })
	if lines := strings.Count(log.String(), "its TLS handshake has failed"); lines > 20 {
		t.Errorf("%d lines are logged, expected few", lines)
	}
	_ = dial().Close() // looks whether somebody listens
	for _, word := range foreign {
		if strings.Contains(log.String(), word) {
			t.Errorf("the log has a library's word, %q:\n%s", word, log.String())
		}
	}
}

// TestTLSWithoutTLS speaks TLS to a listener that speaks HTTP.
func TestTLSWithoutTLS(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "access.log")
	server := start(t, fmt.Sprintf("access_log: {output: %q}\ntenants: [{name: a, path_prefix: /, services: [{url: \"http://127.0.0.1:1\"}]}]\n", log))
	conn, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	recorded := &recorder{Conn: conn}
	if tls.Client(recorded, &tls.Config{ServerName: "example.com", MinVersion: tls.VersionTLS12}).Handshake() == nil {
		t.Error("the handshake has succeeded")
	}
	if !strings.HasPrefix(string(recorded.read), "HTTP/1.1 400 ") {
		t.Errorf("the answer is %q", recorded.read)
	}
	eventually(t, "the log says it", func() bool {
		text, _ := os.ReadFile(log)
		return strings.Contains(string(text), `"error":"bad_request","cause":"this port speaks HTTP, and was spoken to in TLS"`)
	})
}

// recorder keeps what has been read.
type recorder struct {
	net.Conn
	read []byte
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.read = append(r.read, p[:n]...)
	return n, err
}
