package modules

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/tenants/jwt"
)

// slowWork is from when on others get the VM while a token is signed: 1 ms.
const slowWork = 50_000

// openJWT makes the module jwt: JSON Web Tokens, signed (RFC 7519, RFC 7515).
// There is no way to accept an unsigned one, nor a public key as the secret of
// HS256.
func openJWT(L *glua.LState, t *Tenant) *glua.LTable {
	return L.SetFuncs(L.CreateTable(0, 1), map[string]glua.LGFunction{
		"verify":            func(L *glua.LState) int { return jwtVerify(L, t) },
		"decode_unverified": jwtDecodeUnverified,
		"sign":              func(L *glua.LState) int { return jwtSign(L, t) },
	})
}

// jwt.verify(token, options) -> claims, header | nil, message: the claims of a
// token whose signature, times, issuer and audience are right. A missing token
// (nil) is a message too. Options:
//
//	key         a secret for HS256, HS384, HS512, or a public key or certificate as PEM
//	jwks        instead of key: URL of a key set (RFC 7517), cached for the tenant
//	algorithms  the accepted ones; required with a secret, otherwise all that fit the key:
//	            RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA
//	issuer      what the claim iss must be
//	audience    one of these must be in the claim aud: a string or a list
//	leeway      seconds by which clocks may differ, 0 to 3600 (0)
//	required    names of claims that must be there, a list ({"exp"}; {} accepts tokens that never expire)
//
// Key sets are fetched through the tenant's HTTP client and kept for 10
// minutes, or what Cache-Control says between 1 and 60; a token with an unknown
// kid fetches again, once in 30 seconds. When fetching fails, the old keys are
// used for an hour more.
func jwtVerify(L *glua.LState, t *Tenant) int {
	check := readCheck(L, t)
	if L.Get(1) == glua.LNil {
		return failed(L, jwt.ErrNoToken)
	}
	parsed, err := parseToken(L, vm.CheckString(L, 1))
	if err != nil {
		return failed(L, err)
	}
	keys, err := check.keysFor(L, t, parsed)
	if err != nil {
		return failed(L, err)
	}
	if !verifySignature(L, parsed, keys) {
		return failed(L, jwt.ErrSignature)
	}
	if err := check.Claims(parsed, t.Clock.Now()); err != nil {
		return failed(L, err)
	}
	return pushToken(L, parsed)
}

// jwt.decode_unverified(token) -> claims, header | nil, message: what a token
// says, without looking whether it is true. Anybody can write such a token.
func jwtDecodeUnverified(L *glua.LState) int {
	if L.Get(1) == glua.LNil {
		return failed(L, jwt.ErrNoToken)
	}
	parsed, err := parseToken(L, vm.CheckString(L, 1))
	if err != nil {
		return failed(L, err)
	}
	return pushToken(L, parsed)
}

// jwt.sign(claims, options) -> token: the claims, signed. Options:
//
//	key        a secret for HS256, HS384, HS512, or a private key as PEM
//	algorithm  one of those of jwt.verify
//	kid        names the key in the header
//	typ        the header's type ("JWT")
func jwtSign(L *glua.LState, t *Tenant) int {
	claims := vm.CheckTable(L, 1)
	o := checkOptions(options{L: L, arg: 2, table: vm.CheckTable(L, 2)}, []string{"key", "algorithm", "kid", "typ"})
	algorithm, _ := o.text("algorithm")
	if !slices.Contains(jwt.Algorithms(), algorithm) {
		o.fail("algorithm must be one of %s", strings.Join(jwt.Algorithms(), ", "))
	}
	key := o.signingKey(t, algorithm)
	header := map[string]string{"alg": algorithm, "typ": "JWT"}
	for _, name := range []string{"kid", "typ"} {
		if text, ok := o.text(name); ok {
			if len(text) > maxText {
				o.fail("%s is longer than %d bytes", name, maxText)
			}
			header[name] = text
		}
	}
	payload, err := EncodeJSON(L, claims)
	if err != nil {
		vm.ArgError(L, 1, cause.Text(err))
	}
	if len(payload) == 0 || payload[0] != '{' {
		vm.ArgError(L, 1, "claims must have names")
	}
	head, err := json.Marshal(header)
	if err != nil || len(head)+len(payload) > jwt.MaxToken/2 {
		vm.ArgError(L, 1, "the token would be too long")
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode(head) + "." + encode(payload)
	run := vm.RunOf(L)
	run.Charge(L, 4*len(text))
	work := jwt.SignWork(key)
	run.Spend(L, work+len(text)/8)
	var signature []byte
	sign := func() { signature, err = jwt.Sign(algorithm, text, key) }
	if work >= slowWork {
		run.Yield(L, sign)
	} else {
		sign()
	}
	if err != nil {
		L.RaiseError("cannot sign with %s: %s", algorithm, cause.Text(err))
	}
	L.Push(glua.LString(text + "." + encode(signature)))
	return 1
}

// parseToken is jwt.Parse, counted.
func parseToken(L *glua.LState, text string) (*jwt.Token, error) {
	if len(text) <= jwt.MaxToken {
		run := vm.RunOf(L)
		run.Charge(L, 16*len(text))
		run.Spend(L, 100+len(text))
	}
	return jwt.Parse(text)
}

// pushToken returns the claims and the header as tables, decoded as
// json.decode does.
func pushToken(L *glua.LState, k *jwt.Token) int {
	for _, text := range [][]byte{k.Payload, k.Header} {
		value, err := DecodeJSON(L, text)
		if err != nil {
			return failed(L, fmt.Errorf("token is malformed: %w", err))
		}
		if _, ok := value.(*glua.LTable); !ok {
			return failed(L, jwt.ErrMalformed)
		}
		L.Push(value)
	}
	return 2
}

// verifySignature reports whether one of the keys, which fit the token's
// algorithm, made its signature.
func verifySignature(L *glua.LState, k *jwt.Token, keys []any) bool {
	for _, key := range keys {
		vm.RunOf(L).Spend(L, jwt.VerifyWork(key)+len(k.Signed)/8)
		if k.Verify(key) {
			return true
		}
	}
	return false
}
