package jwt_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
	"github.com/keystone-gateway/keystone-gateway/tenants/jwt"
)

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// sign makes a token that an Ed25519 key has signed.
func sign(tb testing.TB, key ed25519.PrivateKey, header, claims string) string {
	tb.Helper()
	text := encode(header) + "." + encode(claims)
	signature, err := jwt.Sign("EdDSA", text, key)
	if err != nil {
		tb.Fatal(err)
	}
	return text + "." + encode(string(signature))
}

// TestWithKeySet goes the whole way that a policy does.
func TestWithKeySet(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, other, _ := ed25519.GenerateKey(rand.Reader)
	var fetches atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":%q}]}`, encode(string(public)))
	}))
	defer server.Close()
	client := fetch.New(fetch.Config{Allow: []fetch.Permission{{Network: netip.MustParsePrefix("127.0.0.0/8")}}, Timeout: time.Minute})
	defer client.Close()
	now := time.Unix(1_000_000, 0)
	from := jwt.Source{Client: client, Now: func() time.Time { return now }}
	check := jwt.Check{Algorithms: jwt.SetAlgorithms(), Issuer: "me", Audience: []string{"api"}, Required: []string{"exp"}}
	var sets jwt.KeySets
	verify := func(text string) error {
		token, err := jwt.Parse(text)
		if err != nil {
			return err
		}
		if err := check.Accepts(token); err != nil {
			return err
		}
		keys, err := sets.Find(from, server.URL, token, func(fetched <-chan struct{}) { <-fetched })
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(keys, token.Verify) {
			return jwt.ErrSignature
		}
		return check.Claims(token, now)
	}
	const head, claims = `{"alg":"EdDSA","kid":"a"}`, `{"iss":"me","aud":"api","exp":1000001}`
	for _, c := range []struct{ token, want string }{
		{sign(t, private, head, claims), "<nil>"},
		{sign(t, private, head, claims), "<nil>"},
		{sign(t, other, head, claims), "token has a wrong signature"},
		{sign(t, private, `{"alg":"EdDSA","kid":"b"}`, claims), "token is signed with an unknown key"},
		{sign(t, private, `{"alg":"HS256","kid":"a"}`, claims), "token has an algorithm that is not accepted"},
		{sign(t, private, `{"alg":"none","kid":"a"}`, claims), "token has an algorithm that is not accepted"},
		{sign(t, private, head, `{"iss":"you","aud":"api","exp":1000001}`), "token has another issuer"},
		{sign(t, private, head, `{"iss":"me","aud":"x","exp":1000001}`), "token is for another audience"},
		{sign(t, private, head, `{"iss":"me","aud":"api","exp":1000000}`), "token is expired"},
		{sign(t, private, head, `{"iss":"me","aud":"api"}`), `token has no claim "exp"`},
		{"x", "token is malformed"},
	} {
		if got := fmt.Sprint(verify(c.token)); got != c.want {
			t.Errorf("%s: %s, want %s", c.token, got, c.want)
		}
	}
	if n := fetches.Load(); n != 2 { // the first, and one for the unknown kid
		t.Errorf("the set was fetched %d times, want 2", n)
	}
}

// FuzzParse: whatever a client sends is an error or a token, and none is
// verified by a key that didn't sign it.
func FuzzParse(f *testing.F) {
	f.Add(encode(`{"alg":"EdDSA"}`) + "." + encode(`{"exp":1,"nbf":2,"aud":["a",7]}`) + ".AA")
	f.Add("e30.e30.")
	f.Add("..")
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	check := jwt.Check{Algorithms: []string{"EdDSA"}, Audience: []string{"a"}, Leeway: 1}
	f.Fuzz(func(t *testing.T, text string) {
		token, err := jwt.Parse(text)
		if err != nil {
			return
		}
		_ = check.Claims(token, time.Unix(1, 0))
		if check.Accepts(token) == nil && token.Verify(public) {
			t.Errorf("verified %q", text)
		}
	})
}
