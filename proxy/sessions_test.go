package proxy_test

import (
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis/redistest"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// anyName is a client that resumes one session with whomever it speaks.
type anyName struct{ tls.ClientSessionCache }

func (s anyName) Get(string) (*tls.ClientSessionState, bool) { return s.ClientSessionCache.Get("") }
func (s anyName) Put(_ string, state *tls.ClientSessionState) {
	s.ClientSessionCache.Put("", state)
}

// resumes reports whether a client's session goes on, and what it gets.
func (v visit) resumes(t *testing.T) (bool, string) {
	t.Helper()
	secure, err := v.connect(t)
	if err != nil {
		return false, "refused"
	}
	return secure.ConnectionState().DidResume, askFor(secure, v.host)
}

// TestSessions resumes sessions at other gateways, under other names, and past
// other terms.
func TestSessions(t *testing.T) {
	t.Parallel()
	dir, log := t.TempDir(), &lockedBuffer{}
	secret := filepath.Join(dir, "secret")
	write := func(text string) {
		if err := os.WriteFile(secret, []byte(strings.Repeat(text, 48)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a")
	root := newAuthority(t, dir, "root", nil)
	cert, key := keyPair(t)
	echo := echoing(t, "")
	start := func(tickets string) *proxy.Server {
		return runLogged(t, fmt.Sprintf("server: {address: '127.0.0.1:0'}\ntls: {enabled: true, cert_file: %q, key_file: %q, tickets: {%s}}\naccess_log: {enabled: false}\ntenants:\n"+
			"- {name: open, domains: [open.example, too.example], services: [{url: 'http://%s'}]}\n"+
			"- {name: asked, domains: [asked.example], services: [{url: 'http://%[5]s'}], client_tls: {client_auth: request, ca_files: %[6]q}}\n"+
			"- {name: closed, domains: [closed.example], services: [{url: 'http://%[5]s'}], client_tls: {client_auth: require, ca_files: %[6]q}}\n", cert, key, tickets, echo, echo, root.file), zerolog.New(log))
	}
	first, second, alone := start(fmt.Sprintf("secret_file: %q", secret)), start(fmt.Sprintf("secret_file: %q", secret)), start("")
	good := root.client(1, -time.Hour, time.Hour)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		at := func(server *proxy.Server, name string, certificate *tls.Certificate, cache tls.ClientSessionCache) visit {
			return visit{server, name, name, certificate, version, cache}
		}
		for _, certificate := range []*tls.Certificate{nil, good} {
			name := map[bool]string{true: "open.example", false: "closed.example"}[certificate == nil]
			cache := tls.NewLRUClientSessionCache(4)
			if resumed, got := at(first, name, certificate, cache).resumes(t); resumed || !strings.HasPrefix(got, "GET /") {
				t.Fatalf("%s, %x, first: %v, %s", name, version, resumed, got)
			}
			for what, server := range map[string]*proxy.Server{"the same": first, "another": second} {
				if resumed, got := at(server, name, certificate, cache).resumes(t); !resumed || !strings.HasPrefix(got, "GET /") || strings.Contains(got, "Client-Cert: :") != (certificate != nil) {
					t.Errorf("%s, %x, at %s gateway: resumed: %v, %.40s", name, version, what, resumed, got)
				}
			}
			if resumed, got := at(alone, name, certificate, cache).resumes(t); resumed || !strings.HasPrefix(got, "GET /") {
				t.Errorf("%s, %x, where keys are its own: resumed: %v, %s", name, version, resumed, got)
			}
		}
		for _, from := range []string{"open.example", "asked.example", "closed.example"} {
			for to, want := range map[string]string{"open.example": "GET /", "too.example": "GET /", "asked.example": "GET /", "closed.example": "refused"} {
				if from == to {
					continue
				}
				cache := anyName{tls.NewLRUClientSessionCache(1)}
				if _, got := at(first, from, good, cache).resumes(t); !strings.HasPrefix(got, "GET /") {
					t.Fatalf("%s, %x: %s", from, version, got)
				}
				if resumed, got := at(first, to, nil, cache).resumes(t); resumed || !strings.HasPrefix(got, want) {
					t.Errorf("%x: a session of %s at %s is resumed: %v, %.40s, want %s", version, from, to, resumed, got, want)
				}
			}
		}
	}
	cache := tls.NewLRUClientSessionCache(1)
	before := visit{first, "open.example", "open.example", nil, 0, cache}
	before.resumes(t)
	write("b")
	eventually(t, "the new secret is taken up", func() bool {
		return strings.Contains(log.String(), "the secret of session tickets has been taken up")
	})
	eventually(t, "and by the other", func() bool {
		before.resumes(t)
		resumed, _ := visit{second, "open.example", "open.example", nil, 0, cache}.resumes(t)
		return resumed
	})
	write("")
	eventually(t, "a bad one is logged", func() bool { return strings.Contains(log.String(), "the file of session tickets can't be used") })
	if resumed, _ := before.resumes(t); !resumed {
		t.Error("with a bad secret nothing is resumed, want the old one to stay")
	}
	if result := first.Reload(); result.OK || !strings.Contains(fmt.Sprint(result.Errors), "expected at least 32") {
		t.Errorf("a reload takes a bad secret: %v", result.Errors)
	}
}

// TestSessionsInStore: gateways that have the same store resume each other's sessions,
// and go on, each with its own, when it is away.
func TestSessionsInStore(t *testing.T) {
	t.Parallel()
	store := redistest.Start(t)
	cert, key := keyPair(t)
	config := fmt.Sprintf("%sserver: {address: '127.0.0.1:0'}\ntls: {enabled: true, cert_file: %q, key_file: %q, tickets: {shared: true}}\naccess_log: {enabled: false}\ntenants: [{name: a, domains: [a.example], services: [{url: 'http://%s'}]}]\n", storeLine(store.Address), cert, key, echoing(t, ""))
	first, second := serve(t, config), serve(t, config)
	until.True(t, "a session of one is resumed at the other", func() bool {
		cache := tls.NewLRUClientSessionCache(4)
		at := func(server *proxy.Server) visit {
			return visit{server, "a.example", "a.example", nil, tls.VersionTLS13, cache}
		}
		_, one := at(first).resumes(t)
		resumed, other := at(second).resumes(t)
		if !strings.HasPrefix(one, "GET /") || !strings.HasPrefix(other, "GET /") {
			t.Fatalf("got %s, %s", one, other)
		}
		return resumed
	})
	store.Kill()
	until.True(t, "the store is away", func() bool { return !hereAt(first) })
	alone := serve(t, config)
	cache := tls.NewLRUClientSessionCache(4)
	for i := range 2 {
		if resumed, got := (visit{alone, "a.example", "a.example", nil, tls.VersionTLS13, cache}).resumes(t); resumed != (i == 1) || !strings.HasPrefix(got, "GET /") {
			t.Errorf("without the store, %d: resumed %v, %s", i, resumed, got)
		}
	}
}

// TestRenegotiation asks for another handshake on a connection, which there is not.
func TestRenegotiation(t *testing.T) {
	t.Parallel()
	cert, key := keyPair(t)
	server := serve(t, fmt.Sprintf("server: {address: '127.0.0.1:0'}\ntls: {enabled: true, cert_file: %q, key_file: %q}\naccess_log: {enabled: false}\n"+
		"tenants: [{name: a, path_prefix: /, services: [{url: 'http://%s'}]}]\n", cert, key, echoing(t, "")))
	command := exec.Command("openssl", "s_client", "-connect", server.Addr().String(), "-tls1_2", "-servername", "a")
	command.Stdin = strings.NewReader("R\n")
	output, _ := command.CombinedOutput() // it fails
	if command.ProcessState == nil {
		if os.Getenv("KEYSTONE_CI") != "" {
			t.Fatal("openssl is missing")
		}
		t.Skip("there is no openssl")
	}
	if text := string(output); !strings.Contains(text, "RENEGOTIATING") || !strings.Contains(text, "SSL alert") {
		t.Errorf("openssl says %s", text)
	}
}
