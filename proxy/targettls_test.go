package proxy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// issuer signs certificates.
type issuer struct {
	t    *testing.T
	name string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newIssuer(t *testing.T, name string) *issuer {
	t.Helper()
	i := &issuer{t: t, name: name}
	template := &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	i.cert, i.key, i.pem, _ = i.sign(template)
	return i
}

// sign makes a certificate, signed by itself for an authority's own.
func (i *issuer) sign(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, string, string) {
	i.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	parent, signer := i.cert, i.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		i.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		i.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		i.t.Fatal(err)
	}
	return cert, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

// leaf makes a certificate for a server and a client, valid until so long from now.
func (i *issuer) leaf(name string, left time.Duration) (cert, key string) {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(left),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	_, _, cert, key = i.sign(template)
	return cert, key
}

func (i *issuer) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(i.cert)
	return pool
}

// secure starts an upstream that answers "secure", with the name in the client's
// certificate.
func secure(t *testing.T, cert, key string, change func(*tls.Config)) (address string) {
	t.Helper()
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := ""
		if len(r.TLS.PeerCertificates) > 0 {
			name = " " + r.TLS.PeerCertificates[0].Subject.CommonName
		}
		_, _ = io.WriteString(w, "secure"+name)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if change != nil {
		change(server.TLS)
	}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// state is what the admin API tells of the first tenant's first target.
func (w *workshop) state() (s upstream.TargetState) {
	for tenant := range w.server.Tenants() {
		return tenant.Pool.Targets()[0].State()
	}
	return s
}

// TestTargetTLS speaks to targets with certificates of all kinds: each works or
// is refused, and then the error says what is wrong and which key is about it.
func TestTargetTLS(t *testing.T) {
	t.Parallel()
	house, stranger := newIssuer(t, "House CA"), newIssuer(t, "Stranger CA")
	cert, key := house.leaf("app.internal", time.Hour)
	oldCert, oldKey := house.leaf("app.internal", -time.Hour)
	clientCert, clientKey := house.leaf("gateway", time.Hour)
	wrongCert, wrongKey := stranger.leaf("gateway", time.Hour)
	plain := secure(t, cert, key, nil)
	expired := secure(t, oldCert, oldKey, nil)
	wants := func(highest uint16) string {
		return secure(t, cert, key, func(c *tls.Config) {
			c.ClientAuth, c.ClientCAs, c.MaxVersion = tls.RequireAndVerifyClientCert, house.pool(), highest
		})
	}
	mutual, mutual12 := wants(tls.VersionTLS13), wants(tls.VersionTLS12)
	const (
		trust  = "ca_file: house.pem, server_name: app.internal"
		client = ", client_certificate: {cert_file: client.pem, key_file: client.key}"
		wrong  = ", client_certificate: {cert_file: wrong.pem, key_file: wrong.key}"
	)
	for name, c := range map[string]struct{ address, tls, answer, cause string }{
		"good":               {plain, trust, "200 secure", ""},
		"system's authority": {plain, "server_name: app.internal", "502", `its certificate ("CN=app.internal") is signed by "CN=House CA", and is of no authority that the system trusts; tls.ca_file names others`},
		"unknown authority":  {plain, "ca_file: stranger.pem, server_name: app.internal", "502", `is signed by "CN=House CA", and is of no authority in tls.ca_file "stranger.pem"`},
		"wrong name":         {plain, "ca_file: house.pem", "502", `its certificate is for app.internal, not for "127.0.0.1"; tls.server_name sets the name`},
		"expired":            {expired, trust, "502", "its certificate has expired on "},
		"not verified":       {expired, "insecure_skip_verify: true", "200 secure", ""},
		"client certificate": {mutual, trust + client, "200 secure gateway", ""},
		"TLS 1.2":            {mutual12, trust + client, "200 secure gateway", ""},
		"none":               {mutual, trust, "502", "the target wants a client certificate (tls.client_certificate)"},
		"none, TLS 1.2":      {mutual12, trust, "502", "(tls.client_certificate)"},
		"wrong one":          {mutual, trust + wrong, "502", "the target refuses tls.client_certificate: "},
		"wrong one, TLS 1.2": {mutual12, trust + wrong, "502", "the target refuses tls.client_certificate: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, probes := range []string{"health: {interval: 100ms, path: /}", "timeouts: {connect: 1m}"} {
				var output lockedBuffer
				w := newWorkshop(t, "scripts/none.lua", "", "house.pem", house.pem, "stranger.pem", stranger.pem, "client.pem", clientCert, "client.key", clientKey,
					"wrong.pem", wrongCert, "wrong.key", wrongKey,
					"c.yaml", tenantsOf("a", "domains: [a.example.com], "+probes+", services: [{url: 'https://"+c.address+"', tls: {"+c.tls+"}}]"))
				w.log = &output
				w.run()
				if probes[0] == 'h' {
					eventually(t, "the probe says why", func() bool {
						s := w.state()
						return !s.LastCheck.IsZero() && strings.Contains(s.LastError, c.cause) && (s.LastError == "") == (c.cause == "")
					})
					continue
				}
				if got := w.get("/"); !strings.HasPrefix(got, c.answer) {
					t.Errorf("got %s, expected %s", got, c.answer)
				}
			}
		})
	}
}

