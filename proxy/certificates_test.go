package proxy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// certify writes a certificate for a name as NAME.crt and NAME.key.
func certify(t *testing.T, dir, name string) (serial string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for extension, block := range map[string]*pem.Block{".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name+extension), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return template.SerialNumber.String()
}

// servedFor is the serial number of the certificate that a client gets for a name.
func servedFor(t *testing.T, server *proxy.Server, name string) string {
	t.Helper()
	secure := tls.Client(dial(t, server), &tls.Config{ServerName: name, InsecureSkipVerify: true})
	_ = secure.SetDeadline(time.Now().Add(patience))
	if err := secure.Handshake(); err != nil {
		return err.Error()
	}
	return secure.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// TestCertificates serves several by their names, and changes files under it.
func TestCertificates(t *testing.T) {
	t.Parallel()
	dir, listed, log := t.TempDir(), t.TempDir(), &lockedBuffer{}
	first, a := certify(t, listed, "first.example"), certify(t, dir, "a.example")
	server := runLogged(t, fmt.Sprintf("server: {address: \"127.0.0.1:0\"}\ntls: {enabled: true}\naccess_log: {enabled: false}\n"+
		"certificates: {files: [{cert: %q, key: %q}], directories: [%q]}\ntenants: [{name: a, path_prefix: /, services: [{url: \"http://127.0.0.1:1\"}]}]\n",
		filepath.Join(listed, "first.example.crt"), filepath.Join(listed, "first.example.key"), dir), zerolog.New(log))
	for name, want := range map[string]string{"a.example": a, "first.example": first, "b.example": first, "": first} {
		if got := servedFor(t, server, name); got != want {
			t.Errorf("%q gets %s, want %s", name, got, want)
		}
	}
	b := certify(t, dir, "b.example")
	again := certify(t, dir, "a.example")
	eventually(t, "new files are taken up", func() bool {
		return servedFor(t, server, "b.example") == b && servedFor(t, server, "a.example") == again
	})
	if err := os.WriteFile(filepath.Join(dir, "a.example.key"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a bad one is logged", func() bool { return strings.Contains(log.String(), `"old_one_stays":true`) })
	if got := servedFor(t, server, "a.example"); got != again {
		t.Errorf("with a bad new key: %s, want the old certificate %s", got, again)
	}
	if result := server.Reload(); !result.OK {
		t.Errorf("a pair in a directory refuses a reload: %v", result.Errors)
	}
	if got := servedFor(t, server, "a.example"); got != again {
		t.Errorf("after the reload: %s, want the old certificate %s", got, again)
	}
	if err := os.WriteFile(filepath.Join(listed, "first.example.key"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if result := server.Reload(); result.OK || !strings.Contains(fmt.Sprint(result.Errors), "config.yaml:4:31: cannot use certificate") {
		t.Errorf("with a bad listed key: %v", result.Errors)
	}
	if got := servedFor(t, server, ""); got != first {
		t.Errorf("with a bad listed key: %s, want the old certificate %s", got, first)
	}
}

// TestCertificateErrors demands of each mistake its place.
func TestCertificateErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certify(t, dir, "a")
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	for config, want := range map[string]string{
		"tls: {enabled: true}": "1:16: tls is enabled without a certificate",
		"tls: {enabled: true}\ncertificates: {files: [{cert: a.crt}]}":                                                "2:24: certificates.files has cert \"a.crt\" and key \"\", expected both",
		"tls: {enabled: true}\ncertificates: {files: [{cert: a.crt, key: a.key}, {cert: b.crt, key: b.key}]}":         "2:58: cannot use certificate",
		"tls: {enabled: true}\ncertificates: {directories: [none]}":                                                   "2:30: cannot read the directory",
		"tls: {enabled: true}\ncertificates: {directories: [empty]}":                                                  "2:29: certificates.directories have no certificate",
		"tls: {enabled: true, cert_file: a.crt, key_file: a.key}\ncertificates: {files: [{cert: a.crt, key: c.key}]}": "2:31: cannot use certificate",
		"tls: {enabled: true, cert_file: a.crt, key_file: b.key}\ncertificates: {directories: [.]}":                   "1:33: cannot use certificate",
	} {
		_, err := proxy.Parse(filepath.Join(dir, "config.yaml"), []byte(config+"\ntenants: [{name: a, path_prefix: /, services: [{url: 'http://127.0.0.1:1'}]}]\n"))
		if err == nil || !strings.Contains(err.Error(), "config.yaml:"+want) {
			t.Errorf("%s: %v, want %s", config, err, want)
		}
	}
	const ordered = "certificates: {directories: [empty], acme: {email: a@example.com}}\ntenants: [{name: a, domains: [a.example.com], tls: auto, services: [{url: 'http://127.0.0.1:1'}]}]\n"
	if _, err := proxy.Parse(filepath.Join(dir, "config.yaml"), []byte("tls: {enabled: true}\n"+ordered)); err != nil {
		t.Errorf("where certificates are ordered, there may be none yet: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "alone.key"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := proxy.Parse(filepath.Join(dir, "config.yaml"), []byte("tls: {enabled: true}\ncertificates: {directories: [.]}\ntenants: [{name: a, path_prefix: /, services: [{url: 'http://127.0.0.1:1'}]}]\n"))
	if err != nil || !strings.Contains(strings.Join(config.Warnings(), "\n"), "alone.crt") {
		t.Errorf("a bad pair in a directory: %v, want a warning", err)
	}
}
