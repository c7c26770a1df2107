package proxy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	certifier "github.com/keystone-gateway/keystone-gateway/test/authority"
	"github.com/keystone-gateway/keystone-gateway/test/port"
)

// shake returns what a client gets that asks for a name, and the connection's error
// after the handshake.
func shake(t *testing.T, server *proxy.Server, config *tls.Config) ([]*x509.Certificate, error) {
	t.Helper()
	secure := tls.Client(dial(t, server), config)
	_ = secure.SetDeadline(time.Now().Add(patience))
	if err := secure.Handshake(); err != nil {
		return nil, err
	}
	if len(config.NextProtos) > 0 {
		_, err := secure.Read(make([]byte, 1))
		return secure.ConnectionState().PeerCertificates, err
	}
	return secure.ConnectionState().PeerCertificates, nil
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	_, text, _ := net.SplitHostPort(address)
	number, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return number
}

// TestACME has the gateway prove names to an authority, by handshakes and by
// requests, while it serves others, and takes tenants away and adds them.
func TestACME(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"tls-alpn-01", "http-01"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			address, plain := port.Reserve(t), port.Reserve(t)
			ca := certifier.Start(t, certifier.Options{HTTPPort: portOf(t, plain), TLSPort: portOf(t, address)})
			dir := t.TempDir()
			certify(t, dir, "other.example.com")
			log := &lockedBuffer{}
			text := func(tenants string) string {
				return fmt.Sprintf("listeners: [{address: %q, tls: true}, {address: %q, redirect_to_https: true}]\ntls: {cert_file: %q, key_file: %q}\naccess_log: {enabled: false}\n"+
					"certificates: {acme: {ca: %q, ca_roots_file: %q, challenges: [%s]}}\ntenants:\n"+
					"- {name: other, domains: [other.example.com], services: [{url: \"http://%s\"}]}\n%s",
					address, plain, filepath.Join(dir, "other.example.com.crt"), filepath.Join(dir, "other.example.com.key"), ca.URL, ca.RootsFile, kind,
					answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine"), tenants)
			}
			shop := "- {name: %[1]s, domains: [%[1]s.example.com, other.example.com], path_prefix: /%[1]s, tls: auto, services: [{url: \"http://127.0.0.1:1\"}]}\n"
			server := runLogged(t, text(fmt.Sprintf(shop, "shop")), zerolog.New(log))
			issued := func(name string) func() bool {
				return func() bool {
					chain, err := shake(t, server, &tls.Config{ServerName: name, InsecureSkipVerify: true})
					return err == nil && ca.Issued(chain, name) == nil
				}
			}
			eventually(t, "shop.example.com has a certificate", issued("shop.example.com"))
			if issued("other.example.com")() || ca.Orders() != 1 {
				t.Errorf("a name that a file has a certificate for was ordered, %d orders", ca.Orders())
			}
			if err := os.WriteFile(server.File(), []byte(text(fmt.Sprintf(shop, "cart"))), 0o600); err != nil {
				t.Fatal(err)
			}
			if result := server.Reload(); !result.OK {
				t.Fatalf("%+v", result)
			}
			eventually(t, "cart.example.com has a certificate", issued("cart.example.com"))
			if issued("shop.example.com")() {
				t.Error("a name that no tenant has any more has its certificate")
			}
			proofStays(t, server)
		})
	}
}

// proofStays demands that what looks like a challenge and is none stays what it was.
func proofStays(t *testing.T, server *proxy.Server) {
	t.Helper()
	if chain, err := shake(t, server, &tls.Config{ServerName: "cart.example.com", InsecureSkipVerify: true, NextProtos: []string{"acme-tls/1"}}); err == nil {
		t.Errorf("a handshake proves the name by %v, although nobody has asked for that", chain[0].Subject)
	}
	client := &http.Client{Transport: &http.Transport{
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
			return tls.Client(dial(t, server), &tls.Config{ServerName: "other.example.com", InsecureSkipVerify: true}), nil
		},
	}}
	defer client.CloseIdleConnections()
	response, err := client.Get("https://other.example.com/.well-known/acme-challenge/unknown") //nolint:noctx // it is closed
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if body, _ := io.ReadAll(response.Body); string(body) != "mine" {
		t.Errorf("a path of a challenge with a token that isn't ours is answered with %d %q, want what the tenant says", response.StatusCode, body)
	}
}

