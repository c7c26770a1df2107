package modules_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
)

// publicJWK writes a key as a JSON Web Key, with more members.
func publicJWK(key crypto.PublicKey, kid string, more map[string]any) map[string]any {
	word := base64.RawURLEncoding.EncodeToString
	k := map[string]any{"kid": kid}
	switch key := key.(type) {
	case *rsa.PublicKey:
		k["kty"], k["n"], k["e"] = "RSA", word(key.N.Bytes()), word(big.NewInt(int64(key.E)).Bytes())
	case *ecdsa.PublicKey:
		point, _ := key.Bytes()
		half := len(point) / 2
		k["kty"], k["crv"], k["x"], k["y"] = "EC", key.Params().Name, word(point[1:1+half]), word(point[1+half:])
	case ed25519.PublicKey:
		k["kty"], k["crv"], k["x"] = "OKP", "Ed25519", word(key)
	}
	for name, value := range more {
		k[name] = value
	}
	return k
}

// keyServer serves a key set, which the test changes.
type keyServer struct {
	*httptest.Server
	mu      sync.Mutex
	keys    []any
	control string // Cache-Control
	status  int
	hold    chan struct{} // if not nil, requests wait for it to be closed
	fetches atomic.Int32
}

func newKeyServer(tb testing.TB, keys ...any) *keyServer {
	tb.Helper()
	s := &keyServer{keys: keys, status: http.StatusOK}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.fetches.Add(1)
		s.mu.Lock()
		hold, control, status, keys := s.hold, s.control, s.status, s.keys
		s.mu.Unlock()
		if hold != nil {
			<-hold
		}
		if control != "" {
			w.Header().Set("Cache-Control", control)
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": keys})
	}))
	tb.Cleanup(s.Close)
	return s
}

func (s *keyServer) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func TestJWKSKinds(t *testing.T) {
	keys := jwtKeys()
	pub := func(name string) crypto.PublicKey { return keys[name].Public() }
	secret := base64.RawURLEncoding.EncodeToString([]byte("s"))
	small := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537}
	server := newKeyServer(t,
		publicJWK(pub("rsa"), "rsa", nil), publicJWK(pub("p256"), "p256", map[string]any{"alg": "ES256", "use": "sig"}),
		publicJWK(pub("p384"), "p384", nil), publicJWK(pub("p521"), "p521", nil),
		publicJWK(pub("ed"), "ed", map[string]any{"alg": "Ed25519"}),
		publicJWK(pub("rsa"), "only512", map[string]any{"alg": "RS512"}),
		publicJWK(pub("rsa"), "enc", map[string]any{"use": "enc"}),
		publicJWK(pub("rsa"), "ops", map[string]any{"key_ops": []string{"encrypt"}}),
		publicJWK(pub("ed"), "badalg", map[string]any{"alg": "HS256"}),
		publicJWK(pub("p256"), "offcurve", map[string]any{"x": "AA", "y": "AA"}),
		publicJWK(small, "small", nil),
		map[string]any{"kty": "oct", "kid": "oct", "k": secret, "alg": "HS256"},
		map[string]any{"kty": 7}, "text", nil,
	)
	L := netVM(t, netTenant(t, fetch.Config{}), vmtest.Limits(), jwtGlobals())
	L.SetGlobal("url", glua.LString(server.URL))
	for _, c := range []struct{ key, algorithm, kid, want string }{
		{"rsa", "RS256", "rsa", "ok"},
		{"rsa", "PS384", "rsa", "ok"},
		{"p256", "ES256", "p256", "ok"},
		{"p384", "ES384", "p384", "ok"},
		{"p521", "ES512", "p521", "ok"},
		{"ed", "EdDSA", "ed", "ok"},
		{"rsa", "RS512", "only512", "ok"},
		{"p256", "ES256", "", "ok"}, // any key that fits
		{"rsa", "RS256", "only512", "token is signed with an unknown key"},
		{"rsa", "RS256", "enc", "token is signed with an unknown key"},
		{"rsa", "RS256", "ops", "token is signed with an unknown key"},
		{"ed", "EdDSA", "badalg", "token is signed with an unknown key"},
		{"p256", "ES256", "offcurve", "token is signed with an unknown key"},
		{"ed", "EdDSA", "p256", "token is signed with an unknown key"},
		{"rsa", "RS256", "small", "token is signed with an unknown key"},
		{"'s'", "HS256", "oct", "token has an algorithm that is not accepted"},
	} {
		got, err := netEval(L, `
			local token = jwt.sign({exp = 4e9}, {key = `+c.key+`, algorithm = "`+c.algorithm+`", kid = `+kidOf(c.kid)+`})
			local claims, message = jwt.verify(token, {jwks = url})
			return claims and "ok" or message`)
		if err != nil || got != c.want {
			t.Errorf("%s by %q: got %q, %v; want %q", c.algorithm, c.kid, got, err, c.want)
		}
	}
}

