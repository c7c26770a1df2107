package modules_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
)

// jwtKeys makes one key of each kind, once.
var jwtKeys = sync.OnceValue(func() map[string]crypto.Signer {
	keys := map[string]crypto.Signer{}
	keys["rsa"], _ = rsa.GenerateKey(rand.Reader, 2048)
	keys["p256"], _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	keys["p384"], _ = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	keys["p521"], _ = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	keys["p224"], _ = ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	_, keys["ed"], _ = ed25519.GenerateKey(rand.Reader)
	return keys
})

// jwtGlobals are the keys as PEM: private as rsa, public as rsa_pub.
func jwtGlobals() map[string]string {
	globals := map[string]string{}
	for name, key := range jwtKeys() {
		private, _ := x509.MarshalPKCS8PrivateKey(key)
		public, _ := x509.MarshalPKIXPublicKey(key.Public())
		globals[name] = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
		globals[name+"_pub"] = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
		globals[name+"_der"] = string(public)
	}
	return globals
}

// rawToken makes a token out of JSON, signed with HS256.
func rawToken(header, claims, secret string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	sum := hmac.New(sha256.New, []byte(secret))
	sum.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(sum.Sum(nil))
}

func TestJWTAlgorithms(t *testing.T) {
	L := netVM(t, netTenant(t, fetch.Config{}), vmtest.Limits(), jwtGlobals())
	for _, c := range []struct{ key, public, algorithms string }{
		{"'secret'", "'secret'", "HS256 HS384 HS512"},
		{"rsa", "rsa_pub", "RS256 RS384 RS512 PS256 PS384 PS512"},
		{"p256", "p256_pub", "ES256"},
		{"p384", "p384_pub", "ES384"},
		{"p521", "p521_pub", "ES512"},
		{"ed", "ed_pub", "EdDSA"},
		{"ed", "ed", "EdDSA"}, // a private key verifies too
	} {
		for _, algorithm := range strings.Fields(c.algorithms) {
			got, err := netEval(L, fmt.Sprintf(`
				local token = jwt.sign({sub = "me", exp = 4e9, n = {1, 2}}, {key = %s, algorithm = %q, kid = "k"})
				local claims, header = jwt.verify(token, {key = %s, algorithms = {%q}})
				return claims.sub, claims.exp, claims.n[2], header.alg, header.kid, header.typ`,
				c.key, algorithm, c.public, algorithm))
			if want := "me|4000000000|2|" + algorithm + "|k|JWT"; err != nil || got != want {
				t.Errorf("%s: got %q, %v; want %q", algorithm, got, err, want)
			}
		}
	}
}

