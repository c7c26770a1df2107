package route_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

// entry makes an Entry whose value is its name, of "host,host/prefix".
func entry(match string) route.Entry[string] {
	e := route.Entry[string]{Name: match, Value: match}
	hosts := match
	if i := strings.IndexByte(match, '/'); i >= 0 {
		hosts, e.PathPrefix = match[:i], match[i:]
	}
	if hosts != "" {
		e.Domains = strings.Split(hosts, ",")
	}
	return e
}

func build(t testing.TB, matches ...string) *route.Table[string] {
	t.Helper()
	entries := make([]route.Entry[string], len(matches))
	for i, m := range matches {
		entries[i] = entry(m)
	}
	table, err := route.Build(entries)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestMatch(t *testing.T) {
	table := build(t,
		"a.com", "a.com/api/", "a.com/api/v1",
		"b.com/api", "c.com,d.com/x", "E.Com.",
		"*.com", "*.w.com", "*.w.com/api", "*.x.w.com/deep", "p.w.com", "q.w.com/only",
		"127.0.0.1", "[0::1]", "localhost",
		"/api", "/pub/@scope", "/pub",
	)
	for _, c := range []struct{ request, want string }{
		{"a.com/", "a.com"},
		{"a.com/apix", "a.com"},
		{"a.com/api", "a.com/api/"},
		{"a.com/api/", "a.com/api/"},
		{"a.com/api/v", "a.com/api/"},
		{"a.com/api/v1", "a.com/api/v1"},
		{"a.com/api/v1/x", "a.com/api/v1"},
		{"a.com/api;x/v1;y/z", "a.com/api/v1"},
		{"a.com/api%2Fv1", "a.com/api/v1"},
		{"a.com/%2Fapi", "a.com/api/"},
		{"a.com/ap%2Fi", "a.com"},
		{"a.com/api%20", "a.com"},
		{"b.com/api/x", "b.com/api"},
		{"b.com/pub", "*.com"}, // no exact entry matches: the wildcards are next
		{"c.com/x", "c.com,d.com/x"},
		{"d.com/x/y", "c.com,d.com/x"},
		{"e.com/api", "E.Com."},
		{"w.com/api", "*.com"},
		{"o.w.com/", "*.w.com"},
		{"o.o.w.com/", "*.w.com"},
		{"o.w.com/api", "*.w.com/api"},
		{"o.x.w.com/deep", "*.x.w.com/deep"},
		{"o.x.w.com/api", "*.w.com/api"},
		{"x.w.com/deep", "*.w.com"},
		{"p.w.com/api", "p.w.com"}, // the exact host owns all its paths
		{"q.w.com/only", "q.w.com/only"},
		{"q.w.com/other", "*.w.com"},
		{"127.0.0.1/api", "127.0.0.1"},
		{"[::1]/", "[::1]"},
		{"localhost/pub", "localhost"},
		{"other.org/api/x", "/api"},
		{"other.org/pub", "/pub"},
		{"other.org/pub/@scope/name", "/pub/@scope"},
		{"other.org/pub/%40scope%2Fname", "/pub/@scope"},
		{"other.org/pub/@scop", "/pub"},
		{"other.org/", ""},
		{"other.org/Api", ""},
		{"com/", ""},
		{"xcom/", ""},
		{"aw.org/" + strings.Repeat("a/", 4000), ""},
		{"aw.org/api/" + strings.Repeat("%41;", 2000), "/api"},
	} {
		i := strings.IndexByte(c.request, '/')
		got, ok := table.Match([]byte(c.request[:i]), []byte(c.request[i:]))
		if c.want == "[::1]" {
			c.want = "[0::1]"
		}
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%.60s belongs to %q, expected %q", c.request, got, c.want)
		}
	}
}

func TestMatchAnyPath(t *testing.T) {
	table := build(t, "/", "/x", "a.com/")
	for request, want := range map[string]string{"b.com/": "/", "b.com/xy": "/", "b.com/x": "/x", "a.com/x": "a.com/"} {
		i := strings.IndexByte(request, '/')
		if got, _ := table.Match([]byte(request[:i]), []byte(request[i:])); got != want {
			t.Errorf("%s belongs to %q, expected %q", request, got, want)
		}
	}
	if _, ok := build(t).Match([]byte("a.com"), []byte("/")); ok {
		t.Error("an empty table matches")
	}
}

