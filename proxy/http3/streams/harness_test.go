package streams_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// patience is how long anything is waited for that comes by itself.
const patience = time.Minute

// gateway is one whose first listener speaks HTTP/3 too.
type gateway struct {
	*proxy.Server
	t    testing.TB
	file string
	stop func()
	done chan struct{} // closed when Run has returned
}

// serve runs a gateway whose tenant's target is handler. settings are further keys of the
// file, lines, and tenant's those of the tenant, in its braces.
func serve(t testing.TB, settings, tenant string, handler http.Handler) *gateway {
	t.Helper()
	return serveOn(t, "[{address: '127.0.0.1:0', tls: true, http3: true}]", settings, tenant, handler)
}

func serveOn(t testing.TB, listeners, settings, tenant string, handler http.Handler) *gateway {
	t.Helper()
	target := httptest.NewServer(handler)
	t.Cleanup(target.Close)
	cert, key := keyPair(t)
	g := &gateway{t: t, file: filepath.Join(t.TempDir(), "config.yaml"), done: make(chan struct{})}
	text := fmt.Sprintf("listeners: %s\nadmin: {enabled: false}\ntls: {cert_file: %q, key_file: %q}\n%s\n"+
		"tenants: [{name: a, domains: [a.example, 127.0.0.1], services: [{url: '%s'}]%s}]\n", listeners, cert, key, settings, target.URL, tenant)
	if !strings.Contains(settings, "access_log") {
		text += "access_log: {enabled: false}\n"
	}
	g.write(text)
	config, err := proxy.Load(g.file)
	if err != nil {
		t.Fatal(err)
	}
	g.Server, err = proxy.New(proxy.Options{File: g.file, Config: config, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g.stop = cancel
	run := g.Run
	go func() {
		defer close(g.done)
		if err := run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-g.done
	})
	return g
}

func (g *gateway) write(text string) {
	g.t.Helper()
	if err := os.WriteFile(g.file, []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// address is where the first listener is.
func (g *gateway) address() string { return g.Addr().String() }

// trusting is TLS that asks nobody who he is.
func trusting(protocols ...string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, ServerName: "a.example", NextProtos: protocols} // #nosec G402 -- it is the test's
}

// client is quic-go's.
func client(t testing.TB) *http.Client {
	transport := &http3.Transport{TLSClientConfig: trusting(http3.NextProtoH3), DisableCompression: true}
	t.Cleanup(func() { _ = transport.Close() })
	return &http.Client{Transport: transport, Timeout: patience}
}

// request is one for the tenant.
func (g *gateway) request(method, path string, body io.Reader) *http.Request {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, "https://"+g.address()+path, body)
	if err != nil {
		g.t.Fatal(err)
	}
	r.Host = "a.example"
	return r
}

// text reads a response.
func text(t testing.TB, response *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(response.Proto, " ", response.StatusCode, " ", strings.TrimSpace(string(body)))
}

// echo answers with what it has got.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_, _ = fmt.Fprintf(w, "%s %s %s %d %q", r.Method, r.Host, r.URL, len(body), r.TransferEncoding)
})

// dial opens a connection on which nothing is said by itself.
func (g *gateway) dial() *quic.Conn {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	conn, err := quic.DialAddr(ctx, g.address(), trusting("h3"), &quic.Config{MaxIdleTimeout: patience})
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = conn.CloseWithError(0x100, "") })
	return conn
}

// keyPair writes a certificate for the tenant's hosts, and its key.
func keyPair(t testing.TB) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a.example"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"a.example", "b.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", bytes)
}
