package jwt

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	tokens "github.com/keystone-gateway/keystone-gateway/tenants/jwt"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

const secret = "0123456789abcdef0123456789abcdef"

func newGuard(t testing.TB) *guard {
	t.Helper()
	c := &Config{}
	c.SetDefaults()
	c.Secret, c.Audience, c.Issuer = secret, []string{"api"}, []string{"https://id.example.com"}
	c.Fields = map[string]string{"X-User": "sub", "X-Roles": "realm_access.roles"}
	p, err := c.New(policy.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return p.(*guard)
}

func signed(t testing.TB, claims string) string {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"HS256"}`)) + "." + encode([]byte(claims))
	signature, err := tokens.Sign("HS256", text, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + encode(signature)
}

// usual is a token of a usual length.
func usual(t testing.TB) string {
	t.Helper()
	return signed(t, fmt.Sprintf(`{"sub":"f3b1c6de-alice","iss":"https://id.example.com","aud":["api"],"exp":%d,"azp":"app","scope":"openid profile email","realm_access":{"roles":["user","admin"]},"name":"Alice Liddell","email":"alice@example.com","pad":%q}`,
		time.Now().Unix()+3600, strings.Repeat("x", 300)))
}

func judge(g *guard, r *policy.Request, fields *message.Header, name, value []byte) (*policy.Answer, error) {
	r.Reset()
	*fields = append((*fields)[:0], message.Field{Name: name, Value: value})
	r.Header = fields
	return g.Judge(r)
}

// TestAllocates0: a token that is known to be good costs no memory.
func TestAllocates0(t *testing.T) {
	g, name, value := newGuard(t), []byte("Authorization"), []byte("Bearer "+usual(t))
	var r policy.Request
	fields := make(message.Header, 0, 8)
	if n := testing.AllocsPerRun(100, func() {
		if answer, err := judge(g, &r, &fields, name, value); answer != nil || err != nil || string(r.Left("jwt.realm_access.roles")) != "user,admin" || string(r.User) != "f3b1c6de-alice" {
			t.Error(answer, err)
		}
	}); n > 0 {
		t.Errorf("it allocates %v times", n)
	}
}

func BenchmarkKnown(b *testing.B) {
	g, name, value := newGuard(b), []byte("Authorization"), []byte("Bearer "+usual(b))
	var r policy.Request
	fields := make(message.Header, 0, 8)
	b.SetBytes(int64(len(value)))
	b.ReportAllocs()
	for b.Loop() {
		if answer, err := judge(g, &r, &fields, name, value); answer != nil || err != nil {
			b.Fatal(answer, err)
		}
	}
}

// FuzzClaims: whatever claims a token that is signed has, fields and values are such,
// and no element of a list is read as two.
func FuzzClaims(f *testing.F) {
	f.Add(`{"sub":"a","realm_access":{"roles":["a","b,c","d\n",1,true,null,[]]},"a.b":{"c":1}}`)
	f.Add(`{"sub":{"a":{"b":{"c":{"d":{"e":1}}}}},"x":1e300}`)
	g := newGuard(f)
	f.Fuzz(func(t *testing.T, claims string) {
		if !json.Valid([]byte(claims)) {
			return
		}
		token, err := tokens.Parse(signed(t, claims))
		if err != nil {
			return
		}
		v := g.verdictOf(token)
		for name, value := range v.claims {
			if !message.IsFieldText(value) || len(value) == 0 || len(value) > policy.MaxValue {
				t.Errorf("claim %q is %q", name, value)
			}
		}
		for i, value := range v.fields {
			if value != nil && (!message.IsFieldText(value) || len(value) > maxField) {
				t.Errorf("field %s is %q", g.fields[i].name, value)
			}
		}
		if roles, _ := token.Claim("realm_access.roles"); v.fields[0] != nil {
			if list, ok := roles.([]any); ok && strings.Count(string(v.fields[0]), ",") >= len(list) {
				t.Errorf("%v became %q", list, v.fields[0])
			}
		}
	})
}

// FuzzToken: whatever is sent, only a token that was signed passes.
func FuzzToken(f *testing.F) {
	good := usual(f)
	f.Add("Bearer " + good)
	f.Add("bearer " + strings.ToLower(good))
	f.Add("Bearer eyJhbGciOiJub25lIn0.e30.")
	g := newGuard(f)
	f.Fuzz(func(t *testing.T, text string) {
		var r policy.Request
		var fields message.Header
		answer, err := judge(g, &r, &fields, []byte("Authorization"), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if passes := answer == nil; passes && !strings.HasSuffix(strings.TrimRight(text, " \t"), good) {
			t.Errorf("%q passes", text)
		}
	})
}
