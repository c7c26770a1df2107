package route_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

func TestCanonicalPrefix(t *testing.T) {
	for _, c := range []struct{ prefix, want, problem string }{
		{"/", "", ""},
		{"/api", "/api", ""},
		{"/api/", "/api", ""},
		{"//api//v1/", "/api/v1", ""},
		{"/%61pi/./x/..", "/api", ""},
		{"/@scope", "/@scope", ""},
		{"/%40scope", "/@scope", ""},
		{"/group%2fname", "/group/name", ""},
		{"/" + strings.Repeat("x", route.MaxPrefix-1), "/" + strings.Repeat("x", route.MaxPrefix-1), ""},
		{"/" + strings.Repeat("x", route.MaxPrefix), "", "256 bytes long"},
		{"", "", "doesn't begin with a slash"},
		{"api", "", "doesn't begin with a slash"},
		{"/api?x", "", "has a query or a parameter"},
		{"/api;x", "", "has a query or a parameter"},
		{"/a/../..", "", "climb above the root"},
		{"/a b", "", "percent-encoded"},
	} {
		got, err := route.CanonicalPrefix(c.prefix)
		if got != c.want || (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%q became %q, %v, expected %q, %q", c.prefix, got, err, c.want, c.problem)
		}
	}
}

func TestStrip(t *testing.T) {
	for _, c := range []struct {
		path, prefix, want string
		err                error
	}{
		{"/", "", "/", nil},
		{"/a/b", "", "/a/b", nil},
		{"/api", "/api", "/", nil},
		{"/api/", "/api", "/", nil},
		{"/api/users/", "/api", "/users/", nil},
		{"/api;v=1/users;x", "/api", "/users;x", nil},
		{"/api;v=1", "/api", "/", nil},
		{"/api%3Bv/users", "/api", "/users", nil},
		{"/%2Fapi/users", "/api", "/users", nil},
		{"/;x/api/users", "/api", "/users", nil},
		{"/a%2Fb/c", "/a/b", "/c", nil},
		{"/a/b%2Fc", "/a", "/b%2Fc", nil},
		{"/a/;x", "/a", "/;x", nil},
		{"/%40scope/name", "/@scope", "/name", nil},
		{"/api%2Fusers", "/api", "", route.RefusedStrip},
		{"/a/b%5C", "/a/b", "", route.RefusedStrip},
	} {
		got, err := route.Strip([]byte(c.path), c.prefix)
		if string(got) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q without %q is %q, %v, expected %q, %v", c.path, c.prefix, got, err, c.want, c.err)
		}
	}
}

// FuzzStrip checks that what remains is canonical and has the rest of the key.
func FuzzStrip(f *testing.F) {
	f.Add("/api;v=1/users%2Fx", "/api")
	f.Add("/;/%2Fa%2F/b/;", "/a")
	f.Fuzz(func(t *testing.T, target, configured string) {
		path, _, _, err := route.Canonical(nil, []byte(target))
		prefix, bad := route.CanonicalPrefix(configured)
		if err != nil || bad != nil {
			return
		}
		key := string(route.Key(nil, path))
		if !strings.HasPrefix(key+"/", prefix+"/") {
			return
		}
		rest, err := route.Strip(path, prefix)
		if err != nil {
			return
		}
		again, _, changed, err := route.Canonical(nil, rest)
		if err != nil || changed {
			t.Fatalf("%q without %q is %q, canonically %q, %v", path, prefix, rest, again, err)
		}
		want := "/" + strings.TrimPrefix(strings.TrimPrefix(key, prefix), "/")
		if got := string(route.Key(nil, rest)); got != want {
			t.Fatalf("%q without %q is %q, compared as %q, expected %q", path, prefix, rest, got, want)
		}
	})
}
