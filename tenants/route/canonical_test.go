package route_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

// TestCanonicalDocs executes the table of spellings in docs/paths.md.
func TestCanonicalDocs(t *testing.T) {
	doc, err := os.ReadFile("../../docs/paths.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(doc)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		rows++
		target, want, key := cell(cells[1]), cell(cells[2]), cell(cells[3])
		path, _, _, err := route.Canonical(nil, []byte(target))
		if want == "400" {
			if err == nil {
				t.Errorf("%s became %s, expected a refusal", target, path)
			}
			continue
		}
		if err != nil || string(path) != want {
			t.Errorf("%s became %s, %v, expected %s", target, path, err, want)
			continue
		}
		if key == "" {
			key = want
		}
		if got := route.Key(nil, path); string(got) != key {
			t.Errorf("%s is compared as %s, expected %s", target, got, key)
		}
	}
	if rows < 60 {
		t.Errorf("only %d spellings in docs/paths.md, expected at least 60", rows)
	}
}

func cell(s string) string { return strings.Trim(strings.TrimSpace(s), "`") }

// TestCanonical holds what the docs don't spell out.
func TestCanonical(t *testing.T) {
	for _, c := range []struct {
		target, path, query string
		changed             bool
	}{
		{"/", "/", "", false},
		{"/?", "/", "?", false},
		{"/a?b?c=%zz&d=%2e/..", "/a", "?b?c=%zz&d=%2e/..", false},
		{"//", "/", "", true},
		{"///", "/", "", true},
		{"/.", "/", "", true},
		{"/a/..", "/", "", true},
		{"/a/../", "/", "", true},
		{"/a/b/../../c", "/c", "", true},
		{"/a//b///c//", "/a/b/c/", "", true},
		{"/a/.b/..c/d./e..", "/a/.b/..c/d./e..", "", false},
		{"/%2E%2Ea", "/..a", "", true},
		{"/%7euser/%2D%5f%41%5a%30", "/~user/-_AZ0", "", true},
		{"/%7Euser?%7E", "/~user", "?%7E", true},
		{"/%2F", "/%2F", "", false},
		{"/%2f", "/%2F", "", true},
		{"/a%2F%2Fb", "/a%2F%2Fb", "", false},
		{"/a%2F.b%5C..c", "/a%2F.b%5C..c", "", false},
		{"/a;b;c/d;", "/a;b;c/d;", "", false},
		{"/a;../b", "/a;../b", "", false},
		{"/a;b/../c", "/c", "", true},
		{"/a%2Fb/../c", "/c", "", true},
		{"/!$&'()*+,;=:@-._~", "/!$&'()*+,;=:@-._~", "", false},
		{"/%21%24%26%27%28%29%2A%2B%2C%3D%3A%40", "/%21%24%26%27%28%29%2A%2B%2C%3D%3A%40", "", false},
		{"/\"<>[]^`{|}", "/%22%3C%3E%5B%5D%5E%60%7B%7C%7D", "", true},
		{"/%5b%7c%5d", "/%5B%7C%5D", "", true},
		{"/%3f%23%25", "/%3F%23%25", "", true},
		{"/%C3%80", "/%C3%80", "", false},
		{"/%E0", "/%E0", "", false},
		{"/%E0%A0%80/%F0%90%80%80", "/%E0%A0%80/%F0%90%80%80", "", false},
		{"/%FC%84", "/%FC%84", "", false},
		{"/%FF%FE", "/%FF%FE", "", false},
		{"/http://example.com/", "/http:/example.com/", "", true},
	} {
		path, query, changed, err := route.Canonical(nil, []byte(c.target))
		if err != nil || string(path) != c.path || string(query) != c.query || changed != c.changed {
			t.Errorf("%q became %q, %q, %v, %v, expected %q, %q, %v", c.target, path, query, changed, err, c.path, c.query, c.changed)
		}
	}
}

func TestCanonicalRefuses(t *testing.T) {
	for _, c := range []struct {
		target string
		want   route.Refusal
	}{
		{"", route.RefusedForm},
		{"*", route.RefusedForm},
		{"?a", route.RefusedForm},
		{"%2Fadmin", route.RefusedForm},
		{"http://example.com/", route.RefusedForm},
		{"/a b", route.RefusedByte},
		{"/a\tb", route.RefusedByte},
		{"/a\x00", route.RefusedByte},
		{"/a\r\nX: y", route.RefusedByte},
		{"/\x7f", route.RefusedByte},
		{"/caf\xc3\xa9", route.RefusedByte},
		{"/?a b", route.RefusedByte},
		{"/?a\nb", route.RefusedByte},
		{"/?\x00", route.RefusedByte},
		{"/?caf\xc3\xa9", route.RefusedByte},
		{"/#", route.RefusedFragment},
		{"/?#", route.RefusedFragment},
		{"/..\\x", route.RefusedBackslash},
		{"\\", route.RefusedForm},
		{"/%", route.RefusedEscape},
		{"/%2?f", route.RefusedEscape},
		{"/%2/f", route.RefusedEscape},
		{"/%2%46", route.RefusedEscape},
		{"/%u002e", route.RefusedEscape},
		{"/%g0", route.RefusedEscape},
		{"/%1f", route.RefusedControl},
		{"/%0d%0a", route.RefusedControl},
		{"/.%00./x", route.RefusedControl},
		{"/%c0%af", route.RefusedOverlong},
		{"/%C1%9c", route.RefusedOverlong},
		{"/%c0%2f", route.RefusedOverlong},
		{"/%E0%80%AF", route.RefusedOverlong},
		{"/%F0%80%80%AE", route.RefusedOverlong},
		{"/%F8%80%80%80%AE", route.RefusedOverlong},
		{"/%FC%80%80%80%80%AE", route.RefusedOverlong},
		{"/../", route.RefusedClimb},
		{"//..", route.RefusedClimb},
		{"/./..", route.RefusedClimb},
		{"/a/../..", route.RefusedClimb},
		{"/a/b/../../../c", route.RefusedClimb},
		{"/..;", route.RefusedDots},
		{"/.;", route.RefusedDots},
		{"/a/%2e.;x=1/b", route.RefusedDots},
		{"/a/..%3B", route.RefusedDots},
		{"/..%2F", route.RefusedDots},
		{"/%2F..", route.RefusedDots},
		{"/a%2F.", route.RefusedDots},
		{"/a%5C..%5Cb", route.RefusedDots},
		{"/a%2F..;x", route.RefusedDots},
		{"/a/b%2f%2e%2e/../c", route.RefusedDots},
		{"/a;x%2Fb", route.RefusedParameter},
		{"/a%3B%5Cb", route.RefusedParameter},
		{"/;%2F..", route.RefusedParameter},
	} {
		path, query, changed, err := route.Canonical(nil, []byte(c.target))
		if !errors.Is(err, c.want) || path != nil || query != nil || changed {
			t.Errorf("%q became %q, %q, %v, expected the refusal %q", c.target, path, err, changed, c.want)
		}
	}
}

