package proxy_test

import (
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

// TestTLSAllocatesNothingOfOurs is TestRequestAllocates0 over TLS, with and without a
// client's certificate that the target gets. crypto/tls allocates 24 bytes for each
// read from a socket (atLeastReader), on both sides of this test: exactly one for a
// request and one for a response, of which the last may come after the window. Should
// a newer Go need fewer, docs/performance.md has to say so too.
func TestTLSAllocatesNothingOfOurs(t *testing.T) {
	root := newAuthority(t, t.TempDir(), "root", nil)
	cert, key := keyPair(t)
	target := answering(t, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")
	server := start(t, fmt.Sprintf("tls: {enabled: true, cert_file: %q, key_file: %q}\naccess_log: {enabled: false}\ntenants:\n"+
		"  - {name: a, domains: [a.example], services: [{url: 'http://%s'}]}\n"+
		"  - {name: b, domains: [b.example], services: [{url: 'http://%[3]s'}], client_tls: {client_auth: require, ca_files: %q, chain_field: Client-Cert-Chain}}\n", cert, key, target, root.file))
	good := root.client(1, -time.Hour, time.Hour)
	for name, v := range map[string]visit{
		"TLS 1.3":          {server: server, name: "a.example"},
		"TLS 1.2":          {server: server, name: "a.example", max: tls.VersionTLS12},
		"TLS 1.3 and mTLS": {server: server, name: "b.example", certificate: good},
	} {
		conn, err := v.connect(t)
		if err != nil {
			t.Fatal(err)
		}
		request := []byte("GET /path?q=1 HTTP/1.1\r\nHost: " + v.name + "\r\nUser-Agent: x\r\nClient-Cert: forged\r\n\r\n")
		ask(t, conn, request) // a ticket comes with the first answer
		if n := measure.Allocations(window, func() { ask(t, conn, request) }); !measure.Race && (n > 2*window || n < 2*window-1) {
			t.Errorf("over %s: %d allocations in %d requests at best, want exactly the %d of crypto/tls", name, n, window, 2*window)
		}
	}
}
