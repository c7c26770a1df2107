package jwt

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// TestDates: a token is valid from nbf to just before exp, by the leeway more;
// what isn't a date is wrong, not absent.
func TestDates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		claims string
		leeway float64
		want   string
	}{
		{`{}`, 0, ""},
		{`{"exp":1001}`, 0, ""},
		{`{"exp":1000.5}`, 0, ""},
		{`{"exp":1000}`, 0, "token is expired"},
		{`{"exp":0}`, 0, "token is expired"},
		{`{"exp":-1}`, 0, "token is expired"},
		{`{"exp":991}`, 10, ""},
		{`{"exp":990}`, 10, "token is expired"},
		{`{"nbf":1000}`, 0, ""},
		{`{"nbf":0}`, 0, ""},
		{`{"nbf":1000.5}`, 0, "token is not valid yet"},
		{`{"nbf":1010}`, 10, ""},
		{`{"nbf":1011}`, 10, "token is not valid yet"},
		{`{"nbf":1000,"exp":1001}`, 0, ""},
		{`{"exp":1e15}`, 0, ""},
		{`{"exp":1.1e15}`, 0, `token has a malformed claim "exp"`},
		{`{"nbf":-1.1e15}`, 0, `token has a malformed claim "nbf"`},
		{`{"exp":"1001"}`, 0, `token has a malformed claim "exp"`},
		{`{"exp":null}`, 0, `token has a malformed claim "exp"`},
		{`{"nbf":[]}`, 0, `token has a malformed claim "nbf"`},
	} {
		token := parse(t, `{"alg":"EdDSA"}`, c.claims)
		got := ""
		if err := (&Check{Leeway: c.leeway}).Claims(token, time.Unix(1000, 0)); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s with a leeway of %v s: got %q, want %q", c.claims, c.leeway, got, c.want)
		}
	}
}

func parse(t *testing.T, header, claims string) *Token {
	t.Helper()
	token, err := Parse(base64url([]byte(header)) + "." + base64url([]byte(claims)) + ".AA")
	if err != nil {
		t.Fatal(err)
	}
	if string(token.Header) != header || string(token.Payload) != claims {
		t.Errorf("got header %s and payload %s, want %s and %s", token.Header, token.Payload, header, claims)
	}
	return token
}

// TestIdentity: issuer and audience, where they are asked for.
func TestIdentity(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		claims string
		check  Check
		want   bool
	}{
		{`{"iss":"a"}`, Check{}, true}, {`{}`, Check{Issuer: "a"}, false}, {`{"iss":["a"]}`, Check{Issuer: "a"}, false}, {`{"iss":"a"}`, Check{Issuer: "a"}, true},
		{`{"aud":"a"}`, Check{}, true}, {`{}`, Check{Audience: []string{"a"}}, false}, {`{"aud":["b","a"]}`, Check{Audience: []string{"c", "a"}}, true},
		{`{"aud":["b"]}`, Check{Audience: []string{"a"}}, false}, {`{"aud":7}`, Check{Audience: []string{"a"}}, false}, {`{"aud":7}`, Check{}, true},
		{`{"x":null}`, Check{Required: []string{"x"}}, false}, {`{"x":false}`, Check{Required: []string{"x"}}, true}, {`{"x":1}`, Check{Required: []string{"x", "y"}}, false},
	} {
		if err := c.check.Claims(parse(t, `{"alg":"EdDSA"}`, c.claims), time.Unix(1000, 0)); (err == nil) != c.want {
			t.Errorf("%s with %+v: %v, want it accepted: %v", c.claims, c.check, err, c.want)
		}
	}
}

// TestSpelling: a token has one spelling, of base64url and dots, and a length.
func TestSpelling(t *testing.T) {
	t.Parallel()
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	token := base64url([]byte(`{"alg":"EdDSA"}`)) + "." + base64url([]byte(`{}`)) + "."
	for c := range 256 {
		text := token + "A" + string([]byte{byte(c)}) + "A" + "A"
		if _, err := Parse(text); (err == nil) != (strings.IndexByte(letters, byte(c)) >= 0) {
			t.Errorf("byte %#x in a signature: %v", c, err)
		}
	}
	full := MaxToken - len(token)
	full -= (full + 3) % 4 // not of a length that base64 never has
	for _, size := range []int{full, MaxToken - len(token) + 4} {
		_, err := Parse(token + strings.Repeat("A", size-size%4))
		if want := len(token)+size-size%4 > MaxToken; (err != nil) != want {
			t.Errorf("%d bytes: %v", len(token)+size-size%4, err)
		}
	}
	for header, want := range map[string]bool{
		`{"alg":"EdDSA","kid":"a"}`: true, `{"alg":"EdDSA","kid":7}`: false, `{"alg":"EdDSA","kid":null}`: false, `{"alg":"EdDSA","crit":[]}`: false,
		`{"alg":"x"}`: false, `{}`: false,
	} {
		if _, err := Parse(base64url([]byte(header)) + ".e30.AA"); (err == nil) != want {
			t.Errorf("%s: %v, want it parsed: %v", header, err, want)
		}
	}
}

