package upstream_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// TestPayloads: a payload arrives whole and once, whatever its length, over new
// and kept connections, plain or TLS.
func TestPayloads(t *testing.T) {
	t.Parallel()
	cert, roots := certificate(t)
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			server := listen(t, "127.0.0.1:0", func(conn net.Conn) {
				if scheme == "https" {
					conn = tls.Server(conn, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}})
				}
				for reader := bufio.NewReader(conn); ; {
					r, err := http.ReadRequest(reader)
					if err != nil {
						return
					}
					got, err := io.ReadAll(r.Body)
					if err != nil {
						return
					}
					_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(got), got)
				}
			})
			defer func() { _ = server.Close() }()
			o := dialTo(t, server)
			o.RootCAs = roots
			r := upstream.NewRegistry(o)
			defer r.Close()
			p := start(t, r, upstream.PoolConfig{Name: "tenant", Services: services(scheme + "://app.example")}).Pools()[0]
			for _, length := range []int{0, 1, 2 << 10, 2<<10 + 1, 300_000, 5} {
				want := strings.Repeat("0123456789", length/10+1)[:length]
				c := newCall(&plainRequest{method: http.MethodPost, path: "/"})
				c.Request.Own.Add([]byte("Content-Length"), fmt.Append(nil, length))
				c.Payload = []byte(want)
				if err := c.Do(p); err != nil {
					t.Fatalf("%d bytes: %v", length, err)
				}
				if got, err := readAll(c); got != want || err != nil {
					t.Errorf("of %d bytes %d came back, %v", length, len(got), err)
				}
			}
			if n := p.Targets()[0].Client().ConnsCount(); n != 1 {
				t.Errorf("%d connections are open, want the first one only", n)
			}
		})
	}
}
