package proxy_test

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// visitAt has a client come by the n-th listener.
func visitAt(t *testing.T, server *proxy.Server, n int, config *tls.Config, host string) string {
	t.Helper()
	config.InsecureSkipVerify = true
	secure := tls.Client(dialAt(t, server, n), config)
	_ = secure.SetDeadline(time.Now().Add(patience))
	if secure.Handshake() != nil {
		return "refused"
	}
	return askFor(secure, host)
}

// TestTermsOfListeners has tenants that are bound to listeners lend their terms to no
// handshake at another one: there, their names are asked for what who has them there
// asks.
func TestTermsOfListeners(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root, other := newAuthority(t, dir, "root", nil), newAuthority(t, dir, "other", nil)
	cert, key := keyPair(t)
	tenant := func(name, match, at, ca string) string {
		echo := echoing(t, "X-Tenant: "+name+"\r\n")
		text := fmt.Sprintf("- {name: %s, %s, listeners: [%s], services: [{url: 'http://%s'}], policies: [{headers: {request: {set: {X-Tenant: %s}}}}]", name, match, at, echo, name)
		if ca != "" {
			text += ", client_tls: {client_auth: require, ca_files: " + ca + "}"
		}
		return text + "}\n"
	}
	text := fmt.Sprintf("listeners: [{name: a, address: '127.0.0.1:0', tls: true}, {name: b, address: '127.0.0.1:0', tls: true}, {address: '127.0.0.1:0', tls: true}]\n"+
		"tls: {cert_file: %q, key_file: %q}\naccess_log: {enabled: false}\ntenants:\n", cert, key) +
		tenant("partners", "domains: [shop.example]", "a", root.file) + // closed at a
		tenant("wide", "domains: ['*.example', shop.example], path_prefix: /", "b, a", "") // and open at b
	file := filepath.Join(dir, "config.yaml")
	if config, err := proxy.Parse(file, []byte(text)); err != nil || !strings.Contains(fmt.Sprint(config.Err()), "which has the host shop.example too") {
		t.Errorf("two with a host and a listener in common: %v, %v", err, config.Err())
	}
	text = strings.Replace(text, "'*.example', shop.example], path_prefix: /", "'*.example']", 1) +
		tenant("second", "domains: [shop.example], path_prefix: /second", "b", other.file+", min_version: '1.3'") + // another at b
		tenant("all", "path_prefix: /", "b", "") + tenant("rest", "path_prefix: /rest", "a", root.file) // of all names
	server := serve(t, text)
	good, foreign := root.client(7, -time.Hour, time.Hour), other.client(7, -time.Hour, time.Hour)
	for _, c := range []struct {
		at          int
		name, host  string
		certificate *tls.Certificate
		want        string
	}{
		{0, "shop.example", "shop.example", nil, "refused"},
		{0, "shop.example", "shop.example", good, "X-Tenant: partners"},
		{0, "shop.example", "shop.example", foreign, "refused"},
		{0, "x.example", "x.example", nil, "X-Tenant: wide"},
		{0, "x.example", "shop.example", good, "421 misdirected_request"},
		{0, "other.test", "other.test", nil, "refused"}, // those of "rest"
		{0, "", "x.example", good, "421 misdirected_request"},
		{1, "shop.example", "shop.example", nil, "refused"},
		{1, "shop.example", "shop.example", good, "refused"},
		{1, "shop.example", "x.example", foreign, "421 misdirected_request"},
		{1, "x.example", "x.example", nil, "X-Tenant: wide"},
		{1, "x.example", "shop.example", nil, "X-Tenant: wide"}, // of which second has no more than /second
		{1, "other.test", "other.test", nil, "X-Tenant: all"},
		{2, "shop.example", "shop.example", nil, "404 no_tenant"}, // nobody's there
		{2, "", "shop.example", good, "404 no_tenant"},
	} {
		config := &tls.Config{ServerName: c.name}
		if c.certificate != nil {
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.certificate, nil }
		}
		if have := visitAt(t, server, c.at, config, c.host); !strings.Contains(have, c.want) {
			t.Errorf("at %d to %q for %q with %v: got %.200q, want %q", c.at, c.name, c.host, c.certificate != nil, have, c.want)
		}
	}
	lendsNoSession(t, server, good)
	// What a tenant asks for moves with it.
	moved := strings.Replace(text, "shop.example], listeners: [a]", "shop.example], listeners: [b]", 1)
	for _, c := range []struct {
		text string
		ok   bool
		want [2]string // without a certificate
	}{
		{moved, false, [2]string{"X-Tenant: wide", "refused"}}, // second has the host at b, and goes on with something else, which counts less
		{strings.Replace(moved, "/second, listeners: [b]", "/second, listeners: [a]", 1), true, [2]string{"refused", "refused"}},
		{strings.Replace(moved, "domains: [shop.example], path_prefix: /second", "domains: [else.example]", 1), true, [2]string{"X-Tenant: wide", "refused"}},
	} {
		if err := os.WriteFile(server.File(), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if result := server.Reload(); result.OK != c.ok {
			t.Errorf("%+v, want %v", result, c.ok)
		}
		for at, want := range c.want {
			if have := visitAt(t, server, at, &tls.Config{ServerName: "shop.example"}, "shop.example"); !strings.Contains(have, want) {
				t.Errorf("at %d: got %.200q, want %q", at, have, want)
			}
		}
	}
}

// lendsNoSession resumes at one listener what was begun at another.
func lendsNoSession(t *testing.T, server *proxy.Server, good *tls.Certificate) {
	t.Helper()
	sessions := tls.NewLRUClientSessionCache(10)
	config := &tls.Config{ServerName: "shop.example", MaxVersion: tls.VersionTLS12, ClientSessionCache: sessions}
	if have := visitAt(t, server, 2, config.Clone(), "shop.example"); have != "404 no_tenant" {
		t.Fatal(have)
	}
	if have := visitAt(t, server, 0, config.Clone(), "shop.example"); have != "refused" {
		t.Errorf("a session that was begun without a certificate is resumed where one is required: %.100q", have)
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return good, nil }
	if have := visitAt(t, server, 0, config.Clone(), "shop.example"); !strings.Contains(have, "X-Tenant: partners") {
		t.Errorf("with a certificate: %.100q", have)
	}
	config.GetClientCertificate = nil
	if have := visitAt(t, server, 2, config.Clone(), "shop.example"); have != "404 no_tenant" {
		t.Errorf("a session with a certificate, where none is asked for: %.100q", have)
	}
}