func kidOf(kid string) string {
	if kid == "" {
		return "nil"
	}
	return `"` + kid + `"`
}

// edVerify verifies a token with a kid by a key set.
func edVerify(L *glua.LState, kid, url string) string {
	L.SetGlobal("url", glua.LString(url))
	got, err := netEval(L, `
		local token = jwt.sign({exp = 4e9}, {key = ed, algorithm = "EdDSA", kid = `+kidOf(kid)+`})
		local claims, message = jwt.verify(token, {jwks = url})
		return claims and "ok" or message`)
	if err != nil {
		return err.Error()
	}
	return got
}

func TestJWKSCache(t *testing.T) {
	ed := jwtKeys()["ed"].Public()
	const unknown = "token is signed with an unknown key"
	tenant := netTenant(t, fetch.Config{})
	clock := tenant.Clock.(*handClock)
	L := netVM(t, tenant, vmtest.Limits(), jwtGlobals())
	server := newKeyServer(t, publicJWK(ed, "a", nil))
	steps := []struct {
		name    string
		advance time.Duration
		change  func()
		kid     string
		want    string
		fetches int32
	}{
		{"first", 0, nil, "a", "ok", 1},
		{"cached", 9 * time.Minute, nil, "a", "ok", 1},
		{"unknown", 0, nil, "b", unknown, 2},
		{"unknown again", 29 * time.Second, nil, "b", unknown, 2},
		{"rotated", time.Second, func() { server.keys = []any{publicJWK(ed, "b", nil)} }, "b", "ok", 3},
		{"gone", 0, nil, "a", unknown, 3},
		{"expired", 10 * time.Minute, func() { server.control = "public, max-age=1800" }, "b", "ok", 4},
		{"max-age", 29 * time.Minute, func() { server.control = "max-age=1" }, "b", "ok", 4},
		{"max-age over", time.Minute, nil, "b", "ok", 5},
		{"at least a minute", 59 * time.Second, func() { server.control = "max-age=999999999" }, "b", "ok", 5},
		{"at most an hour", time.Second, nil, "b", "ok", 6},
		{"within the hour", 59 * time.Minute, func() { server.control = "no-store" }, "b", "ok", 6},
		{"after the hour", time.Minute, nil, "b", "ok", 7},
		{"fails", time.Minute, func() { server.status = http.StatusInternalServerError }, "b", "ok", 8},
		{"fails still", 29 * time.Second, nil, "b", "ok", 8},
		{"fails again", time.Second, nil, "b", "ok", 9},
		{"unknown and failing", 0, nil, "a", unknown, 9},
		{"too old", time.Hour, nil, "b", "cannot fetch the key set: its server answered 500", 10},
		{"failed just now", time.Second, nil, "b", "cannot fetch the key set: its server answered 500", 10},
		{"back", 30 * time.Second, func() { server.status = http.StatusOK }, "b", "ok", 11},
	}
	for _, s := range steps {
		clock.advance(s.advance)
		if s.change != nil {
			server.set(s.change)
		}
		if got := edVerify(L, s.kid, server.URL); got != s.want || server.fetches.Load() != s.fetches {
			t.Fatalf("%s: got %q after %d fetches, want %q after %d", s.name, got, server.fetches.Load(), s.want, s.fetches)
		}
	}
}

