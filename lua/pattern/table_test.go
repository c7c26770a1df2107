package pattern_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua/pattern"
)

// table builds a table of routes such as "GET /a"; the method ANY stands for
// any. Each route's value is its text.
func table(t testing.TB, routes ...string) *pattern.Table[string] {
	t.Helper()
	var b pattern.Builder[string]
	for _, r := range routes {
		method, text, _ := strings.Cut(r, " ")
		if err := b.Add(strings.TrimPrefix(method, "ANY"), text, r); err != nil {
			t.Fatal(err)
		}
	}
	return b.Build()
}

func TestTable(t *testing.T) {
	const (
		missing = "not found"
		wrong   = "wrong method"
	)
	for _, c := range []struct {
		routes  string
		request string
		want    string // the route and its parameters, or the outcome
	}{
		{"GET /", "GET /", "GET /"},
		{"GET /", "GET /a", missing},
		{"GET /a", "POST /a", wrong},
		{"GET /a", "POST /b", missing},
		{"GET /a,ANY /a", "GET /a", "GET /a"},
		{"ANY /a,GET /a", "GET /a", "GET /a"},
		{"GET /a,ANY /a", "PUT /a", "ANY /a"},
		{"GET /{a},POST /{b}", "POST /x", "POST /{b} b=x"},
		{"GET /{a},GET /x", "GET /x", "GET /x"},
		{"GET /{a},GET /x", "GET /y", "GET /{a} a=y"},
		{"GET /*,GET /{a},GET /{b:[0-9]+}", "GET /7", "GET /{b:[0-9]+} b=7"},
		{"GET /*,GET /{a},GET /{b:[0-9]+}", "GET /x", "GET /{a} a=x"},
		{"GET /*,GET /{a},GET /{b:[0-9]+}", "GET /x/y", "GET /* *=x/y"},
		{"GET /*,GET /{a},GET /{b:[0-9]+}", "GET /", "GET /* *="},
		{"GET /{n}.{e},GET /{n}.json,GET /{n}", "GET /a.json", "GET /{n}.json n=a"},
		{"GET /{n}.{e},GET /{n}.json,GET /{n}", "GET /a.xml", "GET /{n}.{e} n=a e=xml"},
		{"GET /{n}.{e},GET /{n}.json,GET /{n}", "GET /a", "GET /{n} n=a"},
		{"GET /{n:.*},GET /v{x}", "GET /v1", "GET /v{x} x=1"}, // as in chi: literal bytes from the left
		{"GET /{n:.*},GET /{x}v", "GET /1v", "GET /{n:.*} n=1v"},
		{"GET /a{x},GET /ab{x},GET /a*", "GET /abc", "GET /ab{x} x=c"},
		{"GET /a{x},GET /ab{x},GET /a*", "GET /ac", "GET /a{x} x=c"},
		{"GET /a{x},GET /ab{x},GET /a*", "GET /a/b", "GET /a* *=/b"},
		{"GET /{b:[a-f]+},GET /{a:[a-z]+}", "GET /ab", "GET /{b:[a-f]+} b=ab"},
		{"GET /{a:[a-z]+},GET /{b:[a-f]+}", "GET /ab", "GET /{a:[a-z]+} a=ab"},
		// A choice that fails later is taken back.
		{"GET /users/me/x,GET /users/{id}/y", "GET /users/me/y", "GET /users/{id}/y id=me"},
		{"GET /{a}/{b}/c,GET /{d}/*", "GET /1/2/3", "GET /{d}/* d=1 *=2/3"},
		{"GET /{a:.*}/x,GET /{b}/{c}", "GET /1/2", "GET /{b}/{c} b=1 c=2"},
		// So is one with another method.
		{"POST /users/me,GET /users/{id}", "GET /users/me", "GET /users/{id} id=me"},
		{"POST /users/me,GET /users/{id}", "PUT /users/me", wrong},
		{"POST /users/me,ANY /*", "GET /users/me", "ANY /* *=users/me"},
		{"GET /a/", "GET /a", missing},
		{"GET /a,GET /a/,GET /a/*", "GET /a/", "GET /a/"},
		{"GET /a", "GET a", missing},
		{"GET /a", "GET ", missing},
		{"GET /a", " /a", wrong},
		{"ANY /a", " /a", "ANY /a"},
	} {
		tab := table(t, strings.Split(c.routes, ",")...)
		method, path, _ := strings.Cut(c.request, " ")
		var params pattern.Params
		value, text, outcome := tab.Match([]byte(method), []byte(path), &params)
		got := outcome.String()
		if outcome == pattern.Found {
			if got = strings.TrimSpace(value + " " + captured(&params)); !strings.HasSuffix(value, " "+text) {
				t.Errorf("%s in %s: pattern %q of route %q", c.request, c.routes, text, value)
			}
		} else if value != "" || text != "" || params.Len() != 0 {
			t.Errorf("%s in %s: %v with %q, %q, %d parameters", c.request, c.routes, outcome, value, text, params.Len())
		}
		if got != c.want {
			t.Errorf("%s in %s: got %s, want %s", c.request, c.routes, got, c.want)
		}
	}
}

func TestManyLiterals(t *testing.T) {
	var routes []string
	for i := range 500 {
		routes = append(routes, fmt.Sprintf("GET /%d/x", i*7))
	}
	tab := table(t, routes...)
	var params pattern.Params
	for i := range 3600 {
		params.Reset()
		_, text, outcome := tab.Match([]byte("GET"), fmt.Appendf(nil, "/%d/x", i), &params)
		if known := i%7 == 0 && i < 3500; (outcome == pattern.Found) != known || known && text != fmt.Sprintf("/%d/x", i) {
			t.Fatalf("%d: got %v, %s", i, outcome, text)
		}
	}
}