// TestMatchManyPrefixes covers the map that replaces a long list of prefixes.
func TestMatchManyPrefixes(t *testing.T) {
	matches := []string{"a.com/p1/q/r", "a.com/" + strings.Repeat("x", route.MaxPrefix-1)}
	for i := range 100 {
		matches = append(matches, fmt.Sprintf("a.com/p%d", i))
	}
	table := build(t, matches...)
	for path, want := range map[string]string{
		"/p1":       "a.com/p1",
		"/p1/":      "a.com/p1",
		"/p1/q":     "a.com/p1",
		"/p1/q/r":   "a.com/p1/q/r",
		"/p1/q/r/s": "a.com/p1/q/r",
		"/p1/q/rs":  "a.com/p1",
		"/p99/x":    "a.com/p99",
		"/p99;x/x":  "a.com/p99",
		"/p100":     "",
		"/":         "",
		"":          "",
		"*":         "",
		"/" + strings.Repeat("x", route.MaxPrefix-1) + "/y":  matches[1],
		"/" + strings.Repeat("x", route.MaxPrefix-1) + ";/y": matches[1],
		"/" + strings.Repeat("x", route.MaxPrefix):           "",
		"/" + strings.Repeat("x", route.MaxPrefix) + ";":     "",
		"/p1" + strings.Repeat("/y", 4000):                   "a.com/p1",
		"/p1" + strings.Repeat("/y%20", 4000):                "a.com/p1",
	} {
		if got, _ := table.Match([]byte("a.com"), []byte(path)); got != want {
			t.Errorf("%.60s belongs to %q, expected %q", path, got, want)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	for _, c := range []struct {
		matches []string
		want    string
	}{
		{[]string{""}, `cannot route to tenant "": neither domains nor a path prefix`},
		{[]string{"a.com", "b.com,A.com."}, `cannot route to tenant "b.com,A.com.": tenant "a.com" has the same match, host "a.com" and any path`},
		{[]string{"a.com", "a.com/"}, `tenant "a.com" has the same match`},
		{[]string{"a.com/%61pi", "a.com/x/../api/"}, `tenant "a.com/%61pi" has the same match, host "a.com" and path prefix "/api"`},
		{[]string{"/a%2Fb", "/a/b"}, `has the same match, any host and path prefix "/a/b"`},
		{[]string{"*.a.com", "*.A.com"}, `has the same match, host "*.a.com" and any path`},
		{[]string{"[::1]", "[0::1]"}, `has the same match`},
		{[]string{"app"}, `domain "app" has no dot`},
		{[]string{"a.*.com"}, `* in the wrong place`},
		{[]string{"*a.com"}, `* in the wrong place`},
		{[]string{"*"}, `* in the wrong place`},
		{[]string{"*.*.com"}, `* in the wrong place`},
		{[]string{"*."}, `host is empty`},
		{[]string{"*.10.0.0.1"}, `wildcard over an address`},
		{[]string{"*.[::1]"}, `wildcard over an address`},
		{[]string{"a.com:80"}, `has a port`},
		{[]string{"[::1]:80"}, `has a port`},
		{[]string{"::1"}, `expected brackets`},
		{[]string{"a b.com"}, `byte other than letters`},
		{[]string{"a.com/..%2f"}, `dot segment`},
		{[]string{"app", "a.com:80"}, `has a port`},
	} {
		entries := make([]route.Entry[string], len(c.matches))
		for i, m := range c.matches {
			entries[i] = entry(m)
		}
		table, err := route.Build(entries)
		if err == nil || table != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, expected %q", c.matches, err, c.want)
		}
	}
	_, err := route.Build([]route.Entry[int]{{Name: "x", Domains: []string{"http://a.com"}}})
	if err == nil || !strings.Contains(err.Error(), "has a scheme") {
		t.Errorf("got %v, expected a complaint about the scheme", err)
	}
}

// FuzzMatch compares the table with a model that ranks every entry.
func FuzzMatch(f *testing.F) {
	f.Add("a.com a.com/x *.com/x/y /x/y/z *.a.com b.com,c.com/x / *.b.com", "d.a.com", "/x/y;z/%7a")
	f.Add("/a /b /c /d /e /f /g /h /i /a/b/c /a/b%2Fd", "a.com", "/a%2Fb/c/d")
	f.Fuzz(func(t *testing.T, config, hostField, target string) {
		var entries []route.Entry[string]
		for match := range strings.FieldsSeq(config) {
			next := append(entries[:len(entries):len(entries)], entry(match))
			if _, err := route.Build(next); err == nil && len(next) < 32 {
				entries = next
			}
		}
		table, err := route.Build(entries)
		if err != nil {
			t.Fatal(err)
		}
		host, err1 := route.CanonicalHost(nil, []byte(hostField))
		path, _, _, err2 := route.Canonical(nil, []byte(target))
		if err1 != nil || err2 != nil {
			return
		}
		want, found := modelMatch(entries, string(host), string(route.Key(nil, path)))
		if got, ok := table.Match(host, path); got != want || ok != found {
			t.Fatalf("%q: %q %q belongs to %q, expected %q", config, host, path, got, want)
		}
	})
}

// modelMatch ranks by host first, the exact one above all, then by prefix.
func modelMatch(entries []route.Entry[string], host, key string) (best string, found bool) {
	top := -1
	for _, e := range entries {
		prefix := ""
		if e.PathPrefix != "" {
			prefix, _ = route.CanonicalPrefix(e.PathPrefix)
		}
		if !strings.HasPrefix(key+"/", prefix+"/") {
			continue
		}
		for _, domain := range append([]string{""}, e.Domains...) {
			if rank := rankHost(domain, host, len(e.Domains) == 0)*1000 + len(prefix); rank > top {
				top, best, found = rank, e.Value, true
			}
		}
	}
	return best, found
}

func rankHost(domain, host string, anyHost bool) int {
	if domain == "" {
		if anyHost {
			return 0
		}
		return -1
	}
	name, wild := strings.CutPrefix(domain, "*.")
	canonical, err := route.CanonicalHost(nil, []byte(name))
	switch {
	case err != nil:
		return -1
	case wild && strings.HasSuffix(host, "."+string(canonical)):
		return len(canonical)
	case !wild && host == string(canonical):
		return 1000
	}
	return -1
}