func TestJWKSFailures(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/big":
			_, _ = w.Write(make([]byte, 300<<10))
		case "/text":
			_, _ = io.WriteString(w, "<html>")
		case "/empty":
			_, _ = io.WriteString(w, `{"keys":[]}`)
		case "/redirect":
			http.Redirect(w, r, "/empty", http.StatusFound)
		}
	}))
	defer server.Close()
	L := netVM(t, netTenant(t, fetch.Config{}), vmtest.Limits(), jwtGlobals())
	for url, want := range map[string]string{
		server.URL + "/big":      "response larger than 262144 bytes",
		server.URL + "/text":     "it is not a key set",
		server.URL + "/empty":    "it has no usable keys",
		server.URL + "/redirect": "its server answered 302",
		"http://169.254.169.254": "connecting to 169.254.169.254 is not allowed",
		"file:///etc/passwd":     "does not begin with http",
	} {
		if got := edVerify(L, "a", url); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", url, got, want)
		}
	}
}

// However many VMs wait for a set, it is fetched once.
func TestJWKSFetchedOnce(t *testing.T) {
	server := newKeyServer(t, publicJWK(jwtKeys()["ed"].Public(), "a", nil))
	hold := make(chan struct{})
	server.set(func() { server.hold = hold })
	tenant := netTenant(t, fetch.Config{})
	var all sync.WaitGroup
	for range 8 {
		L := netVM(t, tenant, vmtest.Limits(), jwtGlobals())
		all.Go(func() {
			if got := edVerify(L, "a", server.URL); got != "ok" {
				t.Errorf("got %q", got)
			}
		})
	}
	close(hold)
	all.Wait()
	if n := server.fetches.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

func TestJWKSAreBounded(t *testing.T) {
	server := newKeyServer(t, publicJWK(jwtKeys()["ed"].Public(), "a", nil))
	tenant := netTenant(t, fetch.Config{Deny: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	L := netVM(t, tenant, vmtest.Limits(), jwtGlobals())
	for i := range 16 {
		if got := edVerify(L, "a", server.URL+"/"+string(rune('a'+i))); got != "ok" {
			t.Fatalf("set %d: %q", i, got)
		}
	}
	if got := edVerify(L, "a", server.URL+"/more"); got != "more than 16 key sets are in use" {
		t.Errorf("one more: %q", got)
	}
	tenant.Clock.(*handClock).advance(2 * time.Hour)
	if got := edVerify(L, "a", server.URL+"/more"); got != "ok" {
		t.Errorf("when the others are too old: %q", got)
	}
}

func FuzzJWKS(f *testing.F) {
	for _, name := range []string{"rsa", "p256", "ed"} {
		text, _ := json.Marshal(map[string]any{"keys": []any{publicJWK(jwtKeys()[name].Public(), "a", nil)}})
		f.Add(text)
	}
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":""},{"kty":"EC","crv":"P-256","x":"","y":""},{"kty":"OKP"}]}`))
	var mu sync.Mutex
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = w.Write(body)
	}))
	f.Cleanup(server.Close)
	globals := jwtGlobals()
	tenant := netTenant(f, fetch.Config{})
	f.Fuzz(func(t *testing.T, text []byte) {
		mu.Lock()
		body = text
		mu.Unlock()
		fresh := &modules.Tenant{Name: "t", Log: tenant.Log, Clock: tenant.Clock, Random: tenant.Random, HTTP: tenant.HTTP, Env: tenant.Env}
		L := netVM(t, fresh, vmtest.Limits(), globals)
		if got := edVerify(L, "", server.URL); strings.Contains(got, "BUG") || strings.Contains(got, "panic") {
			t.Errorf("got %q", got)
		}
	})
}