// TestACMEErrors demands of each mistake its place.
func TestACMEErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "none.pem"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	const secure = "tls: {enabled: true}\n"
	for _, c := range []struct{ text, tenant, want string }{
		{secure, "tls: auto", "2:52: tls: auto of tenant \"a\" needs certificates.acme"},
		{secure + "certificates: {acme: {}}\n", "tls: manual", "expected one of auto"},
		{"certificates: {acme: {}}\n", "tls: auto", "is for a listener with TLS, and there is none"},
		{secure + "certificates: {acme: {email: ops}}\n", "tls: auto", "2:30: email \"ops\" is not an address"},
		{secure + "certificates: {acme: {ca: \"http://ca\"}}\n", "tls: auto", "ca \"http://ca\" is not an authority"},
		{secure + "certificates: {acme: {ca: letsencrypt-stage}}\n", "tls: auto", "is not an authority"},
		{secure + "certificates: {acme: {ca_roots_file: gone.pem}}\n", "tls: auto", "2:38: cannot read ca_roots_file \"gone.pem\": there is no such file"},
		{secure + "certificates: {acme: {ca_roots_file: none.pem}}\n", "tls: auto", "ca_roots_file \"none.pem\" has no certificate"},
		{secure + "certificates: {acme: {storage: none.pem}}\n", "tls: auto", "storage \"none.pem\" is not a directory"},
		{secure + "certificates: {acme: {eab: {key_id: a}}}\n", "tls: auto", "eab has only one of key_id and mac_key"},
		{secure + "certificates: {acme: {challenges: [dns-01]}}\n", "tls: auto", "challenge dns-01 needs dns.command"},
		{secure + "certificates: {acme: {challenges: [dns-02]}}\n", "tls: auto", "challenge \"dns-02\" is unknown"},
		{secure + "certificates: {acme: {dns: {command: ./gone.sh}}}\n", "tls: auto", "cannot run dns.command \"./gone.sh\""},
		{secure + "certificates: {acme: {on_demand: {ask: nowhere}}}\n", "tls: auto", "on_demand.ask \"nowhere\" is not a URL"},
		{secure + "certificates: {acme: {orders_per_hour: 0}}\n", "tls: auto", "orders_per_hour"},
	} {
		_, err := proxy.Parse(filepath.Join(dir, "config.yaml"), []byte(c.text+"tenants: [{name: a, domains: [a.example.com], "+c.tenant+", services: [{url: 'http://127.0.0.1:1'}]}]\n"))
		if !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s%s:\n%v, want %q", c.text, c.tenant, err, c.want)
		}
	}
}

// TestACMEDoubts demands a warning of each name for which no certificate will come.
func TestACMEDoubts(t *testing.T) {
	t.Parallel()
	config, err := proxy.Parse("config.yaml", []byte("tls: {enabled: true}\ncertificates: {acme: {}}\ntenants:\n"+
		"- {name: a, domains: [a.example.com, localhost, 127.0.0.1, '*.example.com'], tls: auto, services: [{url: 'http://127.0.0.1:1'}]}\n"+
		"- {name: b, path_prefix: /, tls: auto, services: [{url: 'http://127.0.0.1:1'}]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	warnings := strings.Join(config.Warnings(), "\n")
	for _, want := range []string{"4:38: \"localhost\"", "4:49: \"127.0.0.1\"", "4:60: \"*.example.com\" of tenant \"a\" gets no certificate: a wildcard needs", "5:34: tls: auto of tenant \"b\" gets no certificate: it has no domains"} {
		if !strings.Contains(warnings, want) {
			t.Errorf("no warning with %s in\n%s", want, warnings)
		}
	}
}
