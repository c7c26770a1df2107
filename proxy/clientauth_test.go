package proxy_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// authority signs certificates of clients.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate
	list string // of what it has revoked
}

func newAuthority(t testing.TB, dir, name string, by *authority) *authority {
	t.Helper()
	a := &authority{t: t, file: filepath.Join(dir, name+".pem"), list: filepath.Join(dir, name+".crl")}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	a.cert, a.key = sign(t, template, by)
	a.write(a.file, "CERTIFICATE", a.cert.Raw)
	return a
}

// sign makes a certificate with a new key; nil signs itself.
func sign(t testing.TB, template *x509.Certificate, by *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// write replaces a file as a whole.
func (a *authority) write(file, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(file+".new", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		a.t.Fatal(err)
	}
}

// client signs a certificate of a client.
func (a *authority) client(serial int64, from, to time.Duration, between ...*authority) *tls.Certificate {
	a.t.Helper()
	cert, key := sign(a.t, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "robot", Organization: []string{"Acme, Inc."}},
		DNSNames: []string{"robot.example"}, EmailAddresses: []string{"robot@example.com"},
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(to), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, a)
	made := &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
	for _, one := range between {
		made.Certificate = append(made.Certificate, one.cert.Raw)
	}
	return made
}

// revoke writes the list, which ends after that time.
func (a *authority) revoke(next time.Duration, serials ...int64) {
	a.t.Helper()
	template := &x509.RevocationList{Number: big.NewInt(time.Now().UnixNano()), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(next)}
	for _, serial := range serials {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(serial), RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(a.list, "X509 CRL", der)
}

// visit is a client of the tests.
type visit struct {
	server      *proxy.Server
	name, host  string // of SNI, and of the request
	certificate *tls.Certificate
	max         uint16
	sessions    tls.ClientSessionCache
}

// connect is nil, with what happened, where the handshake fails, for which TLS 1.3
// has to read something.
func (v visit) connect(t *testing.T) (*tls.Conn, error) {
	t.Helper()
	config := &tls.Config{ServerName: v.name, InsecureSkipVerify: true, MaxVersion: v.max, ClientSessionCache: v.sessions}
	if v.certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return v.certificate, nil }
	}
	secure := tls.Client(dial(t, v.server), config)
	_ = secure.SetDeadline(time.Now().Add(patience))
	return secure, secure.Handshake()
}

// get returns the status of a request, or "refused", and the body.
func (v visit) get(t *testing.T) string {
	t.Helper()
	secure, err := v.connect(t)
	if err != nil {
		return "refused"
	}
	return askFor(secure, v.host)
}

// askFor sends a request over a connection.
func askFor(secure io.ReadWriter, host string) string {
	if _, err := io.WriteString(secure, "GET / HTTP/1.1\r\nHost: "+host+"\r\nClient-Cert: forged\r\nclient_cert: forged\r\nX-Client: forged\r\nX-Chain: forged\r\n\r\n"); err != nil {
		return "refused"
	}
	answer, err := http.ReadResponse(bufio.NewReader(secure), nil)
	if err != nil {
		return "refused"
	}
	body, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != 200 {
		return fmt.Sprint(answer.StatusCode, " ", answer.Header.Get("X-Gateway-Error"))
	}
	return string(body)
}

