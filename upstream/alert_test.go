package upstream_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// spoilable is a connection on which another record arrives than was sent.
type spoilable struct {
	net.Conn
	record *bytes.Reader // nil: what was sent
}

func (c *spoilable) Read(p []byte) (int, error) {
	if c.record == nil {
		return c.Conn.Read(p)
	}
	return c.record.Read(p)
}

// TestAlertIsNoRefusal: an alert by which a target refuses the gateway's
// certificate comes before it has read anything, so that another target is asked,
// whatever the method. Any other may come after it has done what was asked for.
func TestAlertIsNoRefusal(t *testing.T) {
	t.Parallel()
	cert, roots := certificate(t)
	for name, c := range map[string]struct {
		change          func(*tls.Config)
		attempts, asked int
		reason          upstream.Reason
	}{
		"wants a certificate": {func(c *tls.Config) {
			c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		}, 2, 0, upstream.ConnectFailed},
		"fails later":          {func(*tls.Config) {}, 1, 1, upstream.NoResponse},
		"fails later, TLS 1.2": {func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, 1, 1, upstream.NoResponse},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			server := listen(t, "127.0.0.1:0", func(conn net.Conn) {
				config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
				c.change(config)
				spoilt := &spoilable{Conn: conn}
				secure := tls.Server(spoilt, config)
				if _, err := http.ReadRequest(bufio.NewReader(secure)); err != nil {
					return
				}
				asked.Add(1)
				spoilt.record = bytes.NewReader(append([]byte{23, 3, 3, 0, 64}, make([]byte, 64)...)) // of nobody's key
				_, _ = secure.Read(make([]byte, 1))
				silent(conn) // until the gateway has closed it: a reset could overtake the alert
			})
			defer func() { _ = server.Close() }()
			o := dialTo(t, server)
			o.RootCAs = roots
			r := upstream.NewRegistry(o)
			defer r.Close()
			p := start(t, r, upstream.PoolConfig{Name: "tenant", Services: services("https://app.example", "https://app.example:444")}).Pools()[0]
			call := newCall(&plainRequest{method: http.MethodPost, path: "/"})
			call.Idempotent = false
			err := call.Do(p)
			if failure, ok := err.(*upstream.Failure); !ok || failure.Reason != c.reason || call.Attempts != c.attempts || int(asked.Load()) != c.asked { //nolint:errorlint // what Do promises
				t.Errorf("got %v after %d attempts, %d of which were read; expected the reason %q, %d, %d", err, call.Attempts, asked.Load(), c.reason, c.attempts, c.asked)
			}
		})
	}
}