func TestJWTClaims(t *testing.T) {
	const now = 1893456000 // of newHandClock
	L := netVM(t, netTenant(t, fetch.Config{}), vmtest.Limits(), nil)
	for _, c := range []struct{ name, claims, options, want string }{
		{"good", fmt.Sprintf(`{"exp":%d,"nbf":%d}`, now+1, now), ``, "ok"},
		{"expired now", fmt.Sprintf(`{"exp":%d}`, now), ``, "token is expired"},
		{"expired within the leeway", fmt.Sprintf(`{"exp":%d}`, now), `leeway = 1`, "ok"},
		{"expired long ago", fmt.Sprintf(`{"exp":%d}`, now-60), `leeway = 60`, "token is expired"},
		{"not yet", fmt.Sprintf(`{"exp":%d,"nbf":%d}`, now+9, now+1), ``, "token is not valid yet"},
		{"not yet within the leeway", fmt.Sprintf(`{"exp":%d,"nbf":%d}`, now+9, now+1), `leeway = 1`, "ok"},
		{"without an end", `{}`, ``, `token has no claim "exp"`},
		{"without an end, accepted", `{}`, `required = {}`, "ok"},
		{"null", `{"exp":null}`, ``, `token has no claim "exp"`},
		{"0 is a date", `{"exp":0}`, `required = {}`, "token is expired"},
		{"0 in floating point", `{"exp":1e-400}`, `required = {}`, "token is expired"},
		{"a huge beginning", `{"nbf":1e300}`, `required = {}`, `token has a malformed claim "nbf"`},
		{"a huge end", `{"exp":1e300}`, ``, `token has a malformed claim "exp"`},
		{"text as a date", `{"exp":"4000000000"}`, ``, `token has a malformed claim "exp"`},
		{"required", `{"exp":4e9}`, `required = {"exp", "sub"}`, `token has no claim "sub"`},
		{"issuer", `{"exp":4e9,"iss":"a"}`, `issuer = "a"`, "ok"},
		{"other issuer", `{"exp":4e9,"iss":"ab"}`, `issuer = "a"`, "token has another issuer"},
		{"no issuer", `{"exp":4e9}`, `issuer = "a"`, "token has another issuer"},
		{"list of issuers", `{"exp":4e9,"iss":["a"]}`, `issuer = "a"`, "token has another issuer"},
		{"audience", `{"exp":4e9,"aud":"a"}`, `audience = "a"`, "ok"},
		{"audience in a list", `{"exp":4e9,"aud":["b","a"]}`, `audience = {"x", "a"}`, "ok"},
		{"other audience", `{"exp":4e9,"aud":["b"]}`, `audience = "a"`, "token is for another audience"},
		{"no audience", `{"exp":4e9}`, `audience = "a"`, "token is for another audience"},
		{"malformed audience", `{"exp":4e9,"aud":["a",7]}`, `audience = "a"`, "token has a malformed audience"},
		{"null for claims", `null`, `required = {}`, "token is malformed"},
		{"list for claims", `[1]`, `required = {}`, "token is malformed"},
		{"something behind the claims", `{"exp":4e9} {}`, ``, "token is malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			token := rawToken(`{"alg":"HS256"}`, c.claims, "s")
			got, err := netEval(L, fmt.Sprintf(`
				local claims, message = jwt.verify(%q, {key = "s", algorithms = "HS256", %s})
				return claims and "ok" or message`, token, c.options))
			if err != nil || got != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestJWTForged(t *testing.T) {
	globals := jwtGlobals()
	for name, token := range map[string]string{
		"good":     rawToken(`{"alg":"HS256"}`, `{"exp":4e9}`, "s"),
		"none":     rawToken(`{"alg":"none"}`, `{"exp":4e9}`, "s"),
		"crit":     rawToken(`{"alg":"HS256","crit":["b64"],"b64":false}`, `{"exp":4e9}`, "s"),
		"kidlist":  rawToken(`{"alg":"HS256","kid":[1]}`, `{"exp":4e9}`, "s"),
		"noalg":    rawToken(`{}`, `{"exp":4e9}`, "s"),
		"nullhead": rawToken(`null`, `{"exp":4e9}`, "s"),
		"oddalg":   rawToken(`{"alg":"HS1"}`, `{"exp":4e9}`, "s"),
		// The public key, which everybody has, as the secret.
		"confused":     rawToken(`{"alg":"HS256"}`, `{"exp":4e9}`, globals["rsa_pub"]),
		"confused_der": rawToken(`{"alg":"HS256"}`, `{"exp":4e9}`, globals["rsa_der"]),
		"long":         strings.Repeat("a", 17<<10),
		"deep":         rawToken(`{"alg":"HS256"}`, `{"exp":4e9,"a":`+strings.Repeat("[", 4000)+strings.Repeat("]", 4000)+`}`, "s"),
	} {
		globals[name] = token
	}
	globals["none"] = globals["none"][:strings.LastIndexByte(globals["none"], '.')+1]
	L := netVM(t, netTenant(t, fetch.Config{}), vmtest.Limits(), globals)
	for _, c := range []struct{ script, want string }{
		{`jwt.verify(good, {key = "s", algorithms = "HS256"})`, "ok"},
		{`jwt.verify(good, {key = "t", algorithms = "HS256"})`, "token has a wrong signature"},
		{`jwt.verify(good, {key = "s", algorithms = "HS512"})`, "token has an algorithm that is not accepted"},
		{`jwt.verify(good.."x", {key = "s", algorithms = "HS256"})`, "token has a wrong signature"},
		{`jwt.verify(good..".x", {key = "s", algorithms = "HS256"})`, "token is malformed"},
		{`jwt.verify(good.."\n", {key = "s", algorithms = "HS256"})`, "token is malformed"},
		{`jwt.decode_unverified(good.."\r\n")`, "token is malformed"},
		{`jwt.verify("\n"..good, {key = "s", algorithms = "HS256"})`, "token is malformed"},
		{`jwt.verify(good.."=", {key = "s", algorithms = "HS256"})`, "token is malformed"},
		{`jwt.verify("Bearer "..good, {key = "s", algorithms = "HS256"})`, "token is malformed"},
		{`jwt.verify(nil, {key = "s", algorithms = "HS256"})`, "there is no token"},
		{`jwt.verify("", {key = "s", algorithms = "HS256"})`, "token is malformed"},
		{`jwt.verify("..", {key = "s", algorithms = "HS256"})`, "token is malformed"},
		{`jwt.verify(none, {key = "s", algorithms = "HS256"})`, "token has an algorithm that is not accepted"},
		{`jwt.verify(none, {key = rsa_pub})`, "token has an algorithm that is not accepted"},
		{`jwt.verify(crit, {key = "s", algorithms = "HS256"})`, "token has critical extensions, which are not supported"},
		{`jwt.verify(kidlist, {key = "s", algorithms = "HS256"})`, "token is malformed"},
		{`jwt.verify(noalg, {key = "s", algorithms = "HS256"})`, "token has an algorithm that is not accepted"},
		{`jwt.verify(nullhead, {key = "s", algorithms = "HS256"})`, "token has an algorithm that is not accepted"},
		{`jwt.verify(oddalg, {key = "s", algorithms = "HS256"})`, "token has an algorithm that is not accepted"},
		{`jwt.verify(confused, {key = rsa_pub})`, "token has an algorithm that is not accepted"},
		{`jwt.verify(confused, {key = rsa_pub, algorithms = {"RS256"}})`, "token has an algorithm that is not accepted"},
		{`jwt.verify(long, {key = "s", algorithms = "HS256"})`, "token longer than 16384 bytes"},
		{`jwt.verify(jwt.sign({exp = 4e9}, {key = p384, algorithm = "ES384"}), {key = p256_pub})`, "token has an algorithm that is not accepted"},
		{`jwt.verify(jwt.sign({exp = 4e9}, {key = rsa, algorithm = "PS256"}), {key = rsa_pub, algorithms = "RS256"})`, "token has an algorithm that is not accepted"},
		{`jwt.decode_unverified(none)`, "ok"},
		{`jwt.decode_unverified("a.b.c")`, "token is malformed"},
		{`jwt.decode_unverified(nil)`, "there is no token"},
	} {
		got, err := netEval(L, "local claims, message = "+c.script+" return claims and 'ok' or message")
		if err != nil || got != c.want {
			t.Errorf("%s: got %q, %v; want %q", c.script, got, err, c.want)
		}
	}
	if got, err := netEval(L, `return jwt.verify(deep, {key = "s", algorithms = "HS256"})`); err != nil || !strings.HasPrefix(got, "nil|token is malformed: ") {
		t.Errorf("deep nesting: %q, %v", got, err)
	}
}

func TestJWTMisuse(t *testing.T) {
	globals := jwtGlobals()
	globals["weak"] = "-----BEGIN RSA PUBLIC KEY-----\nMAYCARUCAQM=\n-----END RSA PUBLIC KEY-----\n"
	L := netVM(t, netTenant(t, fetch.Config{}), vmtest.Limits(), globals)
	for _, c := range []struct{ script, want string }{
		{`jwt.verify("t")`, "table expected"},
		{`jwt.verify({}, {key = "s", algorithms = "HS256"})`, "string expected"},
		{`jwt.verify("t", {})`, "key or jwks is missing"},
		{`jwt.verify("t", {key = ""})`, "key is empty"},
		{`jwt.verify("t", {key = "s"})`, "algorithms is missing"},
		{`jwt.verify("t", {key = "s", algorithms = {}})`, "algorithms is empty"},
		{`jwt.verify("t", {key = "s", algorithms = {HS256 = true}})`, "must be a list"},
		{`jwt.verify("t", {key = "s", algorithms = "none"})`, "does not fit the key"},
		{`jwt.verify("t", {key = "s", algorithms = {"HS256", "RS256"}})`, "does not fit the key"},
		{`jwt.verify("t", {key = rsa_pub, algorithms = "HS256"})`, "does not fit the key"},
		{`jwt.verify("t", {key = " "..rsa_pub, algorithms = "HS256"})`, "this is not PEM"},
		{`jwt.verify("t", {key = rsa_der, algorithms = "HS256"})`, "this is a public key"},
		{`jwt.verify("t", {key = "ssh-rsa AAAA", algorithms = "HS256"})`, "this is a public key"},
		{`jwt.verify("t", {key = p256_pub, algorithms = "ES384"})`, "does not fit the key, only ES256"},
		{`jwt.verify("t", {key = p224_pub})`, "not supported"},
		{`jwt.verify("t", {key = weak})`, "must have from 2048"},
		{`jwt.verify("t", {key = "-----BEGIN nonsense"})`, "not PEM"},
		{`jwt.verify("t", {key = "s", jwks = "http://x", algorithms = "HS256"})`, "exclude each other"},
		{`jwt.verify("t", {jwks = ""})`, "key or jwks is missing"},
		{`jwt.verify("t", {jwks = "http://x", algorithms = "HS256"})`, "does not fit the key"},
		{`jwt.verify("t", {key = "s", algorithms = "HS256", isuer = "x"})`, `no option "isuer"`},
		{`jwt.verify("t", {key = "s", algorithms = "HS256", issuer = ""})`, "issuer is empty"},
		{`jwt.verify("t", {key = "s", algorithms = "HS256", audience = {}})`, "audience is empty"},
		{`jwt.verify("t", {key = "s", algorithms = "HS256", audience = ""})`, "audience is empty"},
		{`jwt.verify("t", {key = "s", algorithms = "HS256", leeway = 0/0})`, "leeway must be from"},
		{`jwt.verify("t", {key = "s", algorithms = "HS256", leeway = 1e9})`, "leeway must be from"},
		{`jwt.sign({}, {key = "s"})`, "algorithm must be one of"},
		{`jwt.sign({}, {key = "s", algorithm = "none"})`, "algorithm must be one of"},
		{`jwt.sign({}, {key = "s", algorithm = "RS256"})`, "does not fit the key"},
		{`jwt.sign({}, {key = rsa_pub, algorithm = "RS256"})`, "needs a private key"},
		{`jwt.sign({}, {key = rsa_pub, algorithm = "HS256"})`, "needs a private key"},
		{`jwt.sign({1, 2}, {key = "s", algorithm = "HS256"})`, "claims must have names"},
		{`jwt.sign({a = print}, {key = "s", algorithm = "HS256"})`, "bad argument #1"},
		{`local c = {} for i = 1, 3000 do c["k"..i] = 1 end jwt.sign(c, {key = "s", algorithm = "HS256"})`, "too long"},
	} {
		if _, err := netEval(L, c.script); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.script, err, c.want)
		}
	}
}

// Verifying costs instructions, so that a loop of it ends.
func TestJWTIsCounted(t *testing.T) {
	limits := vmtest.Limits()
	limits.Instructions = 1_000_000
	L := netVM(t, netTenant(t, fetch.Config{}), limits, jwtGlobals())
	_, err := netEval(L, `
		local token = jwt.sign({exp = 4e9}, {key = rsa, algorithm = "RS256"})
		for i = 1, 200 do jwt.verify(token, {key = rsa_pub}) end`)
	if err == nil || !strings.Contains(err.Error(), "lua.max_instructions") {
		t.Errorf("error %v, want lua.max_instructions", err)
	}
}

func FuzzJWT(f *testing.F) {
	f.Add(rawToken(`{"alg":"HS256","kid":"a"}`, `{"exp":4e9,"aud":["a"]}`, "s"))
	f.Add(rawToken(`{"alg":"none"}`, `{}`, "s"))
	f.Add("..")
	f.Add("e30.e30.")
	tenant := netTenant(f, fetch.Config{})
	f.Fuzz(func(t *testing.T, token string) {
		L := netVM(t, tenant, vmtest.Limits(), map[string]string{"token": token, "pub": jwtGlobals()["p256_pub"]})
		got, err := netEval(L, `
			jwt.decode_unverified(token)
			return jwt.verify(token, {key = "a secret that the fuzzer does not know", algorithms = {"HS256", "HS384"}, audience = "a"}) or
				jwt.verify(token, {key = pub})`)
		if err != nil || !strings.HasPrefix(got, "nil") {
			t.Errorf("accepted or raised: %q, %v", got, err)
		}
	})
}
