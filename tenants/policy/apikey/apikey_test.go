package apikey

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

func newGuard(t testing.TB, c *Config) *guard {
	t.Helper()
	c.Keys = append(c.Keys, fmt.Sprintf("a sha256:%x plan=gold", sha256.Sum256([]byte("k-a"))))
	p, err := c.New(policy.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return p.(*guard)
}

// TestAllocates0: a request that passes costs no memory, wherever its key is.
func TestAllocates0(t *testing.T) {
	g := newGuard(t, &Config{Header: "X-API-Key", Query: "key", Cookie: "key", Fields: map[string]string{"X-Consumer": "consumer", "X-Plan": "plan"}})
	for _, c := range []struct{ query, name, value string }{{"?q=1", "X-API-Key", "k-a"}, {"?q=1&key=k%2da", "X-Other", "1"}, {"", "Cookie", "a=b; key=k-a; c=d"}} {
		var r policy.Request
		fields := make(message.Header, 0, 8)
		name, value, query := []byte(c.name), []byte(c.value), []byte(c.query)
		if n := testing.AllocsPerRun(100, func() {
			r.Reset()
			fields = append(fields[:0], message.Field{Name: name, Value: value})
			r.Header, r.Query = &fields, query
			if answer, err := g.Judge(&r); answer != nil || err != nil || string(r.Left("api_key.plan")) != "gold" {
				t.Error(answer, err)
			}
		}); n > 0 {
			t.Errorf("%s: it allocates %v times", c.name, n)
		}
	}
}

// FuzzQuery: the key isn't in what is left of a query, and everything else is, as it
// was.
func FuzzQuery(f *testing.F) {
	for _, query := range []string{"", "?", "?key=k-a", "?a&key=k-a&&b=%6b", "?%6Bey=%6b-a", "?key=k-a&key=x", "?key&=", "?%ke=%"} {
		f.Add([]byte(query))
	}
	g := newGuard(f, &Config{Query: "key"})
	f.Fuzz(func(t *testing.T, query []byte) {
		if len(query) > 0 && query[0] != '?' {
			return
		}
		var r policy.Request
		r.Header, r.Query = &message.Header{}, bytes.Clone(query)
		answer, err := g.Judge(&r)
		if err != nil {
			t.Fatal(err)
		}
		if answer != nil {
			if !bytes.Equal(r.Query, query) {
				t.Errorf("%q is refused, and became %q", query, r.Query)
			}
			return
		}
		var others []string
		keys := 0
		for _, pair := range strings.Split(string(query[1:]), "&") {
			name, _, _ := strings.Cut(pair, "=")
			if unescaped, err := url.PathUnescape(name); err == nil && unescaped == "key" {
				keys++
				continue
			}
			others = append(others, pair)
		}
		if got := strings.TrimPrefix(string(r.Query), "?"); keys != 1 || got != strings.Join(others, "&") {
			t.Errorf("%q with %d keys became %q, want %q", query, keys, got, strings.Join(others, "&"))
		}
	})
}

// FuzzKeys: whatever a file has, each key has an id and a hash of its own.
func FuzzKeys(f *testing.F) {
	f.Add([]byte("# a\na sha256:" + strings.Repeat("0f", 32) + " plan=gold\r\n\nb sha256:" + strings.Repeat("aF", 32)))
	f.Add([]byte("a sha256: =\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		keys, err := parseKeys(content, &set{})
		if (err == nil) == (len(keys) == 0) {
			t.Errorf("got %d keys and %v", len(keys), err)
		}
		ids := map[string]bool{}
		for _, k := range keys {
			if ids[k.id] || k.id == "" || len(k.Value("consumer")) == 0 || string(k.Value("id")) != k.id {
				t.Errorf("key %+v", k)
			}
			ids[k.id] = true
			for _, one := range k.known {
				if !message.IsFieldText(one.value) || len(one.value) > policy.MaxValue {
					t.Errorf("key %q has %q", k.id, one.value)
				}
			}
		}
	})
}