// TestKeysOfSets: which keys of a set are used.
func TestKeysOfSets(t *testing.T) {
	t.Parallel()
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x, y := make([]byte, 32), make([]byte, 32)
	point, _ := curve.PublicKey.Bytes()
	copy(x, point[1:33])
	copy(y, point[33:])
	other := append([]byte{}, y...)
	other[31] ^= 1
	modulus := func(bits uint) string {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return base64url(n.Add(n, big.NewInt(1)).Bytes())
	}
	rsaKey := func(n string, exponent ...byte) string {
		return fmt.Sprintf(`{"kty":"RSA","n":%q,"e":%q}`, n, base64url(exponent))
	}
	ec := func(x, y []byte, more string) string {
		return fmt.Sprintf(`{"kty":"EC","crv":"P-256","x":%q,"y":%q%s}`, base64url(x), base64url(y), more)
	}
	ed := func(size int, curve, more string) string {
		return fmt.Sprintf(`{"kty":"OKP","crv":%q,"x":%q%s}`, curve, base64url(make([]byte, size)), more)
	}
	for name, c := range map[string]struct {
		key  string
		used bool
	}{
		"RSA":                          {rsaKey(modulus(2048), 1, 0, 1), true},
		"RSA, exponent 3":              {rsaKey(modulus(2048), 3), true},
		"RSA, exponent 1":              {rsaKey(modulus(2048), 1), false},
		"RSA, exponent 2":              {rsaKey(modulus(2048), 2), false},
		"RSA, exponent 4":              {rsaKey(modulus(2048), 4), false},
		"RSA, no exponent":             {rsaKey(modulus(2048)), false},
		"RSA, largest exponent":        {rsaKey(modulus(2048), 0x7f, 0xff, 0xff, 0xff), true},
		"RSA, larger exponent":         {rsaKey(modulus(2048), 0x80, 0, 0, 1), false},
		"RSA, exponent with a zero":    {rsaKey(modulus(2048), 0, 0x7f, 0xff, 0xff, 0xff), true},
		"RSA, exponent of five bytes":  {rsaKey(modulus(2048), 1, 0, 0, 0, 1), false},
		"RSA, exponent with two zeros": {rsaKey(modulus(2048), 0, 0, 0, 0, 1, 1), false},
		"RSA, the fewest bits":         {rsaKey(modulus(minRSA), 3), true},
		"RSA, fewer bits":              {rsaKey(modulus(minRSA-1), 3), false},
		"RSA, the most bits":           {rsaKey(modulus(maxRSA), 3), true},
		"RSA, more bits":               {rsaKey(modulus(maxRSA+1), 3), false},
		"RSA, not base64":              {rsaKey("?", 3), false},
		"RSA, padded":                  {rsaKey(modulus(2048)+"==", 3), true},
		"EC":                           {ec(x, y, ""), true},
		"EC, off the curve":            {ec(x, other, ""), false},
		"EC, with a zero":              {ec(append([]byte{0}, x...), y, ""), true},
		"EC, with a byte":              {ec(append([]byte{1}, x...), y, ""), false},
		"EC, no y":                     {ec(x, nil, ""), false},
		"EC, no x":                     {ec(nil, y, ""), false},
		"EC, for verifying":            {ec(x, y, `,"key_ops":["verify"]`), true},
		"EC, for more":                 {ec(x, y, `,"key_ops":["sign","verify"]`), true},
		"EC, for signing":              {ec(x, y, `,"key_ops":["sign"]`), false},
		"EC, for nothing in list":      {ec(x, y, `,"key_ops":[]`), true},
		"EC, use":                      {ec(x, y, `,"use":"sig"`), true},
		"EC, another use":              {ec(x, y, `,"use":"enc"`), false},
		"EC, another algorithm":        {ec(x, y, `,"alg":"ES384"`), false},
		"EC, its algorithm":            {ec(x, y, `,"alg":"ES256"`), true},
		"EC, another curve":            {strings.Replace(ec(x, y, ""), "P-256", "P-384", 1), false},
		"EC, unknown curve":            {strings.Replace(ec(x, y, ""), "P-256", "P-224", 1), false},
		"OKP":                          {ed(32, "Ed25519", ""), true},
		"OKP, by its newer name":       {ed(32, "Ed25519", `,"alg":"Ed25519"`), true},
		"OKP, by its older name":       {ed(32, "Ed25519", `,"alg":"EdDSA"`), true},
		"OKP, shorter":                 {ed(31, "Ed25519", ""), false},
		"OKP, longer":                  {ed(33, "Ed25519", ""), false},
		"OKP, for exchange":            {ed(32, "X25519", ""), false},
		"OKP, not base64":              {`{"kty":"OKP","crv":"Ed25519","x":"?"}`, false},
		"a secret":                     {`{"kty":"oct","k":"AAAA"}`, false},
		"no object":                    {`7`, false},
	} {
		good := ed(32, "Ed25519", `,"kid":"good"`)
		keys, err := parseSet([]byte(`{"keys":[` + c.key + `,` + good + `]}`))
		if err != nil || (len(keys) == 2) != c.used {
			t.Errorf("%s: %d keys and %v; the key is to be used: %v", name, len(keys)-1, err, c.used)
		}
		if _, err := parseSet([]byte(`{"keys":[` + c.key + `]}`)); (err == nil) != c.used {
			t.Errorf("%s alone: %v; the set is to be used: %v", name, err, c.used)
		}
		if _, err := parseKey(c.key, false); (err == nil) == c.used {
			t.Errorf("%s as a secret: %v, want that a public key is none", name, err)
		}
	}
	many := strings.Repeat(ed(32, "Ed25519", "")+",", maxKeys)
	if keys, err := parseSet([]byte(`{"keys":[` + many + ed(32, "Ed25519", "") + `]}`)); err != nil || len(keys) != maxKeys {
		t.Errorf("one more key than a set may have: %d keys, %v", len(keys), err)
	}
}

