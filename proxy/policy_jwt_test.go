package proxy_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tokens "github.com/keystone-gateway/keystone-gateway/tenants/jwt"
	"github.com/keystone-gateway/keystone-gateway/test/port"
)

func encoded(t testing.TB, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// claims are those of a token; pairs lay others over them, nil takes one away.
func claims(pairs ...any) map[string]any {
	all := map[string]any{"sub": "alice", "iss": "https://id.example.com", "aud": "api", "exp": time.Now().Add(time.Hour).Unix()}
	for i := 0; i < len(pairs); i += 2 {
		name, _ := pairs[i].(string)
		if all[name] = pairs[i+1]; pairs[i+1] == nil {
			delete(all, name)
		}
	}
	return all
}

// signed makes a token.
func signed(t testing.TB, algorithm, kid string, key any, claims map[string]any) string {
	t.Helper()
	header := map[string]any{"alg": algorithm, "typ": "JWT"}
	if kid != "" {
		header["kid"] = kid
	}
	text := encoded(t, header) + "." + encoded(t, claims)
	signature, err := tokens.Sign(algorithm, text, key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// keyring has keys of several kinds, and files with them.
type keyring struct {
	rsa     *rsa.PrivateKey
	ed      ed25519.PrivateKey
	pem     string // of rsa
	set     string // of ed, as "ed", and of rsa, as "rsa"
	secret  []byte
	written string // the directory with them
}

func newKeyring(t testing.TB) *keyring {
	t.Helper()
	k := &keyring{secret: []byte("0123456789abcdef0123456789abcdef"), written: t.TempDir()}
	var err error
	if k.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if _, k.ed, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&k.rsa.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	k.pem = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	k.set = k.setOf(t, map[string]crypto.PublicKey{"ed": k.ed.Public(), "rsa": &k.rsa.PublicKey})
	for name, text := range map[string]string{"key.pem": k.pem, "set.json": k.set, "secret": string(k.secret)} {
		if err := os.WriteFile(filepath.Join(k.written, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func (k *keyring) setOf(t testing.TB, keys map[string]crypto.PublicKey) string {
	t.Helper()
	word := base64.RawURLEncoding.EncodeToString
	list := []any{map[string]any{"kty": "oct", "kid": "oct", "k": word(k.secret)}}
	for kid, key := range keys {
		switch key := key.(type) {
		case *rsa.PublicKey:
			list = append(list, map[string]any{"kty": "RSA", "kid": kid, "n": word(key.N.Bytes()), "e": word(big.NewInt(int64(key.E)).Bytes())})
		case ed25519.PublicKey:
			list = append(list, map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": word(key)})
		}
	}
	text, err := json.Marshal(map[string]any{"keys": list})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// bearer is the field of a token.
func bearer(token string) string { return "Authorization: Bearer " + token + "\r\n" }

// TestJWT: a good token passes as whose it is, whatever else the request says, and
// nothing else does.
func TestJWT(t *testing.T) {
	t.Parallel()
	k, up, log := newKeyring(t), echoing(t, ""), filepath.Join(t.TempDir(), "access.log")
	tenant := func(name, section string) []string {
		return []string{name, "domains: [" + name + ".example.com], policies: [{jwt: {" + section + "}}], services: [{url: 'http://" + up + "'}]"}
	}
	const common = "issuer: [https://other.example.com, https://id.example.com], audience: api, fields: {X-User: sub, X-Roles: realm_access.roles, X-Url: 'https://x.example.com/r'}, "
	var list []string
	list = append(list, tenant("pem", common+"key_file: '"+k.written+"/key.pem'")...)
	list = append(list, tenant("set", common+"jwks_file: '"+k.written+"/set.json', algorithms: [EdDSA, RS256], cookie: t, query: t, pass_token: false")...)
	list = append(list, tenant("hs", common+"secret: '${file:"+k.written+"/secret}'")...)
	list = append(list, tenant("all", common+"secret: '${file:"+k.written+"/secret}', key_file: '"+k.written+"/key.pem', jwks_file: '"+k.written+"/set.json', require_expiry: false, "+
		"require: {scope: [write, admin], realm_access.roles: [ops], level: '3', any: '*'}")...)
	server := start(t, "access_log: {output: '"+log+"'}\n"+tenantsOf(list...))
	roles := map[string]any{"roles": []any{"dev", "ops", "a,b", "x\ny", 7, true, map[string]any{}}}
	enough := []any{"scope", "read write", "realm_access", roles, "level", 3, "any", "x"}
	pemToken := signed(t, "RS256", "", k.rsa, claims("realm_access", roles, "https://x.example.com/r", "r"))
	for i, c := range []struct {
		host, fields, query string
		want                string // fields that the target gets, or a status with the code
	}{
		{"pem", bearer(pemToken), "", "X-Roles: dev,ops,7,true|X-Url: r|X-User: alice"},
		{"pem", bearer(pemToken) + "X-User: root\r\nx_user: root\r\nX-ROLES: admin\r\nX_Url: r\r\nConnection: X-User\r\n", "", "X-Roles: dev,ops,7,true|X-Url: r|X-User: alice"}, // known by now
		{"pem", bearer(signed(t, "PS384", "", k.rsa, claims("aud", []any{"x", "api"}))) + "X-Roles: admin\r\n", "", "X-User: alice"},
		{"pem", "authorization: bEARER  " + pemToken + "\r\n", "", "X-Roles: dev,ops,7,true|X-Url: r|X-User: alice"},
		{"set", bearer(signed(t, "EdDSA", "ed", k.ed, claims())), "", "X-User: alice"},
		{"set", bearer(signed(t, "RS256", "rsa", k.rsa, claims("sub", "bob"))), "", "X-User: bob"},
		{"set", bearer(signed(t, "RS256", "", k.rsa, claims())), "", "X-User: alice"},
		{"set", "Cookie: t=" + signed(t, "EdDSA", "ed", k.ed, claims()) + "\r\n", "", "X-User: alice"},
		{"set", "", "?t=" + signed(t, "EdDSA", "ed", k.ed, claims()), "X-User: alice"},
		{"hs", bearer(signed(t, "HS256", "", k.secret, claims("sub", "a\r\nX-Roles: admin"))), "", ""}, // no field's value
		{"hs", bearer(signed(t, "HS256", "", k.secret, claims("nbf", time.Now().Unix()+20))), "", "X-User: alice"},
		{"all", bearer(signed(t, "HS256", "", k.secret, claims(enough...))), "", "X-Roles: dev,ops,7,true|X-User: alice"},
		{"all", bearer(signed(t, "EdDSA", "ed", k.ed, claims(append(enough, "exp", nil)...))), "", "X-Roles: dev,ops,7,true|X-User: alice"},

		// No token, or several.
		{"pem", "", "", "401 jwt_denied Bearer"},
		{"pem", "X-User: root\r\n", "", "401 jwt_denied Bearer"},
		{"pem", "Authorization: Basic YTpi\r\n", "", "401 jwt_denied Bearer"},
		{"pem", bearer(pemToken) + "Connection: authorization\r\n", "", "401 jwt_denied Bearer"},
		{"pem", bearer(pemToken) + bearer(pemToken), "", `400 jwt_ambiguous Bearer error="invalid_request"`},
		{"set", bearer(pemToken), "?t=" + pemToken, `400 jwt_ambiguous Bearer error="invalid_request"`},
		// None that is good.
		{"pem", bearer(""), "", `401 jwt_denied Bearer`},
		{"pem", bearer("x"), "", invalidToken},
		{"pem", bearer(strings.Repeat("x", tokens.MaxToken+1)), "", ""},
		{"pem", bearer(pemToken + "A"), "", invalidToken},
		{"pem", bearer(pemToken[:len(pemToken)-8] + "AAAAAAAA"), "", invalidToken},
		{"pem", bearer(pemToken[:strings.LastIndexByte(pemToken, '.')+1]), "", invalidToken},
		{"pem", bearer(encoded(t, map[string]any{"alg": "none"}) + "." + encoded(t, claims()) + "."), "", invalidToken},
		{"pem", bearer(encoded(t, map[string]any{"alg": "NONE"}) + "." + encoded(t, claims()) + "."), "", invalidToken},
		{"pem", bearer(signed(t, "HS256", "", []byte(k.pem), claims())), "", invalidToken},                     // the public key as a secret
		{"all", bearer(signed(t, "HS256", "rsa", []byte(k.pem), claims(enough...))), "", invalidToken},         // also where secrets are accepted
		{"all", bearer(signed(t, "HS256", "oct", []byte(k.set), claims(enough...))), "", invalidToken},         //
		{"set", bearer(signed(t, "HS256", "oct", k.secret, claims())), "", invalidToken},                       // a secret in a public set
		{"set", bearer(signed(t, "PS256", "rsa", k.rsa, claims())), "", invalidToken},                          // an algorithm that isn't accepted
		{"set", bearer(signed(t, "EdDSA", "rsa", k.ed, claims())), "", invalidToken},                           // another's kid
		{"set", bearer(signed(t, "EdDSA", "none", k.ed, claims())), "", invalidToken},                          //
		{"hs", bearer(signed(t, "HS512", "", k.secret, claims())), "", invalidToken},                           // for which the secret is too short
		{"hs", bearer(signed(t, "RS256", "", k.rsa, claims())), "", invalidToken},                              //
		{"pem", bearer(signed(t, "RS256", "", k.rsa, claims("exp", time.Now().Unix()-31))), "", invalidToken},  // expired
		{"pem", bearer(signed(t, "RS256", "", k.rsa, claims("exp", nil))), "", invalidToken},                   //
		{"pem", bearer(signed(t, "RS256", "", k.rsa, claims("exp", "9999999999"))), "", invalidToken},          //
		{"pem", bearer(signed(t, "RS256", "", k.rsa, claims("nbf", time.Now().Unix()+100))), "", invalidToken}, //
		{"pem", bearer(signed(t, "RS256", "", k.rsa, claims("iss", "https://id.example.com/"))), "", invalidToken},
		{"pem", bearer(signed(t, "RS256", "", k.rsa, claims("iss", []any{"https://id.example.com"}))), "", invalidToken},
		{"pem", bearer(signed(t, "RS256", "", k.rsa, claims("aud", "api2"))), "", invalidToken},
		{"pem", bearer(signed(t, "RS256", "", k.rsa, claims("aud", nil))), "", invalidToken},
		// Not enough.
		{"all", bearer(signed(t, "HS256", "", k.secret, claims())), "", insufficient},
		{"all", bearer(signed(t, "HS256", "", k.secret, claims(append(enough, "scope", "readwrite")...))), "", insufficient},
		{"all", bearer(signed(t, "HS256", "", k.secret, claims(append(enough, "level", 33)...))), "", insufficient},
		{"all", bearer(signed(t, "HS256", "", k.secret, claims(append(enough, "any", nil)...))), "", insufficient},
		{"all", bearer(signed(t, "HS256", "", k.secret, claims(append(enough, "realm_access", map[string]any{"roles": "ops2"})...))), "", insufficient},
		{"all", bearer(signed(t, "HS256", "", k.secret, claims(append(enough, "realm_access", nil, "realm_access.role", []any{"ops"})...))), "", insufficient},
	} {
		answer, body := askRaw(t, server.Addr().String(), "GET /"+c.query+" HTTP/1.1\r\nHost: "+c.host+".example.com\r\n"+c.fields+"\r\n")
		got := fmt.Sprint(answer.StatusCode, " ", answer.Header.Get("X-Gateway-Error"), " ", answer.Header.Get("WWW-Authenticate"))
		if answer.StatusCode == 200 {
			lines := linesOf(body, "X-User", "x_user", "X-Roles", "X-ROLES", "X-Url", "X_Url")
			slices.Sort(lines)
			got = strings.Join(lines, "|")
			if passed := strings.Contains(body, "eyJ"); passed == (c.host == "set") {
				t.Errorf("%d: the token is passed on: %v", i, passed)
			}
		}
		if c.want == "" && strings.Contains(got, "X-") && c.host == "hs" || c.want != "" && got != c.want {
			t.Errorf("%d, %s: got %s\nwant %s", i, c.host, got, c.want)
		}
	}
	eventually(t, "the log says who it was, and why not", func() bool {
		text, _ := os.ReadFile(log) // #nosec G304 -- of this test
		return strings.Contains(string(text), `"user":"alice"`) && strings.Contains(string(text), `"cause":"token is expired"`) && !strings.Contains(string(text), "eyJ")
	})
}

const (
	invalidToken = `401 jwt_denied Bearer error="invalid_token"`
	insufficient = `403 jwt_insufficient Bearer error="insufficient_scope"`
)

// TestJWTKeysRotate: keys of a URL are fetched for the first that asks, and besides
// after that; however many made-up keys come, nobody waits, and few fetches are made.
func TestJWTKeysRotate(t *testing.T) {
	t.Parallel()
	k, up := newKeyring(t), echoing(t, "")
	var fetches atomic.Int32
	var held atomic.Pointer[chan struct{}]
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		if gate := held.Load(); gate != nil {
			<-*gate
		}
		_, _ = w.Write([]byte(k.set))
	}))
	defer issuer.Close()
	server := start(t, "access_log: {enabled: false}\n"+tenantsOf(
		"a", "domains: [a.example.com], policies: [{jwt: {jwks_url: '"+issuer.URL+"', audience: api}}], services: [{url: 'http://"+up+"'}]",
		"b", "domains: [b.example.com], policies: [{jwt: {jwks_url: 'http://"+port.Reserve(t)+"/', audience: api}}], services: [{url: 'http://"+up+"'}]"))
	ask := func(host, token string) string {
		answer, _ := askRaw(t, server.Addr().String(), "GET / HTTP/1.1\r\nHost: "+host+".example.com\r\n"+bearer(token)+"\r\n")
		return fmt.Sprint(answer.StatusCode, " ", answer.Header.Get("X-Gateway-Error"))
	}
	good := signed(t, "EdDSA", "ed", k.ed, claims())
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			if got := ask("a", signed(t, "EdDSA", "ed", k.ed, claims("jti", i))); got != "200 " {
				t.Errorf("at first: got %s", got)
			}
		})
	}
	wait.Wait()
	if n := fetches.Load(); n != 1 {
		t.Errorf("%d fetches for the first requests, want 1", n)
	}
	gate := make(chan struct{})
	held.Store(&gate)
	for i := range 50 { // while the server hangs
		if got := ask("a", signed(t, "EdDSA", fmt.Sprint("made-up-", i), k.ed, claims())); got != "401 jwt_denied" {
			t.Errorf("a made-up key: got %s", got)
		}
		if got := ask("a", good); got != "200 " {
			t.Errorf("a known one meanwhile: got %s", got)
		}
	}
	close(gate)
	if n := fetches.Load(); n > 2 {
		t.Errorf("%d fetches for made-up keys, want one", n-1)
	}
	if got := ask("b", good); got != "503 jwt_keys_unavailable" {
		t.Errorf("without keys: got %s", got)
	}
}

// TestJWTVerdictsEnd: that a token is good is known until it expires, and no longer.
func TestJWTVerdictsEnd(t *testing.T) {
	t.Parallel()
	k, up := newKeyring(t), echoing(t, "")
	clock := &steppedClock{}
	clock.at.Store(time.Now().UnixNano())
	w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", tenantsOf(
		"a", "domains: [a.example.com], policies: [{jwt: {secret: '"+string(k.secret)+"', leeway: 0s, audience: api}}], services: [{url: 'http://"+up+"'}]"))
	w.clock = clock
	w.run()
	token := signed(t, "HS256", "", k.secret, claims("exp", clock.Now().Unix()+60))
	for _, c := range []struct {
		passes time.Duration
		status int
	}{{0, 200}, {30 * time.Second, 200}, {29 * time.Second, 200}, {2 * time.Second, 401}, {-10 * time.Second, 200}} {
		clock.at.Add(int64(c.passes))
		if answer, _ := w.speak("GET / HTTP/1.1\r\nHost: a.example.com\r\n" + bearer(token) + "Connection: close\r\n\r\n"); answer.StatusCode != c.status {
			t.Errorf("%v later: got %d, want %d", c.passes, answer.StatusCode, c.status)
		}
	}
}

// steppedClock is a clock that a test moves.
type steppedClock struct{ at atomic.Int64 }

func (c *steppedClock) Now() time.Time { return time.Unix(0, c.at.Load()) }

func (c *steppedClock) Sleep(_ context.Context, d time.Duration) {
	c.at.Add(int64(d))
}
