package certificates_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener/certificates"
)

// TestStaple has a responder say this and that of a certificate.
func TestStaple(t *testing.T) {
	t.Parallel()
	var answer atomic.Pointer[func(http.ResponseWriter, []byte)]
	responder := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		question, _ := io.ReadAll(r.Body)
		(*answer.Load())(w, question)
	}))
	defer responder.Close()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	issuerDER, err := x509.CreateCertificate(rand.Reader, issuer, issuer, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if issuer, err = x509.ParseCertificate(issuerDER); err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{"a.example"}, NotAfter: time.Now().Add(time.Hour), OCSPServer: []string{responder.URL}}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, issuer, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pair := certificates.Pair{Cert: filepath.Join(t.TempDir(), "a.pem")}
	pair.Key = pair.Cert
	var file bytes.Buffer
	for _, block := range []*pem.Block{{Type: "CERTIFICATE", Bytes: leafDER}, {Type: "CERTIFICATE", Bytes: issuerDER}, {Type: "PRIVATE KEY", Bytes: private}} {
		_ = pem.Encode(&file, block)
	}
	if err := os.WriteFile(pair.Cert, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	source := certificates.Source{Files: []certificates.Pair{pair}}
	store := &certificates.Store{}
	store.Use(source, certificates.Load(source, nil, false))
	says := func(status int, from, to time.Duration, serial int64) func(http.ResponseWriter, []byte) {
		return func(w http.ResponseWriter, _ []byte) {
			response, err := ocsp.CreateResponse(issuer, issuer, ocsp.Response{Status: status, SerialNumber: big.NewInt(serial), ThisUpdate: time.Now().Add(from), NextUpdate: time.Now().Add(to)}, key)
			if err != nil {
				t.Error(err)
			}
			_, _ = w.Write(response)
		}
	}
	failures := 0
	round := func(f func(http.ResponseWriter, []byte)) (stapled bool) {
		answer.Store(&f)
		store.RenewStaples(t.Context(), true, func(*certificates.Certificate, error) { failures++ })
		return staple(t, store) != nil
	}
	good := says(ocsp.Good, -time.Minute, time.Hour, 2)
	if round(good) {
		t.Error("a responder is asked of a certificate that nobody has asked for") // staple has, by now
	}
	bad := []func(http.ResponseWriter, []byte){
		says(ocsp.Revoked, -time.Minute, time.Hour, 2), says(ocsp.Unknown, -time.Minute, time.Hour, 2), says(ocsp.Good, -time.Hour, -time.Minute, 2),
		says(ocsp.Good, 2*time.Hour, 3*time.Hour, 2), says(ocsp.Good, -time.Minute, time.Hour, 3),
		func(w http.ResponseWriter, _ []byte) { _, _ = w.Write([]byte("nonsense")) },
		func(w http.ResponseWriter, _ []byte) { _, _ = w.Write(make([]byte, 1<<20)) },
		func(w http.ResponseWriter, _ []byte) { w.WriteHeader(500) },
		func(w http.ResponseWriter, _ []byte) {
			w.Header().Set("Location", "http://127.0.0.1:1")
			w.WriteHeader(302)
		},
	}
	for i, f := range bad {
		if before := failures; round(f) || failures != before+1 {
			t.Errorf("bad answer %d is sent, or isn't told: %d times", i, failures-before)
		}
	}
	before := failures
	for range 3 {
		round(bad[7])
	}
	if failures > before+1 {
		t.Errorf("one failure is told %d times", failures-before)
	}
	if !round(good) {
		t.Error("a good answer isn't sent")
	}
	first := staple(t, store)
	if !round(bad[0]) || !bytes.Equal(staple(t, store), first) {
		t.Error("a good answer isn't kept while the responder fails")
	}
	store.EndStaples()
	if round(bad[0]) {
		t.Error("an answer is sent that has ended")
	}
}

// staple is what a client gets.
func staple(t *testing.T, store *certificates.Store) []byte {
	t.Helper()
	here, there := net.Pipe()
	defer func() { _ = here.Close(); _ = there.Close() }()
	server := tls.Server(there, &tls.Config{GetCertificate: store.Choose, MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true})
	go func() { _ = server.Handshake() }()
	client := tls.Client(here, &tls.Config{ServerName: "a.example", InsecureSkipVerify: true})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	return client.ConnectionState().OCSPResponse
}
