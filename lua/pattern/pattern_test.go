package pattern_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua/pattern"
)

// captured renders what params hold, as "a=1 b=2".
func captured(params *pattern.Params) string {
	var list []string
	for i := range params.Len() {
		name, value := params.At(i)
		list = append(list, name+"="+string(value))
	}
	return strings.Join(list, " ")
}

func mustParse(t testing.TB, text string) *pattern.Pattern {
	t.Helper()
	p, err := pattern.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMatch(t *testing.T) {
	const no = "-"
	for _, c := range []struct{ pattern, path, want string }{
		{"/", "/", ""},
		{"/", "", no},
		{"/", "/a", no},
		{"/a", "/a", ""},
		{"/a", "/a/", no},
		{"/a/", "/a/", ""},
		{"/a/", "/a", no},
		{"/a", "a", no},
		{"/*", "*", no},
		{"/users/{id}", "/users/7", "id=7"},
		{"/users/{id}", "/users/", no},
		{"/users/{id}", "/users/7/", no},
		{"/users/{id}/", "/users/7/", "id=7"},
		{"/users/{id}/posts/{post}", "/users/7/posts/x.y", "id=7 post=x.y"},
		{"/users/{id:[0-9]+}", "/users/17", "id=17"},
		{"/users/{id:[0-9]+}", "/users/17a", no},
		{"/users/{id:^[0-9]+$}", "/users/17", "id=17"},
		{"/{a:x|y}", "/y", "a=y"},
		{"/{a:x|y}", "/xb", no},
		{"/{a:.*}", "/", no},
		{"/{a:.*}", "/x/y", no},
		{"/{a:[^/]+}", "/%C3%A9", "a=%C3%A9"},
		{"/{a:[a-f]{2}}", "/ab", "a=ab"},
		{"/{a:[a-f]{2}}", "/abc", no},
		{`/{a:x\{y?}`, "/x%7B", no},
		{"/{a:(?i)k+}", "/kK", "a=kK"},
		{"/{a:(x[0-9]){2,9}}", "/x1x2x3x4x5x6x7x8x9", "a=x1x2x3x4x5x6x7x8x9"},
		{"/{a:[ab]x[ab]x[ab]x}", "/axbxax", "a=axbxax"},
		{"/{c:[a-é]+}", "/\xC3\xA9", "c=\xC3\xA9"},
		{"/{c:[a-é]+}", "/\xC3\xC3", no}, // not UTF-8
		{`/{c:[\x{100}-\x{10FFFF}]+}`, "/\xC4\x80", "c=\xC4\x80"},
		{"/{a:^x}", "/x", "a=x"},
		{"/files/*", "/files/", "*="},
		{"/files/*", "/files", no},
		{"/files/*", "/files/a/b", "*=a/b"},
		{"/pre*", "/prefix/x/", "*=fix/x/"},
		{"/pre*", "/pr", no},
		{"/{a}-*", "/x-y-z/w", "a=x *=y-z/w"},
		{"/{a}-*", "/x/y-z", no},
		{"/{month}-{day}-{year}", "/1-2-3-4", "month=1 day=2 year=3-4"},
		{"/{name}.json", "/a.b.json", "name=a.b"},
		{"/{name}.json", "/.json", no},
		{"/{name}.json", "/.json.json", "name=.json"},
		{"/v{n:[0-9]+}", "/v12", "n=12"},
		{"/v{n:[0-9]+}", "/v", no},
		{"/{a}--{b}", "/x-y--z", "a=x-y b=z"},
		{"/{a}-{b}", "/--x", "a=- b=x"},
		{"/{a}.{b}.json", "/x.y.z.json", "a=x b=y.z"},
		{"/{a:[a-z]+}-{b}", "/x-y-z", "a=x b=y-z"},
		{"/{a}aab{b}", "/xaaabx", "a=xa b=x"},
		{"/{a}ab{b}", "/xaa", no},
	} {
		var params pattern.Params
		outcome := mustParse(t, c.pattern).Match([]byte(c.path), &params)
		got := no
		if outcome == pattern.Found {
			got = captured(&params)
		} else if outcome != pattern.NotFound || params.Len() != 0 {
			t.Errorf("%s on %s: %v, %d parameters", c.pattern, c.path, outcome, params.Len())
		}
		if got != c.want {
			t.Errorf("%s on %s: got %q, want %q", c.pattern, c.path, got, c.want)
		}
	}
}

func TestMatchPrefix(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		n             int // -1: no match
		want          string
	}{
		{"/", "/", 0, ""},
		{"/", "/a/b", 0, ""},
		{"/", "*", -1, ""},
		{"/", "", -1, ""},
		{"/v1", "/v1", 3, ""},
		{"/v1", "/v1/", 3, ""},
		{"/v1", "/v1/a", 3, ""},
		{"/v1", "/v10", -1, ""},
		{"/v1", "/", -1, ""},
		{"/v1/", "/v1", -1, ""},
		{"/v1/", "/v1/", 3, ""},
		{"/v1/", "/v1/a", 3, ""},
		{"/users/{id}", "/users/7/posts", 8, "id=7"},
		{"/users/{id}", "/users/7", 8, "id=7"},
		{"/users/{id}", "/users/", -1, ""},
		{"/{a}.x", "/b.x/c", 4, "a=b"},
		{"/api/*", "/api/x/y", 8, "*=x/y"},
		{"/api/*", "/api", -1, ""},
	} {
		var params pattern.Params
		n, outcome := mustParse(t, c.pattern).MatchPrefix([]byte(c.path), &params)
		if outcome == pattern.NotFound {
			if n != 0 || params.Len() != 0 {
				t.Errorf("%s on %s: n %d and %d parameters of no match", c.pattern, c.path, n, params.Len())
			}
			n = -1
		}
		if n != c.n || captured(&params) != c.want {
			t.Errorf("%s on %s: got %d %q, want %d %q", c.pattern, c.path, n, captured(&params), c.n, c.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	deep := strings.Repeat("/a", pattern.MaxSegments)
	var many strings.Builder
	for i := range pattern.MaxParams {
		fmt.Fprintf(&many, "/{p%d}", i)
	}
	for _, good := range []string{deep, many.String(), "/a/$-_.~!&'(),:@+=b", "/%C3%A9", "/%7B%22%5B%3C%20%25%3F%23", "/{a-b.C_9}"} {
		mustParse(t, good)
	}
	for _, c := range []struct {
		pattern string
		offset  int
		problem string
	}{
		{"", 0, `begins with "/"`},
		{"users", 0, `expected "/"`},
		{"/a//b", 3, "empty segment"},
		{"//", 1, "empty segment"},
		{"/a/../b", 3, "dot segment"},
		{"/a/{id", 3, "never closed"},
		{"/a/id}", 5, "closes nothing"},
		{"/{}", 2, "no name"},
		{"/{:x}", 2, "no name"},
		{"/{a b}", 3, "expected letters"},
		{"/{*}", 2, "expected letters"},
		{"/{" + strings.Repeat("n", 65) + "}", 2, "65 bytes"},
		{"/{a}/{a}", 6, "twice"},
		{"/{a}{b}", 4, "literal between"},
		{"/{a}*", 4, "literal between"},
		{"/*/a", 1, `"*" stands before the end`},
		{"/a*b", 2, `"*" stands before the end`},
		{"/**", 1, `"*" stands before the end`},
		{"/{a:}", 4, "regexp is empty"},
		{"/{a:[}", 4, "not valid RE2"},
		{"/{a:x)|(y}", 4, "not valid RE2"},
		{`/{a:\Qx}`, 4, "not valid RE2"},
		{`/{a:(?=x)}`, 4, "not valid RE2"},
		{"/{a:" + strings.Repeat("x", pattern.MaxRegexp+1) + "}", 4, "1025 bytes"},
		{"/{a:.{600}}", 4, "instructions"},
		{"/{a:(.{20}){30}}", 4, "instructions"},
		{"/{a:" + strings.Repeat(`\pL`, 300) + "}", 4, "instructions"},
		{"/a b", 2, "%20"},
		{"/a\x00b", 2, "%00"},
		{"/é", 1, "%C3"},
		{"/a?b", 2, "query"},
		{"/a#b", 2, "fragment"},
		{"/a\\b", 2, "expected one"},
		{"/a%2Fb", 2, "expected one"},
		{"/a%5Cb", 2, "expected one"},
		{"/a;v=1", 2, "semicolon"},
		{"/a%3Bv", 2, "semicolon"},
		{"/%40a", 1, "character itself: @"},
		{"/a%2Bb", 2, "character itself: +"},
		{"/a%2Ab", 2, "{star:[*]}"},
		{"/%c3", 1, "upper-case"},
		{"/%4", 1, "upper-case"},
		{"/%61", 1, "character itself: a"},
		{"/%00", 1, "control"},
		{deep + "/a", 2 * pattern.MaxSegments, "64 segments"},
		{many.String() + "/*", many.Len() + 1, "16 parameters"},
		{"/" + strings.Repeat("a", pattern.MaxLength), pattern.MaxLength, "expected at most 4096"},
	} {
		_, err := pattern.Parse(c.pattern)
		var syntax *pattern.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%.50q: no syntax error: %v", c.pattern, err)
			continue
		}
		if syntax.Offset != c.offset || !strings.Contains(err.Error(), c.problem) || syntax.Pattern != c.pattern {
			t.Errorf("%.50q: offset %d, want %d; %v, want %s", c.pattern, syntax.Offset, c.offset, err, c.problem)
		}
		if len(err.Error()) > 1000 {
			t.Errorf("%.50q: an error of %d bytes", c.pattern, len(err.Error()))
		}
	}
}

func TestJoin(t *testing.T) {
	for _, c := range []struct {
		prefix, pattern string
		want            []string
	}{
		{"", "/", []string{"/"}},
		{"/", "/", []string{"/"}},
		{"/", "/a", []string{"/a"}},
		{"", "/*", []string{"/*"}},
		{"/v1", "/a", []string{"/v1/a"}},
		{"/v1", "/", []string{"/v1", "/v1/"}},
		{"/v1", "/*", []string{"/v1/*", "/v1"}},
		{"/v1/", "/", []string{"/v1/"}},
		{"/v1/", "/*", []string{"/v1/*"}},
		{"/v1/", "/a/", []string{"/v1/a/"}},
		{"/v1", "a", []string{"a"}}, // an error of Parse
		{"/v1", "", []string{""}},
	} {
		if got := pattern.Join(c.prefix, c.pattern); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q in %q: got %q, want %q", c.pattern, c.prefix, got, c.want)
		}
	}
}

func TestParams(t *testing.T) {
	p := mustParse(t, "/{a}/{b}/*")
	if p.String() != "/{a}/{b}/*" || strings.Join(p.Names(), " ") != "a b *" {
		t.Errorf("got %s with %q", p, p.Names())
	}
	var params pattern.Params
	path := []byte("/1/2/3/4")
	p.Match(path, &params)
	value, ok := params.Get("b")
	if !ok || string(value) != "2" || &value[0] != &path[3] {
		t.Errorf("b: got %q %v, want a view of the path", value, ok)
	}
	if _ = append(value, 'x'); string(path) != "/1/2/3/4" {
		t.Errorf("appending to a value changed the path: %s", path)
	}
	if value, ok := params.Get("*"); !ok || string(value) != "3/4" {
		t.Errorf("*: got %q %v", value, ok)
	}
	if _, ok := params.Get("c"); ok {
		t.Error("c: got one")
	}
	if params.Steps() == 0 {
		t.Error("no steps counted")
	}
	params.Reset()
	if _, ok := params.Get("a"); ok || params.Len() != 0 || params.Steps() != 0 {
		t.Error("Reset left something behind")
	}
}
