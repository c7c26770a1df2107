package proxy_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// TestProtocols: a listener with TLS offers HTTP/2 and HTTP/1 unless it says otherwise,
// whichever way it is configured, and a client that asks for neither is served HTTP/1.
func TestProtocols(t *testing.T) {
	cert, key := keyPair(t)
	target := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	rest := fmt.Sprintf("access_log: {enabled: false}\ntenants: [{name: a, path_prefix: /, services: [{url: 'http://%s'}]}]\n", target)
	files := fmt.Sprintf("cert_file: %q, key_file: %q", cert, key)
	short := start(t, "tls: {enabled: true, "+files+"}\n"+rest)
	long := serve(t, "listeners:\n"+
		"  - {address: '127.0.0.1:0', tls: true}\n"+
		"  - {address: '127.0.0.1:0', name: old, tls: true, protocols: [http/1.1]}\n"+
		"  - {address: '127.0.0.1:0', name: new, tls: true, protocols: [h2]}\n"+
		"tls: {"+files+"}\n"+rest)
	const none = "no application protocol"
	for name, c := range map[string]struct {
		server *proxy.Server
		at     int
		asked  []string
		want   string // what is chosen and spoken
	}{
		"tls.enabled, h2 first":        {short, 0, []string{"h2", "http/1.1"}, "h2 HTTP/2.0"},
		"tls.enabled, http/1.1 alone":  {short, 0, []string{"http/1.1"}, "http/1.1 HTTP/1.1"},
		"tls.enabled, without ALPN":    {short, 0, nil, " HTTP/1.1"},
		"tls: true, h2 last":           {long, 0, []string{"http/1.1", "h2"}, "h2 HTTP/2.0"},
		"tls: true, http/1.0":          {long, 0, []string{"http/1.0"}, "http/1.0 HTTP/1.1"},
		"tls: true, without ALPN":      {long, 0, nil, " HTTP/1.1"},
		"tls: true, something else":    {long, 0, []string{"spdy/1"}, none},
		"[http/1.1], both asked for":   {long, 1, []string{"h2", "http/1.1"}, "http/1.1 HTTP/1.1"},
		"[http/1.1], h2 alone":         {long, 1, []string{"h2"}, none},
		"[h2], both asked for":         {long, 2, []string{"http/1.1", "h2"}, "h2 HTTP/2.0"},
		"[h2], http/1.1 alone":         {long, 2, []string{"http/1.1"}, " HTTP/1.1 505"},
		"[h2], without ALPN, is a 505": {long, 2, nil, " HTTP/1.1 505"},
	} {
		if got := chosen(t, c.server.Addrs()[c.at].String(), c.asked); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// chosen says which protocol ALPN chooses of those, and which one the response is of.
func chosen(t *testing.T, address string, asked []string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: asked}) // #nosec G402 -- it is the test's
	if err != nil {
		return "no application protocol"
	}
	protocol := conn.ConnectionState().NegotiatedProtocol
	transport := &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(protocol != "h2")
	transport.Protocols.SetHTTP2(protocol == "h2")
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	said := protocol + " " + answer.Proto
	if answer.StatusCode != http.StatusOK || string(body) != "hello" {
		said += fmt.Sprintf(" %d", answer.StatusCode)
	}
	return said
}
