package route_test

import (
	"bytes"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

// TestSpelled: the part of a path that a part of its key was made of.
func TestSpelled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ path, part, want string }{
		{"/a/b", "b", "b"},
		{"/old/a%2Fb", "a/b", "a%2Fb"},
		{"/old;x/a;y/b;z", "a/b", "a;y/b"},
		{"/%2Fold/%40me", "@me", "%40me"},
		{"/old/%5C%5Cevil", "evil", "evil"},
		{"/old/a%3Bb", "a", "a"},
		{"/old/a%20b", "a%20b", "a%20b"},
	} {
		key := route.Key(make([]byte, 0, len(c.path)), []byte(c.path))
		begin := bytes.LastIndex(key, []byte(c.part))
		if got := route.Spelled([]byte(c.path), begin, begin+len(c.part)); string(got) != c.want {
			t.Errorf("%q in %q: got %q, want %q", c.part, c.path, got, c.want)
		}
	}
}

// FuzzSpelled: each part of a key is made of what Spelled says.
func FuzzSpelled(f *testing.F) {
	f.Add("/a;x/%2Fb//%40c%20", uint8(1), uint8(3))
	f.Fuzz(func(t *testing.T, target string, from, length uint8) {
		path, _, _, err := route.Canonical(nil, []byte(target))
		if err != nil {
			return
		}
		key := route.Key(make([]byte, 0, len(path)), path)
		begin := min(int(from), len(key))
		end := min(begin+int(length), len(key))
		if begin > 0 && begin < len(key) && key[begin] == '/' { // a part begins within a segment
			return
		}
		part := bytes.Clone(route.Spelled(path, begin, end))
		if got := route.Key(make([]byte, 0, len(part)), part); !bytes.Equal(got, key[begin:end]) {
			t.Errorf("%q: of key[%d:%d] of %q comes %q, with the key %q", path, begin, end, key, part, got)
		}
	})
}
