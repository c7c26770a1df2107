// Package authority is a certificate authority for tests, which speaks ACME: pebble,
// in the process, with a DNS server beside it. It is for tests only.
//
//	ca := authority.Start(t, authority.Options{TLSPort: port})
//	// certificates.acme: {ca: ca.URL, ca_roots_file: ca.RootsFile}
package authority

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// Options says how the authority works.
type Options struct {
	// HTTPPort and TLSPort are where it looks for proofs, of whatever name, on
	// 127.0.0.1; 0 is where nobody listens.
	HTTPPort, TLSPort int
	// Lifetime is that of certificates, in seconds; 0 is five years.
	Lifetime uint64
	// Accounts are the keys of external account bindings, by their names; without
	// any, none is asked for.
	Accounts map[string]string
	// Before, if not nil, sees each request before the authority does, and answers it
	// if it returns true.
	Before func(w http.ResponseWriter, r *http.Request) bool
}

// Authority is a running one.
type Authority struct {
	URL       string // of its directory
	RootsFile string // what has signed its own server's certificate
	Names     *Names // the records that it sees

	issuers          *x509.CertPool
	orders, accounts atomic.Int64
	down             atomic.Bool
	handler          http.Handler
	manage           http.Handler
	server           *httptest.Server
}

// number tells authorities apart.
var number atomic.Int64

// quickly has the authorities of the process neither sleep nor refuse at random.
var quickly = sync.OnceFunc(func() {
	for name, value := range map[string]string{"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0", "PEBBLE_WFE_NONCEREJECT": "5"} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
})

// Start starts an authority, which ends with the test.
func Start(t testing.TB, o Options) *Authority {
	t.Helper()
	quickly()
	a := &Authority{Names: startNames(t), issuers: x509.NewCertPool()}
	quiet := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	for id, key := range o.Accounts {
		if err := store.AddExternalAccountKeyByID(id, key); err != nil {
			t.Fatal(err)
		}
	}
	issuer := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{
		"default": {Description: "the usual one", ValidityPeriod: o.Lifetime},
	})
	a.issuers.AddCert(issuer.GetRootCert(0).Cert)
	front := wfe.New(quiet, store, va.New(quiet, o.HTTPPort, o.TLSPort, false, a.Names.address, store), issuer, []string{"pebble.letsencrypt.org"}, false, len(o.Accounts) > 0, 0, 0)
	a.handler, a.manage = front.Handler(), front.ManagementHandler()
	a.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case a.down.Load():
			w.WriteHeader(http.StatusBadGateway)
			return
		case o.Before != nil && o.Before(w, r):
			return
		case r.URL.Path == "/order-plz":
			w = &counted{w, &a.orders}
		case r.URL.Path == "/sign-me-up":
			w = &counted{w, &a.accounts}
		}
		a.handler.ServeHTTP(w, r)
	}))
	a.server.Config.ErrorLog = quiet
	t.Cleanup(a.server.Close)
	// The library keeps what it has read of a directory for hours, by its URL, and ports
	// are used again.
	a.URL = fmt.Sprint(a.server.URL, wfe.DirectoryPath, "?number=", number.Add(1))
	a.RootsFile = filepath.Join(t.TempDir(), "roots.pem")
	roots := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.server.Certificate().Raw})
	if err := os.WriteFile(a.RootsFile, roots, 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// Accounts returns how many have been made.
func (a *Authority) Accounts() int { return int(a.accounts.Load()) }

// counted counts what is made: what comes with a bad nonce comes again.
type counted struct {
	http.ResponseWriter
	made *atomic.Int64
}

func (c *counted) WriteHeader(status int) {
	if status == http.StatusCreated {
		c.made.Add(1)
	}
	c.ResponseWriter.WriteHeader(status)
}

// SetDown says whether everything is answered with 502.
func (a *Authority) SetDown(down bool) { a.down.Store(down) }

// Orders returns how many certificates have been ordered.
func (a *Authority) Orders() int { return int(a.orders.Load()) }

// Issued reports whether a certificate is one of the authority's, for a name.
func (a *Authority) Issued(chain []*x509.Certificate, name string) error {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: name, Roots: a.issuers, Intermediates: between})
	return err
}

// Manage asks the authority's management interface, as pebble has it.
func (a *Authority) Manage(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	a.manage.ServeHTTP(w, r)
	return w
}