// TestClientAuth has clients come to tenants with different terms, by every way
// that there is.
func TestClientAuth(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root, other := newAuthority(t, dir, "root", nil), newAuthority(t, dir, "other", nil)
	between := newAuthority(t, dir, "between", root)
	cert, key := keyPair(t)
	echo := echoing(t, "")
	tenant := func(name, domain, rest string) string {
		return fmt.Sprintf("- {name: %s, domains: ['%s'], services: [{url: 'http://%s'}], client_tls: {%s}}\n", name, domain, echo, rest)
	}
	server := serve(t, fmt.Sprintf("server: {address: '127.0.0.1:0'}\ntls: {enabled: true, cert_file: %q, key_file: %q}\naccess_log: {enabled: false}\ntenants:\n", cert, key)+
		tenant("open", "open.example", "")+
		tenant("modern", "modern.example", "min_version: '1.3'")+
		tenant("asked", "asked.example", "client_auth: request, ca_files: "+root.file)+
		tenant("closed", "closed.example", "client_auth: require, ca_files: "+root.file+", certificate_field: X-Client, chain_field: X-Chain")+
		tenant("same", "*.closed.example", "client_auth: require, ca_files: "+root.file)+
		tenant("foreign", "foreign.example", "client_auth: require, ca_files: "+other.file))
	good := root.client(7, -time.Hour, time.Hour)
	through := between.client(8, -time.Hour, time.Hour, between)
	misdirected := "421 misdirected_request"
	for _, test := range []struct {
		name, host  string
		certificate *tls.Certificate
		max         uint16
		want        string // the beginning, or a part
	}{
		{"open.example", "open.example", nil, 0, "GET /"},
		{"open.example", "open.example", good, 0, "GET /"},
		{"OPEN.example", "open.example:443", nil, tls.VersionTLS12, "GET /"},
		{"", "open.example", nil, 0, "GET /"},
		{"127.0.0.1", "open.example", nil, 0, "GET /"},
		{"modern.example", "modern.example", nil, 0, "GET /"},
		{"modern.example", "modern.example", nil, tls.VersionTLS12, "refused"},
		{"open.example", "modern.example", nil, tls.VersionTLS12, misdirected},
		{"open.example", "modern.example", nil, 0, misdirected},
		{"asked.example", "asked.example", nil, 0, "GET /"},
		{"asked.example", "asked.example", good, 0, "Client-Cert: :"},
		{"asked.example", "asked.example", other.client(1, -time.Hour, time.Hour), 0, "refused"},
		{"open.example", "asked.example", good, 0, misdirected},
		{"closed.example", "closed.example", nil, 0, "refused"},
		{"closed.example", "closed.example", nil, tls.VersionTLS12, "refused"},
		{"closed.example", "closed.example", good, 0, "X-Client: :" + base64.StdEncoding.EncodeToString(good.Certificate[0]) + ":\r\n"},
		{"closed.example", "closed.example", good, tls.VersionTLS12, "X-Client: :"},
		{"closed.example", "closed.example", through, 0, "X-Chain: :" + base64.StdEncoding.EncodeToString(between.cert.Raw) + ":\r\n"},
		{"closed.example", "closed.example", other.client(1, -time.Hour, time.Hour), 0, "refused"},
		{"closed.example", "closed.example", root.client(2, -2*time.Hour, -time.Hour), 0, "refused"},
		{"closed.example", "closed.example", root.client(2, time.Hour, 2*time.Hour), 0, "refused"},
		{"a.closed.example", "b.c.closed.example", good, 0, "Client-Cert: :"},
		{"closed.example", "a.closed.example", good, 0, "Client-Cert: :"}, // the same terms
		{"closed.example", "foreign.example", good, 0, misdirected},
		{"foreign.example", "closed.example", other.client(1, -time.Hour, time.Hour), 0, misdirected},
		{"open.example", "closed.example", good, 0, misdirected},
		{"asked.example", "closed.example", good, 0, misdirected},
		{"closed.example", "open.example", good, 0, misdirected},
		{"", "closed.example", good, 0, misdirected},
		{"127.0.0.1", "closed.example", good, 0, misdirected},
		{"unknown.example", "closed.example", good, 0, misdirected},
		{"xclosed.example", "CLOSED.example.", good, 0, misdirected},
	} {
		got := visit{server, test.name, test.host, test.certificate, test.max, nil}.get(t)
		if !strings.Contains(got, test.want) || strings.Contains(got, "ert: forged") || test.host == "closed.example" && strings.Contains(got, "forged") {
			t.Errorf("to %q for %q with %v: got %.300q, want %.50q", test.name, test.host, test.certificate != nil, got, test.want)
		}
	}
}

// TestClientAuthWithoutTLS serves tenants that require certificates on a listener
// without TLS.
func TestClientAuthWithoutTLS(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, t.TempDir(), "root", nil)
	tenant := "- {name: %s, domains: [%[1]s.example], services: [{url: 'http://" + echoing(t, "") + "'}], client_tls: {client_auth: %s, ca_files: " + root.file + ", allow_without_tls: %v}}\n"
	config := fmt.Sprintf(tenant, "closed", "require", false) + fmt.Sprintf(tenant, "behind", "require", true) + fmt.Sprintf(tenant, "asked", "request", false)
	for trusted, field := range map[string]bool{"192.0.2.1": false, "127.0.0.1": true} {
		server := serve(t, "server: {address: '127.0.0.1:0', trusted_proxies: ["+trusted+"], identity_fields: []}\naccess_log: {enabled: false}\ntenants:\n"+config)
		for host, want := range map[string]string{"closed.example": "421 misdirected_request", "behind.example": "GET /", "asked.example": "GET /"} {
			got := askFor(dial(t, server), host)
			if !strings.HasPrefix(got, want) || want == "GET /" && strings.Contains(got, "Client-Cert: forged") != field {
				t.Errorf("%s behind %s: got %q, want %q, with the field: %v", host, trusted, got, want, field)
			}
		}
	}
}

