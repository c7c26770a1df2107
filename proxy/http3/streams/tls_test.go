package streams_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// TestServerNames: a client gets the certificate of the name that it asks for, as over
// TCP, and the new one after a reload.
func TestServerNames(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	g := serve(t, "certificates: {files: ["+a.server("e.example")+", "+a.server("*.c.example")+"]}", "", echo)
	shown := func(name string) string {
		t.Helper()
		config := trusting("h3")
		config.ServerName = name
		conn, err := g.dialFrom("127.0.0.1", config)
		if err != nil {
			return err.Error()
		}
		defer func() { _ = conn.CloseWithError(0x100, "") }()
		return conn.ConnectionState().TLS.PeerCertificates[0].Subject.CommonName
	}
	for name, want := range map[string]string{
		"a.example": "a.example", "e.example": "e.example", "E.example": "e.example", "b.example": "a.example", "x.c.example": "*.c.example", "c.example": "a.example",
		"x.y.c.example": "a.example", "other.example": "a.example", "127.0.0.1": "a.example",
	} {
		if got := shown(name); got != want {
			t.Errorf("%q: the certificate of %q, want %q", name, got, want)
		}
	}
	config, err := os.ReadFile(g.file)
	if err != nil {
		t.Fatal(err)
	}
	g.write(strings.Replace(string(config), "certificates: {files: [", "certificates: {files: ["+a.server("d.example")+", ", 1))
	if result := g.Reload(); !result.OK {
		t.Fatal(result)
	}
	if got := shown("d.example"); got != "d.example" {
		t.Errorf("after a reload: %q", got)
	}
}

// visit is a client with a connection of its own, and what it asks for.
type visit struct {
	name, host  string // of SNI, and of the request
	certificate *tls.Certificate
	sessions    tls.ClientSessionCache
}

// config is its TLS.
func (v visit) config() *tls.Config {
	config := trusting(http3.NextProtoH3)
	config.ServerName, config.ClientSessionCache = v.name, v.sessions
	if v.certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return v.certificate, nil }
	}
	return config
}

// get asks once: "refused" is the handshake.
func (v visit) get(g *gateway) string {
	g.t.Helper()
	transport := &http3.Transport{TLSClientConfig: v.config()}
	defer func() { _ = transport.Close() }()
	return v.getOn(g, &http.Client{Transport: transport, Timeout: patience})
}

// getOn asks on the connections of a client.
func (v visit) getOn(g *gateway, c *http.Client) string {
	g.t.Helper()
	r := g.request(http.MethodGet, "/", nil)
	r.Host = v.host
	response, err := c.Do(r)
	if of, ok := errors.AsType[*quic.TransportError](err); ok && of.ErrorCode.IsCryptoError() {
		return "refused"
	}
	if err != nil {
		return err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Sprint(response.StatusCode, " ", response.Header.Get("X-Gateway-Error"))
	}
	return string(body)
}

// certified tells which certificate the target is told of.
var certified = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = fmt.Fprintf(w, "for %s, certificate %q", r.Host, r.Header.Values("Client-Cert"))
})

// TestClientCertificates: clients show certificates where a tenant asks for them, and a
// host of other terms than those of the connection is misdirected.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	root, other := newAuthority(t), newAuthority(t)
	root.revoke()
	target := httptest.NewServer(certified)
	t.Cleanup(target.Close)
	tenant := "}, {name: %s, domains: [%[1]s.example], services: [{url: '" + target.URL + "'}], client_tls: {client_auth: %s, ca_files: %s%s}"
	g := serve(t, "", fmt.Sprintf(tenant, "closed", "require", root.file, ", crl_files: "+root.list)+fmt.Sprintf(tenant, "asked", "request", root.file, ""), certified)
	good := root.client(7, time.Hour)
	shown := `certificate [":` + base64.StdEncoding.EncodeToString(good.Certificate[0]) + `:"]`
	const misdirected = "421 misdirected_request"
	for _, a := range []struct {
		name, host  string
		certificate *tls.Certificate
		want        string
	}{
		{"a.example", "a.example", nil, "for a.example, certificate []"},
		{"a.example", "a.example", good, "for a.example, certificate []"},
		{"closed.example", "closed.example", good, "for closed.example, " + shown},
		{"closed.example", "closed.example", nil, "refused"},
		{"closed.example", "closed.example", other.client(7, time.Hour), "refused"},
		{"closed.example", "closed.example", root.client(8, -time.Hour), "refused"},
		{"asked.example", "asked.example", nil, "for asked.example, certificate []"},
		{"asked.example", "asked.example", good, "for asked.example, " + shown},
		{"asked.example", "asked.example", other.client(7, time.Hour), "refused"},
		{"a.example", "closed.example", good, misdirected},
		{"asked.example", "closed.example", good, misdirected},
		{"closed.example", "asked.example", good, misdirected},
		{"closed.example", "a.example", good, misdirected},
		{"127.0.0.1", "closed.example", good, misdirected},
		{"unknown.example", "closed.example", good, misdirected},
		{"CLOSED.example", "closed.example.", good, "for closed.example., " + shown},
	} {
		if got := (visit{a.name, a.host, a.certificate, nil}).get(g); got != a.want {
			t.Errorf("to %q for %q with a certificate (%t): %q, want %q", a.name, a.host, a.certificate != nil, got, a.want)
		}
	}
	failures := func(kind string) uint64 {
		return g.Listeners()[0].Failures[slices.Index(cause.Handshakes[:], kind)]
	}
	until.True(t, "what has failed is counted", func() bool { return failures("client_certificate") == 4 && g.Counters().Handshakes == 4 })
}

