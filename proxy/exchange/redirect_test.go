package exchange_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange/exchangetest"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

// FuzzRedirect: whatever the host and the target, a location is a URL of that host and
// of the path that would have been judged here.
func FuzzRedirect(f *testing.F) {
	plane := changedPlane(f, atEnd{}, func(g *exchange.Generation, _ *exchange.Tenant) {
		g.Entrances[0].Redirect = &exchange.Redirect{Port: ":8443"}
	})
	for _, seed := range [][2]string{
		{"example.com", "/a?b"}, {"a@b", "/"}, {"a", "//b"}, {"a:80", "/\\b"}, {"[::1]", "/%2f%2fb/.."}, {"A.", "/;a=b//../%2e"}, {"a", "/é?\"<"}, {"a", "/a//../b"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, host, target string) {
		if !strings.HasPrefix(target, "/") { // else it is no resource
			return
		}
		s := &exchangetest.Stream{Head: exchangetest.Request("GET", host, target)}
		plane.Serve(s)
		location := s.Field("Location")
		if s.Status != 308 {
			if location != "" || s.Status != 400 && s.Status != 414 {
				t.Errorf("%q, %q: %d with the location %q", host, target, s.Status, location)
			}
			return
		}
		led, err := url.Parse(location)
		if err != nil || led.Scheme != "https" || led.User != nil {
			t.Fatalf("%q, %q: the location is %q (%v)", host, target, location, err)
		}
		if want, err := route.CanonicalHost(nil, []byte(host)); err != nil || led.Host != string(want)+":8443" {
			t.Errorf("%q: led to the host %q, want %q (%v)", host, led.Host, want, err)
		}
		judged, query, _, err := route.Canonical(nil, []byte(target))
		_, after, _ := strings.Cut(strings.TrimPrefix(location, "https://"), "/")
		there, queryThere, _, errThere := route.Canonical(nil, []byte("/"+after))
		if err != nil || errThere != nil || string(there) != string(judged) || string(query) != string(queryThere) {
			t.Errorf("%q is %q with %q here (%v), its location %q is %q with %q there (%v)", target, judged, query, err, location, there, queryThere, errThere)
		}
	})
}
