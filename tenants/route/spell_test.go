package route_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

func TestSpell(t *testing.T) {
	slashes, escapes := route.Spelling{KeepSlashes: true}, route.Spelling{KeepEscapes: true}
	both := route.Spelling{KeepSlashes: true, KeepEscapes: true}
	for _, c := range []struct {
		target string
		keep   route.Spelling
		want   string
	}{
		{"/c/%3fx?q=%3f", route.Spelling{}, "/c/%3fx"},
		{"/c/%3Fx%e2%82%AC%2f%5c%3b", route.Spelling{}, "/c/%3Fx%e2%82%AC%2f%5c%3b"},
		{"/%7euser/%41%2D%2e", route.Spelling{}, "/~user/A-."},
		{"/%7euser/%41%2D%2ea", escapes, "/%7euser/%41%2D%2ea"},
		{"/p/https://h/a//b", route.Spelling{}, "/p/https:/h/a/b"},
		{"/p/https://h/a//b", slashes, "/p/https://h/a//b"},
		{"/p/%68ttps://h%2fa//", both, "/p/%68ttps://h%2fa//"},
		{"//host/a//b", slashes, "/host/a//b"},
		{"///", slashes, "/"},
		{"/a///", slashes, "/a///"},
		{"/a/./b/../c", both, "/a/c"},
		{"/a/%2e/b/.%2E/c", both, "/a/c"},
		{"/a/b/..//c", slashes, "/a//c"},
		{"/a//./c", slashes, "/a//c"},
		{"/a//../c", slashes, ""},
		{"/a//b/../../c", slashes, ""},
		{"/a//../c", escapes, "/c"},
		{"/a|b[c]\"", both, "/a%7Cb%5Bc%5D%22"},
		{"/a/...//%2e%2e%2e", both, "/a/...//%2e%2e%2e"},
		{"/a/..", both, "/"},
		{"/a/.", slashes, "/a/"},
	} {
		path, err := route.Spell(nil, []byte(c.target), c.keep)
		if (err != nil) != (c.want == "") || string(path) != c.want || err != nil && err != error(route.RefusedEmpty) {
			t.Errorf("%s, keeping %+v: %q, %v; want %q", c.target, c.keep, path, err, c.want)
		}
		checkSpelled(t, []byte(c.target))
	}
}

func FuzzSpell(f *testing.F) {
	for _, s := range []string{"/a//../b", "/%2e%2e%2fadmin", "/a%2f%2fb;c%3b/.d;//", "//%41[]%25%32%46", "/a/%2e//.%2E/b?c"} {
		f.Add([]byte(s))
	}
	f.Fuzz(checkSpelled)
}

func TestSpellCombined(t *testing.T) {
	tokens := []string{"/", ".", "..", ";", "a", "%2f", "%5C", "%3b", "%2E", "%25", "%61", "|"}
	combine(nil, 4, tokens, func(target []byte) { checkSpelled(t, target) })
}

// checkSpelled checks that whatever is kept of a spelling, the path that is
// sent is the one that was judged, also without a prefix, and to those who
// decode it or merge its slashes.
func checkSpelled(t *testing.T, target []byte) {
	judged, _, _, err := route.Canonical(nil, target)
	if err != nil {
		return
	}
	for _, keep := range []route.Spelling{{}, {KeepSlashes: true}, {KeepEscapes: true}, {KeepSlashes: true, KeepEscapes: true}} {
		path, err := route.Spell(nil, target, keep)
		if err == error(route.RefusedEmpty) && keep.KeepSlashes {
			continue
		}
		if err != nil {
			t.Fatalf("%q, keeping %+v: %v", target, keep, err)
		}
		if again, _, _, err := route.Canonical(nil, path); err != nil || !bytes.Equal(again, judged) {
			t.Fatalf("%q, keeping %+v, is sent as %q, which is %q, %v, and not %q", target, keep, path, again, err, judged)
		}
		if again, err := route.Spell(nil, path, keep); err != nil || !bytes.Equal(again, path) {
			t.Fatalf("%q, keeping %+v, is sent as %q and then as %q, %v", target, keep, path, again, err)
		}
		if !keep.KeepSlashes && bytes.Contains(path, []byte("//")) || bytes.HasPrefix(path, []byte("//")) ||
			!keep.KeepSlashes && !keep.KeepEscapes && len(path) != len(judged) {
			t.Fatalf("%q, keeping %+v, is sent as %q", target, keep, path)
		}
		for segment := range strings.SplitSeq(string(path), "/") {
			if plain := strings.NewReplacer("%2e", ".", "%2E", ".").Replace(segment); plain == "." || plain == ".." {
				t.Fatalf("%q, keeping %+v, is sent as %q, with a dot segment", target, keep, path)
			}
		}
		key := string(route.Key(nil, judged))
		first, _, _ := strings.Cut(strings.TrimPrefix(key, "/"), "/")
		prefix, err := route.CanonicalPrefix("/" + first)
		if err != nil || prefix == "" {
			continue
		}
		rest, err := route.Strip(path, prefix)
		want, wantErr := route.Strip(judged, prefix)
		if err != wantErr {
			t.Fatalf("%q, keeping %+v, without %q: %v, expected %v", target, keep, prefix, err, wantErr)
		}
		if again, _, _, err := route.Canonical(nil, rest); wantErr == nil && (err != nil || !bytes.Equal(again, want) || bytes.HasPrefix(rest, []byte("//"))) {
			t.Fatalf("%q, keeping %+v, without %q is %q, which is %q, %v, and not %q", target, keep, prefix, rest, again, err, want)
		}
	}
}