// TestTargetTLSReload exchanges files under a text that stays: the next request
// uses them, the target keeps its counters, and what can't be read changes nothing.
func TestTargetTLSReload(t *testing.T) {
	t.Parallel()
	house, stranger := newIssuer(t, "House CA"), newIssuer(t, "Stranger CA")
	cert, key := house.leaf("app.internal", time.Hour)
	one, oneKey := house.leaf("one", time.Hour)
	two, twoKey := house.leaf("two", time.Hour)
	address := secure(t, cert, key, func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, house.pool() })
	w := newWorkshop(t, "scripts/none.lua", "", "tls/ca.pem", stranger.pem, "tls/cert.pem", one, "tls/key.pem", oneKey,
		"c.yaml", tenantsOf("a", "domains: [a.example.com], target_tls: {ca_file: tls/ca.pem, client_certificate: {cert_file: tls/cert.pem, key_file: tls/key.pem}}, "+
			"services: [{url: 'https://"+address+"', tls: {server_name: app.internal}}]",
			"b", "domains: [b.example.com], services: [{url: 'http://127.0.0.1:9', weight: 0}]"))
	w.run()
	if got := w.get("/"); !strings.HasPrefix(got, "502") {
		t.Errorf("an unknown authority: got %s", got)
	}
	step := func(what, expected string, files ...string) {
		t.Helper()
		w.write(files...)
		if result := w.server.Reload(); !result.OK || len(result.Changes) != 1 {
			t.Errorf("%s: got %+v", what, result)
		}
		got := w.get("/")
		for deadline := time.Now().Add(patience); strings.HasPrefix(got, "503") && time.Now().Before(deadline); got = w.get("/") {
			// It was down, and is being revived.
		}
		if got != expected {
			t.Errorf("%s: got %s, expected %s", what, got, expected)
		}
	}
	step("the right authority", "200 secure one", "tls/ca.pem", stranger.pem+house.pem)
	step("another client certificate", "200 secure two", "tls/cert.pem", two, "tls/key.pem", twoKey)
	if s := w.state(); s.Requests < 2 || s.TLS != "verified" {
		t.Errorf("the target's counters are gone: %+v", s)
	}

	w.write("tls/key.pem", oneKey)
	result := w.server.Reload()
	if !result.Applied || w.states() != "a=outdated" || len(result.Errors) != 1 ||
		!strings.Contains(result.Errors[0], `cert_file "tls/cert.pem" with key_file "tls/key.pem" can't be used: the private key doesn't belong to the certificate`) {
		t.Errorf("a key of another certificate: got %+v", result)
	}
	if got := w.get("/"); got != "200 secure two" {
		t.Errorf("after a bad reload: got %s", got)
	}
}