func TestCanonicalMemory(t *testing.T) {
	target := []byte("/a/b?c")
	path, query, _, err := route.Canonical(nil, target)
	if err != nil || &path[0] != &target[0] || &query[0] != &target[4] {
		t.Error("a canonical target is copied, expected parts of it")
	}
	dst := append(make([]byte, 0, 64), "left over"...)
	path, _, changed, err := route.Canonical(dst, []byte("/a/%2e/b"))
	if err != nil || !changed || string(path) != "/a/b" || &path[0] != &dst[0] {
		t.Errorf("got %q, %v, expected /a/b in dst", path, err)
	}
}

// FuzzCanonical checks that the canonical form is a path of RFC 3986, stable,
// and judged the same however an upstream reads it.
func FuzzCanonical(f *testing.F) {
	for _, s := range []string{
		"/a/../b", "/%2e%2e%2fadmin", "/a%2f%2Fb;c%3b/.d;/", "/..;/x?y", "/;a/%5c..x", "//%41[]%25%32%46", "/%e0%80%ae", "/a;%2f..",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(checkCanonical)
}

// TestCanonicalCombined runs the same checks on every short sequence of what
// is special in a path, which fuzzing finds slowly.
func TestCanonicalCombined(t *testing.T) {
	tokens := []string{"/", ".", "..", ";", "a", "%2f", "%5C", "%3b", "%2E", "%25"}
	combine(nil, 4, tokens, func(target []byte) { checkCanonical(t, target) })
}

// combine calls use with a slash and every sequence of up to depth tokens.
func combine(prefix []byte, depth int, tokens []string, use func([]byte)) {
	use(append([]byte{'/'}, prefix...))
	if depth == 0 {
		return
	}
	for _, token := range tokens {
		combine(append(prefix[:len(prefix):len(prefix)], token...), depth-1, tokens, use)
	}
}

func checkCanonical(t *testing.T, target []byte) {
	path, query, changed, err := route.Canonical(nil, target)
	if err != nil {
		return
	}
	if !bytes.HasPrefix(path, []byte("/")) || bytes.Contains(path, []byte("//")) ||
		bytes.ContainsAny(path, "\\?# \"<>[]^`{|}") || bytes.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r > '~' }) {
		t.Fatalf("%q became %q, which is no canonical path", target, path)
	}
	whole := append(append([]byte{}, path...), query...)
	if changed == bytes.Equal(whole, target) {
		t.Fatalf("%q became %q with changed = %v", target, whole, changed)
	}
	again, rest, changed, err := route.Canonical(nil, whole)
	if err != nil || changed || !bytes.Equal(again, path) || !bytes.Equal(rest, query) {
		t.Fatalf("%q became %q and then %q %q, %v", target, whole, again, rest, err)
	}
	key := string(route.Key(nil, path))
	if again := route.Key(nil, []byte(key)); string(again) != key {
		t.Fatalf("the key of %q is %q, and the key of that %q", path, key, again)
	}
	for _, read := range readings(string(path)) {
		for segment := range strings.SplitSeq(read, "/") {
			if segment == "." || segment == ".." {
				t.Fatalf("%q became %q, which an upstream may read as %q", target, path, read)
			}
		}
		if got := route.Key(nil, []byte(collapse(read))); string(got) != key {
			t.Fatalf("%q is compared as %q, but an upstream may read %q, compared as %q", path, key, read, got)
		}
	}
}

// readings returns what upstreams and proxies before them may make of a
// canonical path by any sequence of the usual steps.
func readings(path string) []string {
	slashes := strings.NewReplacer("%2F", "/", "%5C", "/")
	semicolons := strings.NewReplacer("%3B", ";")
	steps := []func(string) string{
		slashes.Replace,
		semicolons.Replace,
		cutParameters,
		collapse,
	}
	seen := map[string]bool{path: true}
	all := []string{path}
	for done := 0; done < len(all); done++ {
		for _, step := range steps {
			if s := step(all[done]); !seen[s] {
				seen[s] = true
				all = append(all, s)
			}
		}
	}
	return all
}

func cutParameters(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i], _, _ = strings.Cut(s, ";")
	}
	return strings.Join(segments, "/")
}

func collapse(path string) string {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return path
}