// TestClientAuthRevoked revokes certificates under open connections and sessions.
func TestClientAuthRevoked(t *testing.T) {
	t.Parallel()
	dir, log := t.TempDir(), &lockedBuffer{}
	root := newAuthority(t, dir, "root", nil)
	root.revoke(time.Hour, 1)
	cert, key := keyPair(t)
	server := runLogged(t, fmt.Sprintf("server: {address: '127.0.0.1:0'}\ntls: {enabled: true, cert_file: %q, key_file: %q}\naccess_log: {enabled: false}\ntenants:\n"+
		"- {name: a, domains: [a.example], services: [{url: 'http://%s'}], client_tls: {client_auth: require, ca_files: %q, crl_files: %q}}\n", cert, key, echoing(t, ""), root.file, root.list), zerolog.New(log))
	first, second := root.client(1, -time.Hour, time.Hour), root.client(2, -time.Hour, time.Hour)
	if got := (visit{server, "a.example", "a.example", first, 0, nil}).get(t); got != "refused" {
		t.Errorf("a revoked certificate: %s", got)
	}
	eventually(t, "the log says why", func() bool { return strings.Contains(log.String(), "the client's certificate is revoked") })
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		root.revoke(time.Hour, 1)
		resumed := visit{server, "a.example", "a.example", second, version, tls.NewLRUClientSessionCache(1)}
		if result, got := server.Reload(), resumed.get(t); !result.OK || !strings.HasPrefix(got, "GET /") {
			t.Fatalf("a good certificate: %v, %s", result.Errors, got)
		}
		open, err := resumed.connect(t)
		if err != nil || !open.ConnectionState().DidResume {
			t.Fatalf("the session isn't resumed: %v", err)
		}
		if got := askFor(open, "a.example"); !strings.HasPrefix(got, "GET /") {
			t.Errorf("a kept connection: %s", got)
		}
		root.revoke(time.Hour, 1, 2)
		server.Reload()
		if got := askFor(open, "a.example"); got != "421 misdirected_request" {
			t.Errorf("a kept connection with a certificate that was revoked: %s", got)
		}
		if got := resumed.get(t); got != "refused" {
			t.Errorf("a session that is resumed with a certificate that was revoked: %s", got)
		}
	}
	root.revoke(-time.Second, 1)
	third := visit{server, "a.example", "a.example", root.client(3, -time.Hour, time.Hour), 0, nil}
	eventually(t, "a list that has ended refuses all", func() bool { return third.get(t) == "refused" })
	broken := func(want string) {
		t.Helper()
		list := server.BrokenFiles()
		if len(list) != 1 || list[0].Path != root.list || list[0].Purpose != "client_tls" || !strings.Contains(list[0].Error, want) || time.Since(list[0].Since) > time.Hour {
			t.Errorf("%+v are broken, want %s with %q", list, root.list, want)
		}
	}
	broken("a revocation list has ended")
	root.write(root.list, "X509 CRL", []byte("nonsense"))
	eventually(t, "a list that can't be read is logged", func() bool { return strings.Contains(log.String(), "a file of client_tls can't be used") })
	if list := server.BrokenFiles(); len(list) != 2 || !strings.Contains(list[0].Error+list[1].Error, "no revocation list") && !strings.Contains(list[0].Error+list[1].Error, "asn1") && !strings.Contains(list[0].Error+list[1].Error, "malformed") {
		t.Errorf("%+v are broken, want the list that has ended, and what is there now", list)
	}
	root.revoke(time.Hour, 1)
	eventually(t, "a good list is taken up", func() bool { return strings.HasPrefix(third.get(t), "GET /") })
	if list := server.BrokenFiles(); len(list) > 0 {
		t.Errorf("%+v are broken", list)
	}
	newAuthority(t, dir, "root", nil) // in the place of the first, whose list is none of it
	if result := server.Reload(); result.OK {
		t.Error("a list of another authority is taken")
	}
	if got := third.get(t); !strings.HasPrefix(got, "GET /") {
		t.Errorf("after a refused reload: %s", got)
	}
}