func TestAllow(t *testing.T) {
	tab := table(t, "POST /a/{x}", "GET /a/b", "DELETE /a/*", "GET /a/{y:.*}", "ANY /any", "GET /any")
	for path, want := range map[string]string{
		"/a/b":   "DELETE, GET, POST",
		"/a/b/c": "DELETE",
		"/any":   "",
		"/none":  "",
		"":       "",
	} {
		if got := string(tab.AppendAllow([]byte("Allow: "), []byte(path))); got != "Allow: "+want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
		if got := strings.Join(tab.Allow([]byte(path)), ", "); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

func TestAddErrors(t *testing.T) {
	var b pattern.Builder[int]
	for i, r := range []string{"/a/{id}/x", "/{n:[0-9]+}", "/f/*"} {
		if err := b.Add("GET", r, i); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Add("", "/any/{x}", 3); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ method, pattern, earlier string }{
		{"GET", "/a/{other}/x", "/a/{id}/x"},
		{"GET", "/{m:[0-9]+}", "/{n:[0-9]+}"},
		{"GET", "/f/*", "/f/*"},
		{"", "/any/{y}", "/any/{x}"},
	} {
		err := b.Add(c.method, c.pattern, 9)
		var conflict *pattern.Conflict
		if !errors.As(err, &conflict) || conflict.Earlier != c.earlier || conflict.Pattern != c.pattern || !strings.Contains(err.Error(), c.earlier) {
			t.Errorf("%s %s: got %v, want a conflict with %s", c.method, c.pattern, err, c.earlier)
		}
	}
	for _, method := range []string{"get", "G T", "*", "1A", "GÉT", "A\x00", strings.Repeat("A", 33)} {
		if err := b.Add(method, "/new", 9); err == nil {
			t.Errorf("method %q was taken", method)
		}
	}
	if err := b.Add("GET", "/{", 9); err == nil {
		t.Error("a wrong pattern was taken")
	}
	early := b.Build()
	for _, r := range []string{"/{m}", "/a/{id}"} { // other shapes
		if err := b.Add("GET", r, 4); err != nil {
			t.Error(err)
		}
	}
	var walked []string
	b.Build().Walk(func(method, pattern string, v int) { walked = append(walked, fmt.Sprint(method, " ", pattern, " ", v)) })
	want := []string{"GET /a/{id}/x 0", "GET /{n:[0-9]+} 1", "GET /f/* 2", " /any/{x} 3", "GET /{m} 4", "GET /a/{id} 4"}
	if !reflect.DeepEqual(walked, want) {
		t.Errorf("walked %q, want %q", walked, want)
	}
	if early.Len() != 4 {
		t.Errorf("the table built before has %d routes", early.Len())
	}
}

func TestAddLimits(t *testing.T) {
	var b pattern.Builder[int]
	for i := range pattern.MaxMethods {
		if err := b.Add(fmt.Sprintf("M%d", i), "/", i); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Add("ONEMORE", "/", 0); err == nil {
		t.Error("one more method was taken")
	}
	var params pattern.Params
	if v, _, outcome := b.Build().Match([]byte("M63"), []byte("/"), &params); v != 63 || outcome != pattern.Found {
		t.Errorf("the last method: got %d, %v", v, outcome)
	}
	for i := pattern.MaxMethods; i < pattern.MaxRoutes; i++ {
		if err := b.Add("", fmt.Sprintf("/%d", i), i); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Add("", "/onemore", 0); err == nil {
		t.Error("one more route was taken")
	}
}

func TestUnreachable(t *testing.T) {
	for _, c := range []struct{ routes, want string }{
		{"GET /a/{x},GET /a/{y:.*}", "GET /a/{x} by /a/{y:.*}"},
		{"GET /a/{x},ANY /a/{y:[^/]+}", "GET /a/{x} by /a/{y:[^/]+}"},
		{"ANY /a/{x},GET /a/{y:.*}", ""},
		{"GET /a/{x},POST /a/{y:.*}", ""},
		{"GET /a/{x}/b,GET /a/{y:.*}/b", "GET /a/{x}/b by /a/{y:.*}/b"},
		{"GET /a/{x}/b,GET /a/{y:.*}/c", ""},
		{"GET /a/{x}/b,GET /a/{y:.*}/{z}", "GET /a/{x}/b by /a/{y:.*}/{z}"},
		{"GET /a/{x}/,GET /a/{y:.*}/{z}", ""},
		{"GET /a/{x}/b/c,GET /a/{y:.*}/*", "GET /a/{x}/b/c by /a/{y:.*}/*"},
		{"GET /a/{x}/*,GET /a/{y:.*}/{z}", ""},
		{"GET /a/{y:.*},GET /a/{x:[0-9]+}", "GET /a/{x:[0-9]+} by /a/{y:.*}"},
		{"GET /a/{x:[0-9]+},GET /a/{y:.*}", ""},
		{"GET /a/{y:.*},GET /a/v{x}", ""},
		{"GET /a/{y:.*},GET /a/b,GET /a/*", ""},
		{"GET /a/{y:.*},GET /a/{x}.json", "GET /a/{x}.json by /a/{y:.*}"},
		{"GET /a/{y:[a-z]+},GET /a/{x}", ""},
	} {
		var got []string
		for _, s := range table(t, strings.Split(c.routes, ",")...).Unreachable() {
			got = append(got, s.Method+" "+s.Pattern+" by "+s.By)
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%s: got %q, want %q", c.routes, s, c.want)
		}
	}
}
