package pattern_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua/pattern"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

// A tree in which every segment can be taken in two ways: a router that tried
// all combinations for each route would need 2^depth attempts per route.
func TestBacktracking(t *testing.T) {
	const depth = 11
	var b pattern.Builder[int]
	for i := range 1 << depth {
		var text strings.Builder
		for bit := range depth {
			if i>>bit&1 == 0 {
				text.WriteString("/a")
			} else {
				fmt.Fprintf(&text, "/{p%d}", bit)
			}
		}
		if err := b.Add("GET", text.String()+"/end", i); err != nil {
			t.Fatal(err)
		}
	}
	tab := b.Build()
	nodes := 1<<(depth+1) + 1<<depth
	for _, tail := range []string{"/no", "", "/", "/end/x"} {
		path := []byte(strings.Repeat("/a", depth) + tail)
		var params pattern.Params
		_, _, outcome := tab.Match([]byte("GET"), path, &params)
		if outcome != pattern.NotFound {
			t.Errorf("%s: got %v", path, outcome)
		}
		if params.Steps() > 2*nodes { // one a node, one a segment with a parameter
			t.Errorf("%s: %d steps in a tree of %d nodes", path, params.Steps(), nodes)
		}
	}
	var params pattern.Params
	if _, _, outcome := tab.Match([]byte("PUT"), []byte(strings.Repeat("/a", depth)+"/end"), &params); outcome != pattern.WrongMethod || params.Steps() > 2*nodes {
		t.Errorf("another method: %v after %d steps", outcome, params.Steps())
	}
}

// Regexps and searches that cost more than a match may cost end it, and never
// with NotFound: that would let a request pass by.
func TestExhausted(t *testing.T) {
	long := []byte("/" + strings.Repeat("a", 16<<10))
	const slow = "/{x:(.*a){100}b}"
	var params pattern.Params
	p := mustParse(t, slow)
	if outcome := p.Match(long, &params); outcome != pattern.Exhausted || params.Len() != 0 {
		t.Errorf("a slow regexp: %v", outcome)
	}
	if n, outcome := p.MatchPrefix(long, &params); n != 0 || outcome != pattern.Exhausted {
		t.Errorf("once more: %d, %v", n, outcome)
	}
	if outcome := mustParse(t, "/").Match([]byte("/x"), &params); outcome != pattern.Exhausted {
		t.Errorf("another pattern before Reset: %v", outcome)
	}
	params.Reset()
	if outcome := mustParse(t, "/").Match([]byte("/"), &params); outcome != pattern.Found {
		t.Errorf("after Reset: %v", outcome)
	}
	tab := table(t, "GET "+slow, "GET /*")
	if value, text, outcome := tab.Match([]byte("GET"), long, &params); outcome != pattern.Exhausted || value != "" || text != "" {
		t.Errorf("in a table: %v, %q, %q", outcome, value, text)
	}
	tab.Allow(long) // ends too

	var b pattern.Builder[int]
	for i := range 9000 {
		if err := b.Add("GET", fmt.Sprintf("/{a}aab%d{b}", i), i); err != nil {
			t.Fatal(err)
		}
	}
	params.Reset()
	if _, _, outcome := b.Build().Match([]byte("GET"), long, &params); outcome != pattern.Exhausted {
		t.Errorf("9,000 searches: %v after %d steps", outcome, params.Steps())
	}
	if params.Steps() > pattern.MaxSteps+pattern.MaxRegexpSize*len(long) {
		t.Errorf("%d steps, far past %d", params.Steps(), pattern.MaxSteps)
	}
}