// TestKeysOfTokens: a token without a kid tries the keys that fit its algorithm,
// but not many.
func TestKeysOfTokens(t *testing.T) {
	t.Parallel()
	set := &keySet{}
	for i := range 2 * maxTries {
		set.keys = append(set.keys, setKey{kid: fmt.Sprint(i), public: ed25519.PublicKey(make([]byte, 32))})
	}
	set.keys[1].algorithm = "EdDSA"
	for _, c := range []struct {
		token Token
		want  int
	}{
		{Token{Algorithm: "EdDSA"}, maxTries}, {Token{Algorithm: "EdDSA", KeyID: "0"}, 1}, {Token{Algorithm: "EdDSA", KeyID: "1"}, 1}, {Token{Algorithm: "EdDSA", KeyID: "x"}, 0},
		{Token{Algorithm: "ES256"}, 0}, {Token{Algorithm: "ES256", KeyID: "1"}, 0}, {Token{Algorithm: "ES256", KeyID: "0"}, 0},
	} {
		if got := len(set.fitting(&c.token)); got != c.want {
			t.Errorf("%s with the kid %q: %d keys, want %d", c.token.Algorithm, c.token.KeyID, got, c.want)
		}
	}
}

// TestParsedKeysAreKept: by text and purpose, and not without a bound.
func TestParsedKeysAreKept(t *testing.T) {
	t.Parallel()
	var s KeySets
	if s.Parsed("secret 0", false) != nil {
		t.Error("a key is known before it is parsed")
	}
	for i := range maxParsed {
		if _, err := s.ParseKey(fmt.Sprint("secret ", i), false); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := s.Parsed("secret 0", false).([]byte); string(got) != "secret 0" || s.Parsed("secret 0", true) != nil {
		t.Errorf("got %q, and as a private key %v", got, s.Parsed("secret 0", true))
	}
	if _, err := s.ParseKey("one more", false); err != nil || len(s.parsed) > maxParsed || s.Parsed("one more", false) == nil {
		t.Errorf("one more: %v, %d are kept", err, len(s.parsed))
	}
}

// TestWork: what is charged for a key grows as its cost does.
func TestWork(t *testing.T) {
	t.Parallel()
	modulus := func(bits uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), bits-1) }
	signer := func(bits uint) *rsa.PrivateKey {
		return &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: modulus(bits)}}
	}
	on := func(c elliptic.Curve) *ecdsa.PrivateKey {
		return &ecdsa.PrivateKey{PublicKey: ecdsa.PublicKey{Curve: c}}
	}
	for name, c := range map[string]struct{ got, want int }{
		"RSA 2048":         {VerifyWork(&rsa.PublicKey{N: modulus(2048)}), 5000},
		"RSA 1024":         {VerifyWork(&rsa.PublicKey{N: modulus(1024)}), 5000},
		"RSA 4096":         {VerifyWork(&rsa.PublicKey{N: modulus(4096)}), 20_000},
		"P-256":            {VerifyWork(&on(elliptic.P256()).PublicKey), 5000},
		"P-384":            {VerifyWork(&on(elliptic.P384()).PublicKey), 25_000},
		"P-521":            {VerifyWork(&on(elliptic.P521()).PublicKey), 60_000},
		"Ed25519":          {VerifyWork(ed25519.PublicKey{}), 5000},
		"secret":           {VerifyWork([]byte("x")), 50},
		"signing RSA 2048": {SignWork(signer(2048)), 50_000},
		"signing RSA 1024": {SignWork(signer(1024)), 50_000},
		"signing RSA 4096": {SignWork(signer(4096)), 400_000},
		"signing P-384":    {SignWork(on(elliptic.P384())), 25_000},
		"signing Ed25519":  {SignWork(ed25519.PrivateKey{}), 5000},
		"signing, secret":  {SignWork([]byte("x")), 50},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", name, c.got, c.want)
		}
	}
	if err := checkKey(signer(maxSigningRSA)); err == nil {
		t.Error("a key without an exponent signs")
	}
	for bits, want := range map[uint]bool{minRSA: true, maxSigningRSA: true, maxSigningRSA + 1: false, minRSA - 1: false} {
		key := signer(bits)
		key.E = 65537
		if err := checkKey(key); (err == nil) != want {
			t.Errorf("signing with %d bits: %v", bits, err)
		}
	}
}