// TestMisdirected: of the requests of one connection those for a host of other terms are
// turned away, and the others are served; the client may come anew for them.
func TestMisdirected(t *testing.T) {
	t.Parallel()
	root := newAuthority(t)
	g := serve(t, "", "}, {name: closed, domains: [closed.example], services: [{url: 'http://127.0.0.1:1'}], client_tls: {client_auth: require, ca_files: "+root.file+"}", echo)
	h := connect(t, g)
	ask := func(host string) string {
		return answer(h.send(true, frame(1, section(":method", "GET", ":scheme", "https", ":authority", host, ":path", "/"))))
	}
	for _, a := range []struct{ host, want string }{
		{"a.example", "200"}, {"closed.example", "421"}, {"a.example", "200"}, {"nobody.example", "404"}, {"closed.example:443", "421"}, {"a.example:8443", "200"},
	} {
		if got := ask(a.host); got != a.want {
			t.Errorf("%s: %s, want %s", a.host, got, a.want)
		}
	}
}

// TestSessions: a session that is resumed has its certificate still, until that is revoked;
// then kept connections are misdirected, and resuming fails.
func TestSessions(t *testing.T) {
	t.Parallel()
	root := newAuthority(t)
	root.revoke()
	g := serve(t, "", ", client_tls: {client_auth: require, ca_files: "+root.file+", crl_files: "+root.list+"}", certified)
	v := visit{"a.example", "a.example", root.client(7, time.Hour), tls.NewLRUClientSessionCache(1)}
	kept := &http3.Transport{TLSClientConfig: v.config()}
	t.Cleanup(func() { _ = kept.Close() })
	client := &http.Client{Transport: kept, Timeout: patience}
	if got := v.getOn(g, client); !strings.Contains(got, `certificate [":`) {
		t.Fatal(got)
	}
	until.True(t, "a session is resumed, with its certificate", func() bool {
		conn, err := g.dialFrom("127.0.0.1", v.config())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.CloseWithError(0x100, "") }()
		got := v.get(g)
		if !strings.Contains(got, `certificate [":`) {
			t.Fatal(got)
		}
		return conn.ConnectionState().TLS.DidResume
	})
	root.revoke(7)
	if result := g.Reload(); !result.OK {
		t.Fatal(result)
	}
	if got := v.getOn(g, client); got != "421 misdirected_request" {
		t.Errorf("a kept connection with a certificate that was revoked: %s", got)
	}
	if got := v.get(g); got != "refused" {
		t.Errorf("a session that is resumed with a certificate that was revoked: %s", got)
	}
}

// TestHandshakeFailures: handshakes that fail are counted by their reason, as those over
// TCP.
func TestHandshakeFailures(t *testing.T) {
	t.Parallel()
	g := serveOn(t, "[{address: '127.0.0.1:0', tls: true, http3: true, handshake_timeout: 1s}]", "", "", echo)
	distrusting := trusting("h3")
	distrusting.InsecureSkipVerify = false
	for kind, fail := range map[string]func(){
		"rejected": func() {
			if conn, err := g.dialFrom("127.0.0.1", distrusting); err == nil {
				t.Errorf("a client takes a certificate that nobody has signed: %v", conn.CloseWithError(0, ""))
			}
		},
		"protocol": func() {
			if conn, err := g.dialFrom("127.0.0.1", trusting("hq-interop")); err == nil {
				t.Errorf("another protocol is spoken: %v", conn.CloseWithError(0, ""))
			}
		},
		"timeout": func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() { _, _ = g.dialOver(ctx, &deaf{packetConn(t, "127.0.0.1"), false}, trusting("h3")) }()
			until.True(t, "the handshake is in flight", func() bool { return g.Listeners()[0].Handshakes > 0 })
			until.True(t, "it is given up", func() bool { return g.Listeners()[0].Handshakes == 0 })
		},
	} {
		at := slices.Index(cause.Handshakes[:], kind)
		until.True(t, kind+" is counted", func() bool {
			fail() // again, if the client's word was lost, or came too late
			return g.Listeners()[0].Failures[at] > 0
		})
	}
	until.True(t, "all are counted together", func() bool {
		all := uint64(0)
		for _, n := range g.Listeners()[0].Failures {
			all += n
		}
		return all >= 3 && g.Counters().Handshakes == all
	})
	if got := answer(connect(t, g).send(true, head("GET", "/"))); got != "200" {
		t.Errorf("another client: %s", got)
	}
}
