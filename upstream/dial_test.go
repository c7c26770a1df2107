package upstream_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// certificate returns one for app.example that signs itself.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"app.example"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestTLSIsVerified(t *testing.T) {
	cert, roots := certificate(t)
	for name, c := range map[string]struct {
		url   string
		roots *x509.CertPool
		err   string
	}{
		"good":       {"https://app.example", roots, ""},
		"other name": {"https://evil.example", roots, "its certificate is for app.example, not for \"evil.example\""},
		"IP":         {"https://10.0.0.1", roots, "is for app.example, not for \"10.0.0.1\""},
		"other root": {"https://app.example", x509.NewCertPool(), "is of no authority that the system trusts"},
	} {
		t.Run(name, func(t *testing.T) {
			network := newNetwork()
			network.name("app.example", "10.0.0.1")
			network.name("evil.example", "10.0.0.1")
			hellos := make(chan *tls.ClientHelloInfo, 1)
			server := listen(t, "127.0.0.1:0", func(conn net.Conn) {
				secure := tls.Server(conn, &tls.Config{
					MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"},
					GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
						hellos <- hello
						return nil, nil
					},
				})
				if secure.Handshake() == nil {
					silent(secure)
				}
			})
			defer func() { _ = server.Close() }()
			o := options(network)
			o.RootCAs = c.roots
			// Not over net.Pipe: both sides would write at the same time, for ever.
			o.Dial = func(ctx context.Context, kind, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, kind, server.Addr().String())
			}
			r := upstream.NewRegistry(o)
			defer r.Close()
			config := upstream.PoolConfig{Name: "tenant", Services: services(c.url)}
			target := start(t, r, config).Pools()[0].Targets()[0]
			conn, err := target.Client().AcquireConn(0, true)
			hello := <-hellos
			if strings.Join(hello.SupportedProtos, " ") != "http/1.1" {
				t.Errorf("offered %q, expected http/1.1 only", hello.SupportedProtos)
			}
			if c.err != "" {
				failure, ok := errors.AsType[*upstream.ConnectError](err)
				if !ok || !strings.Contains(failure.Error(), c.err) {
					t.Fatalf("got %v, expected a ConnectError with %q", err, c.err)
				}
				return
			}
			if err != nil || hello.ServerName != "app.example" {
				t.Fatalf("got %v for the name %q, expected app.example and no error", err, hello.ServerName)
			}
			target.Client().CloseConn(conn)
		})
	}
}

// One address that swallows everything leaves time for the next one, and the
// good one comes first from then on.
func TestConnectSharesItsTime(t *testing.T) {
	server := listen(t, "127.0.0.1:0", silent)
	defer func() { _ = server.Close() }()
	synctest.Test(t, func(t *testing.T) { connectSharesItsTime(t, server.Addr().String()) })
}

func connectSharesItsTime(t *testing.T, good string) {
	const limit = 40 * time.Second
	network := newNetwork()
	network.name("app.example", "10.0.0.1", "10.0.0.2")
	o := options(network)
	dead := 0
	o.Dial = func(ctx context.Context, kind, address string) (net.Conn, error) {
		if address == addr {
			dead++
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return (&net.Dialer{}).DialContext(ctx, kind, good)
	}
	r := upstream.NewRegistry(o)
	defer r.Close()
	c := named()
	c.Health = upstream.DefaultHealth()
	c.Timeouts.Connect = settings.Duration(limit)
	c.Services = services("http://app.example", "http://10.0.0.1")
	targets := start(t, r, c).Pools()[0].Targets()
	for range 3 {
		conn, err := targets[0].Client().AcquireConn(0, true)
		if err != nil {
			t.Fatalf("cannot connect though one address is good: %v", err)
		}
		targets[0].Client().CloseConn(conn)
	}
	if dead != 1 {
		t.Errorf("%d attempts at the dead address, expected 1", dead)
	}
	begun := time.Now()
	_, err := targets[1].Client().AcquireConn(limit/4, true)
	failure, ok := errors.AsType[*upstream.ConnectError](err)
	if took := time.Since(begun); !ok || !failure.Timeout() || took != limit/4 {
		t.Errorf("got %v after %v, expected a timeout after %v", err, took, limit/4)
	}
}

func TestConnectUnixAndIPv6(t *testing.T) {
	noLeak(t)
	socket := filepath.Join(t.TempDir(), "a,b.sock")
	urls := []string{}
	server, err := net.Listen("unix", socket) //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	urls = append(urls, "unix://"+socket)
	if six, err := net.Listen("tcp", "[::1]:0"); err == nil { //nolint:noctx // a test
		defer func() { _ = six.Close() }()
		urls = append(urls, "http://"+six.Addr().String(),
			"http://six.example:"+netip.MustParseAddrPort(six.Addr().String()).String()[len("[::1]:"):])
	}
	network := newNetwork()
	network.name("six.example", "::1")
	r := upstream.NewRegistry(upstream.Options{Lookup: network.Lookup})
	defer r.Close()
	c := upstream.PoolConfig{Name: "tenant", Services: services(urls...)}
	c.Connections.IdleTimeout = settings.Duration(50 * time.Millisecond)
	for _, target := range start(t, r, c).Pools()[0].Targets() {
		conn, err := target.Client().AcquireConn(0, true)
		if err != nil {
			t.Errorf("%s: %v", target.Name(), err)
			continue
		}
		target.Client().CloseConn(conn)
	}
}
