package forwardauth

import (
	"net/netip"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

func newGuard(t testing.TB) *guard {
	t.Helper()
	c := &Config{URL: "http://127.0.0.1:1/", RequestFields: []string{"Cookie", "X-Key"}, CacheFor: settings.Duration(1e9)}
	c.SetDefaults()
	p, err := c.New(policy.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return p.(*guard)
}

// FuzzTold: two requests of which the server is told something else have different
// texts, by which answers are kept: nobody passes by an answer to another.
func FuzzTold(f *testing.F) {
	f.Add("GET", "a", "/", "?q", "Cookie", "a=b", "X-Key", "c", "GET", "a", "/", "?q", "Cookie", "a=bX-Key", "X-Key", "")
	f.Add("GET", "a", "/", "?", "Cookie", "", "X-Key", "", "GET", "a", "/?", "", "Cookie", "", "X-Other", "1")
	g := newGuard(f)
	type told struct{ method, host, path, query, fields string }
	f.Fuzz(func(t *testing.T, m1, h1, p1, q1, n1, v1, n2, v2, m2, h2, p2, q2, n3, v3, n4, v4 string) {
		text := func(method, host, path, query string, fields ...string) (string, told) {
			r := policy.Request{Method: []byte(method), Host: []byte(host), Path: []byte(path), Query: []byte(query), Client: netip.MustParseAddr("192.0.2.1"), Header: &message.Header{}}
			what := told{method, host, path, query, ""}
			for i := 0; i < len(fields); i += 2 {
				if !message.IsToken([]byte(fields[i])) {
					continue
				}
				r.Header.Add([]byte(fields[i]), []byte(fields[i+1]))
			}
			g.eachField(&r, func(f *message.Field) { what.fields += string(f.Name) + "\x00" + string(f.Value) + "\x00\x00" })
			scheme, host2 := g.origin(&r)
			what.host = string(host2)
			return string(g.appendTold(nil, &r, scheme, host2)), what
		}
		one, first := text(m1, h1, p1, q1, n1, v1, n2, v2)
		two, second := text(m2, h2, p2, q2, n3, v3, n4, v4)
		if one == two && first != second {
			t.Errorf("%+v and %+v have the same text", first, second)
		}
	})
}