// What scripts declare in earnest stays far from the limit, on the longest
// paths too.
func TestEarnestRegexps(t *testing.T) {
	const uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
	tab := table(t, "GET /u/{id:"+uuid+"}", "GET /u/{d:[0-9]{4}-[0-9]{2}-[0-9]{2}}", "GET /u/{slug:[a-z0-9-]+}")
	for path, want := range map[string]string{
		"/u/01234567-89ab-cdef-0123-456789abcdef": "id=01234567-89ab-cdef-0123-456789abcdef",
		"/u/2026-11-23":                     "d=2026-11-23",
		"/u/" + strings.Repeat("a", 16<<10): "slug=" + strings.Repeat("a", 16<<10),
	} {
		var params pattern.Params
		if _, _, outcome := tab.Match([]byte("GET"), []byte(path), &params); outcome != pattern.Found || captured(&params) != want {
			t.Errorf("%.60s: %v, %.60s", path, outcome, captured(&params))
		}
	}
}

// ten is a table as a script has it, and a request that captures a parameter.
func ten(t testing.TB) (tab *pattern.Table[string], method, path []byte) {
	t.Helper()
	return table(t, "GET /", "GET /health", "GET /users", "POST /users", "GET /users/{id}", "PUT /users/{id}",
		"GET /users/{id}/posts/{post:[0-9]+}", "GET /{name}.json", "GET /files/*", "ANY /rpc"), []byte("GET"), []byte("/users/4711")
}

func TestAllocations(t *testing.T) {
	tab, get, _ := ten(t)
	var params pattern.Params
	dst := make([]byte, 0, 64)
	scope := mustParse(t, "/users/{id}")
	slow := mustParse(t, "/{d:[0-9]{4}-[0-9]{2}}")
	path := func(s string) []byte { return []byte(s) }
	user, post, file, none := path("/users/4711"), path("/users/4711/posts/12"), path("/files/a/b/c"), path("/a/b/c")
	dotted, month, patch := path("/a.b.json"), path("/2026-11"), path("PATCH")
	for name, f := range map[string]func(){
		"parameter":    func() { tab.Match(get, user, &params) },
		"several":      func() { tab.Match(get, post, &params) },
		"within":       func() { tab.Match(get, dotted, &params) },
		"rest":         func() { tab.Match(get, file, &params) },
		"none":         func() { tab.Match(get, none, &params) },
		"wrong method": func() { tab.Match(patch, user, &params) },
		"get":          func() { tab.Match(get, user, &params); params.Get("id"); params.At(0) },
		"scope":        func() { scope.MatchPrefix(post, &params) },
		"regexp":       func() { slow.Match(month, &params) },
		"allow":        func() { tab.AppendAllow(dst, user) },
	} {
		if n := measure.Allocations(200, func() { params.Reset(); f() }); n != 0 {
			t.Errorf("%s: %d allocations in 200 runs", name, n)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	tab, method, path := ten(b)
	var params pattern.Params
	b.ReportAllocs()
	for b.Loop() {
		params.Reset()
		if _, _, outcome := tab.Match(method, path, &params); outcome != pattern.Found {
			b.Fatal(outcome)
		}
	}
}

// The worst that a hostile table can do to one request: what MaxSteps is for.
func BenchmarkExhausted(b *testing.B) {
	for name, text := range map[string]string{
		"backtracker": "/{x:(.*a){20}b}",
		"machine":     "/{x:(.*a){100}b}",
		"set":         "/{x:a*}",
		"search":      "/{x}aab{y}",
	} {
		b.Run(name, func(b *testing.B) {
			p := mustParse(b, text)
			path := []byte("/" + strings.Repeat("a", 2<<10))
			var params pattern.Params
			steps := 0
			for b.Loop() {
				params.Reset()
				p.Match(path, &params)
				steps += params.Steps()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(steps), "ns/step")
		})
	}
}

// The most expensive pattern that Parse takes.
func BenchmarkParse(b *testing.B) {
	var text strings.Builder
	for i := range pattern.MaxParams {
		fmt.Fprintf(&text, "/{p%d:%s.{130}x%d}", i, strings.Repeat(`[^\pL\d]`, 4), i)
	}
	for b.Loop() {
		mustParse(b, text.String())
	}
}
