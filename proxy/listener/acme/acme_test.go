package acme_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener/acme"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/certificates"
	"github.com/keystone-gateway/keystone-gateway/test/authority"
	"github.com/keystone-gateway/keystone-gateway/test/port"
)

// patience is how long what must happen may take.
const patience = time.Minute

// eventually waits for something.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it hasn't come to that %s", what)
		}
	}
}

// ports are where a gateway is reached by an authority.
type ports struct{ http, tls net.TCPAddr }

func reserve(t *testing.T) (p ports) {
	t.Helper()
	for _, to := range []*net.TCPAddr{&p.http, &p.tls} {
		address, err := net.ResolveTCPAddr("tcp", port.Reserve(t))
		if err != nil {
			t.Fatal(err)
		}
		*to = *address
	}
	return p
}

// clock is a time that tests set.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// gateway is as much of one as it takes here.
type gateway struct {
	*acme.Manager
	store certificates.Store
	clock clock
	dir   string // with the storage

	shared acme.Storage // in its place; nil: none
	end    func()
}

// start runs a manager without listeners.
func start(t *testing.T, dir string) *gateway {
	t.Helper()
	g := &gateway{dir: dir}
	g.Manager = acme.New(acme.Options{Log: zerolog.Nop(), Now: g.clock.now, Covered: func(name string) bool { return g.store.Current().Has(name) }})
	g.store.Issued = g.Find
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(g.Start(ctx))
	g.end = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(g.end)
	return g
}

// listen opens the gateway's listeners.
func (g *gateway) listen(t *testing.T, at ports) {
	t.Helper()
	plain, err := net.ListenTCP("tcp", &at.http)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.Host)
		if answer := g.Answer([]byte(host), []byte(r.URL.EscapedPath())); answer != nil {
			_, _ = w.Write(answer)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(plain) })
	secure, err := net.ListenTCP("tcp", &at.tls)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: g.store.Choose}
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) { return g.Prove(hello), nil }
	serving.Go(func() {
		for {
			conn, err := secure.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				_ = conn.SetDeadline(time.Now().Add(patience))
				_ = tls.Server(conn, config).Handshake()
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		_, _ = server.Close(), secure.Close()
		serving.Wait()
	})
}

// section is a configuration for an authority, changed by change.
func section(ca *authority.Authority, change func(*acme.Config)) *acme.Config {
	var c acme.Config
	c.SetDefaults()
	c.CA, c.CARootsFile, c.Email = ca.URL, ca.RootsFile, "ops@example.com"
	if change != nil {
		change(&c)
	}
	return &c
}

// use puts a plan into use.
func (g *gateway) use(t *testing.T, c *acme.Config, tenants ...acme.Tenant) {
	t.Helper()
	roots, err := os.ReadFile(c.CARootsFile)
	if err != nil {
		t.Fatal(err)
	}
	g.Use(acme.NewPlan(c, g.dir, roots, acme.NewNames(tenants), g.shared))
}

// status is that of a name; zero if it isn't looked after.
func (g *gateway) status(name string) acme.Status {
	for _, s := range g.Status() {
		if s.Name == name {
			return s
		}
	}
	return acme.Status{}
}

// becomes waits for a state.
func (g *gateway) becomes(t *testing.T, name string, state acme.State) acme.Status {
	t.Helper()
	is := g.status(name)
	failures := is.Failures
	eventually(t, name+" is "+string(state), func() bool {
		if is = g.status(name); is.Failures > failures && state == acme.Valid {
			t.Fatalf("%s: %+v", name, is)
		}
		return is.State == state
	})
	return is
}

// chain is what a client gets that asks for a name; nil is none.
func (g *gateway) chain(name string) (chain []*x509.Certificate) {
	client, server := net.Pipe()
	defer func() { _ = client.Close() }()
	go func() {
		_ = tls.Server(server, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: g.store.Choose}).Handshake()
		_ = server.Close()
	}()
	conn := tls.Client(client, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if conn.Handshake() != nil {
		return nil
	}
	return conn.ConnectionState().PeerCertificates
}

// serves demands that a client gets a certificate of the authority for a name.
func (g *gateway) serves(t *testing.T, ca *authority.Authority, name string) *x509.Certificate {
	t.Helper()
	chain := g.chain(name)
	if chain == nil {
		t.Fatalf("no certificate for %s; %+v", name, g.Status())
	}
	if err := ca.Issued(chain, name); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return chain[0]
}

func auto(name string, domains ...string) acme.Tenant {
	return acme.Tenant{Name: name, Domains: domains, Auto: true}
}

// TestChallenges proves names in each of the ways.
func TestChallenges(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{acme.HTTP01, acme.TLSALPN01, acme.DNS01} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			at := reserve(t)
			ca := authority.Start(t, authority.Options{HTTPPort: at.http.Port, TLSPort: at.tls.Port})
			g := start(t, t.TempDir())
			g.listen(t, at)
			domains := []string{"a.example.com", "b.example.com"}
			c := section(ca, func(c *acme.Config) { c.Challenges = []string{kind} })
			if kind == acme.DNS01 {
				domains = append(domains, "*.example.com")
				c.DNS.Command = recorder(t, ca)
			}
			g.use(t, c, auto("a", domains...), acme.Tenant{Name: "b", Domains: []string{"c.example.org"}})
			for _, name := range domains {
				g.becomes(t, name, acme.Valid)
				g.serves(t, ca, strings.Replace(name, "*", "below", 1))
			}
			if orders := ca.Orders(); orders != len(domains) {
				t.Errorf("%d orders, want %d", orders, len(domains))
			}
			if chain := g.chain("c.example.org"); chain != nil {
				t.Errorf("a tenant without tls: auto has the certificate for %q", chain[0].DNSNames)
			}
			demandPrivate(t, g.dir)
		})
	}
}

// demandPrivate demands that nobody else can read the storage, and that no
// challenge and no lock is left there.
func demandPrivate(t *testing.T, dir string) {
	t.Helper()
	kept := 0
	err := filepath.WalkDir(filepath.Join(dir, "acme"), func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		switch kept++; {
		case entry.IsDir() && info.Mode().Perm() != 0o700, !entry.IsDir() && info.Mode().Perm() != 0o600:
			t.Errorf("%s has the mode %v", path, info.Mode())
		case !entry.IsDir() && (strings.Contains(path, "/challenges/") || strings.Contains(path, "/locks/")):
			t.Errorf("%s was left", path)
		}
		return nil
	})
	if err != nil || kept < 4 {
		t.Errorf("%d files and directories in the storage: %v", kept, err)
	}
}