// TestTargetTLSWarns is loud about targets that aren't verified.
func TestTargetTLSWarns(t *testing.T) {
	t.Parallel()
	house := newIssuer(t, "House CA")
	oldCert, oldKey := house.leaf("gateway", -time.Hour)
	w := newWorkshop(t, "scripts/none.lua", "", "cert.pem", oldCert, "key.pem", oldKey,
		"c.yaml", tenantsOf("a", "domains: [a.example.com], target_tls: {insecure_skip_verify: true, client_certificate: {cert_file: cert.pem, key_file: key.pem}}, services: [{name: x, url: 'https://127.0.0.1:9'}]"))
	if err := w.start(); err != nil {
		t.Fatal(err)
	}
	warnings := strings.Join(w.server.Warnings(), "\n")
	for _, expected := range []string{`insecure_skip_verify: the certificate of service "x" of tenant "a" is not verified`, `the client certificate "cert.pem" for service "x" of tenant "a" has expired on `} {
		if !strings.Contains(warnings, expected) {
			t.Errorf("the warnings lack %q: %s", expected, warnings)
		}
	}
	if s := w.state(); s.TLS != "unverified" {
		t.Errorf("the admin API says %q", s.TLS)
	}
}

// TestTargetTLSIsChecked reports what can't work, once, where it is written.
func TestTargetTLSIsChecked(t *testing.T) {
	t.Parallel()
	house := newIssuer(t, "House CA")
	cert, key := house.leaf("gateway", time.Hour)
	broken := strings.Replace(house.pem, "MII", "MIA", 1)
	w := newWorkshop(t, "ca.pem", house.pem, "cert.pem", cert, "key.pem", key, "text.pem", "nothing\n", "broken.pem", broken)
	for text, expected := range map[string]string{
		"ca_file: nowhere.pem":                      `ca_file "nowhere.pem" can't be used: there is no such file`,
		"ca_file: text.pem":                         `ca_file "text.pem" can't be used: it holds no certificate`,
		"ca_file: key.pem":                          "it holds a private key, expected certificates only",
		"ca_file: broken.pem":                       "its certificate number 1 can't be read",
		"ca_file: .":                                "it is a directory",
		"client_certificate: {cert_file: cert.pem}": "client_certificate has no key_file",
		"client_certificate: {key_file: key.pem}":   "client_certificate has no cert_file",
		"client_certificate: {cert_file: ca.pem, key_file: key.pem}": `cert_file "ca.pem" with key_file "key.pem" can't be used`,
		"server_name: 'a/b'":    `server_name "a/b" is not a host name`,
		"server_name: 'a:8443'": `server_name "a:8443" is not a host name`,
		"ca: x":                 `unknown key "ca" in tenants[0].target_tls`,
	} {
		_, err := proxy.Parse(w.dir+"/c.yaml", []byte("tenants:\n  - name: a\n    domains: [a.example.com]\n    target_tls: {"+text+"}\n"+
			"    services: [{url: 'https://127.0.0.1:9'}, {url: 'https://127.0.0.1:10'}]\n"))
		if err == nil || !strings.Contains(err.Error(), expected) || strings.Count(err.Error(), "\n") > 0 || !strings.Contains(err.Error(), "c.yaml:4:") {
			t.Errorf("%s: got %v, expected %q once, in line 4", text, err, expected)
		}
	}
	_, err := proxy.Parse(w.dir+"/c.yaml", []byte("tenants: [{name: a, domains: [a.example.com], services: [{url: 'http://127.0.0.1:9', tls: {server_name: a}}]}]"))
	if err == nil || !strings.Contains(err.Error(), "expected a url that begins with https") {
		t.Errorf("tls for http: got %v", err)
	}
}

// TestTargetTLSNeighbours has plain targets and Unix sockets beside target_tls.
func TestTargetTLSNeighbours(t *testing.T) {
	t.Parallel()
	plain := newWeb(t, "plain")
	house := newIssuer(t, "House CA")
	socket := t.TempDir() + "/app.sock"
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "socket") })}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	w := newWorkshop(t, "scripts/none.lua", "", "ca.pem", house.pem,
		"c.yaml", tenantsOf("a", fmt.Sprintf("domains: [a.example.com], target_tls: {ca_file: ca.pem}, services: [{url: '%s'}, {url: 'unix://%s'}]", plain.URL, socket)))
	w.run()
	if a, b := w.get("/"), w.get("/"); a != "200 plain" || b != "200 socket" {
		t.Errorf("got %s and %s", a, b)
	}
}