// TestClientAuthErrors demands of each mistake its place.
func TestClientAuthErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root, other := newAuthority(t, dir, "root", nil), newAuthority(t, dir, "other", nil)
	root.revoke(time.Hour)
	other.revoke(time.Hour)
	for section, want := range map[string]string{
		"client_auth: require":                                               "1:104: client_auth is require without ca_files",
		"ca_files: root.pem":                                                 "1:101: ca_files are set, and client_auth is none",
		"client_auth: maybe":                                                 "client_tls.client_auth: expected one of none, request, require, got \"maybe\"",
		"min_version: '1.1'":                                                 "client_tls.min_version: expected one of 1.2, 1.3, got \"1.1\"",
		"client_auth: require, ca_files: none.pem":                           "cannot use \"",
		"client_auth: require, ca_files: root.crl":                           "it holds no certificate",
		"client_auth: require, ca_files: root.pem, crl_files: root.pem":      "it holds no revocation list",
		"client_auth: require, ca_files: root.pem, crl_files: other.crl":     "signed by none of ca_files",
		"client_auth: require, ca_files: root.pem, certificate_field: a b":   "certificate_field \"a b\" is not a field's name",
		"client_auth: require, ca_files: root.pem, chain_field: Host":        "chain_field \"Host\" is a field that the gateway looks after",
		"client_auth: require, ca_files: root.pem, chain_field: client-cert": "chain_field is \"client-cert\" as certificate_field is",
		"client_auth: require, crl_files: root.crl":                          "crl_files are set without ca_files",
	} {
		_, err := proxy.Parse(filepath.Join(dir, "config.yaml"), []byte("tenants: [{name: a, path_prefix: /, services: [{url: 'http://127.0.0.1:1'}], client_tls: {"+section+"}}]\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", section, err, want)
		}
	}
	two := "tenants: [{name: a, domains: [x.example], path_prefix: /a, services: [{url: 'http://127.0.0.1:1'}]}, {name: b, domains: [X.example.], path_prefix: /b, services: [{url: 'http://127.0.0.1:1'}], client_tls: {min_version: '1.3'}}]\n"
	config, err := proxy.Parse(filepath.Join(dir, "config.yaml"), []byte(two))
	if err != nil || !strings.Contains(fmt.Sprint(config.Err()), "tenant \"b\" asks for other TLS (min_version, client_auth, ca_files, crl_files) than tenant \"a\", which has the host x.example too") {
		t.Errorf("two with one host: %v, %v", err, config.Err())
	}
}

// TestClientCertificateSeen has scripts and policies tell what they see of a
// certificate, and of what a client or a script makes up.
func TestClientCertificateSeen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root := newAuthority(t, dir, "root", nil)
	if err := os.WriteFile(filepath.Join(dir, "seen.lua"), []byte(`
chi_middleware("/*", function(request, response, next)
	local c = request.client_certificate
	request:set_header("Client-Cert", "made up")
	if c then
		request:set_header("X-Seen", table.concat({ c.subject, c.issuer, c.serial, #c.fingerprint, c.not_after - c.not_before, c.dns_names[1], c.emails[1], #c.uris, #c.ips }, "|"))
	end
	request:set_header("X-Forged", request:header("Client-Cert") .. (request:header("X-Forged") or ""))
	next()
end)
`), 0o600); err != nil {
		t.Fatal(err)
	}
	cert, key := keyPair(t)
	server := serve(t, fmt.Sprintf("server: {address: '127.0.0.1:0'}\ntls: {enabled: true, cert_file: %q, key_file: %q}\naccess_log: {enabled: false}\nlua_routing: {enabled: true, scripts_dir: %q}\n"+
		"client_tls: {client_auth: request, ca_files: %q}\ntenants:\n- {name: a, path_prefix: /, lua_routes: seen.lua, services: [{url: 'http://%s'}], policies: [{headers: {request: {set: {X-Who: '<${client_certificate_subject}> ${client_certificate_serial}', Client-Cert: no}}}}]}\n",
		cert, key, dir, root.file, echoing(t, "")))
	got := visit{server, "a.example", "a.example", root.client(0x2a, -time.Hour, time.Hour), 0, nil}.get(t)
	for _, want := range []string{
		"X-Seen: CN=robot,O=Acme\\, Inc.|CN=root|2a|64|7200|robot.example|robot@example.com|0|0\r\n", "X-Who: <CN=robot,O=Acme\\, Inc.> 2a\r\n", "X-Forged: made up\r\n", "\r\nClient-Cert: :",
	} {
		if !strings.Contains(got, want) || strings.Contains(got, "Client-Cert: made up") || strings.Count(got, "Client-Cert") != 1 {
			t.Errorf("the target gets %s, want %q", got, want)
		}
	}
	got = visit{server, "", "a.example", nil, 0, nil}.get(t)
	if strings.Contains(got, "X-Seen") || strings.Contains(got, "Client-Cert") || !strings.Contains(got, "X-Who: <> \r\n") && !strings.Contains(got, "X-Who: <>\r\n") {
		t.Errorf("without a certificate the target gets %s", got)
	}
}
