package cookie_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/cookie"
)

func TestIn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ field, name, want string }{
		{"a=1; b=2", "a", "1"},
		{"a=1; b=2", "b", "2"},
		{"a=1;b=2;a=3", "a", "1"},
		{`a="1 2"; b="`, "a", "1 2"},
		{`a="1 2"; b="`, "b", `"`},
		{"a=b=c", "a", "b=c"},
		{"ab=1; A=2; a", "a", "none"},
		{" ;; a=; ", "a", ""},
		{"", "a", "none"},
	} {
		got, ok := cookie.In([]byte(c.field), c.name)
		if ok != (c.want != "none") || ok && string(got) != c.want {
			t.Errorf("%q in %q: got %q %v, want %q", c.name, c.field, got, ok, c.want)
		}
	}
	var h message.Header
	h.Add([]byte("Cookie"), []byte("a=dropped"))
	h[0].Dropped = true
	h.Add([]byte("X-Cookie"), []byte("a=other"))
	h.Add([]byte("cookie"), []byte("b=1"))
	h.Add([]byte("COOKIE"), []byte("a=2"))
	if got, ok := cookie.Of(h, "a"); string(got) != "2" || !ok {
		t.Errorf("got %q %v", got, ok)
	}
	if _, ok := cookie.Of(h, "c"); ok {
		t.Error("there is a cookie that nobody has sent")
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	line, err := cookie.Line(&http.Cookie{Name: "a", Value: "b", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode})
	if want := "a=b; Path=/; HttpOnly; Secure; SameSite=Lax"; line != want || err != nil {
		t.Errorf("got %q %v, want %q", line, err, want)
	}
	for _, wrong := range []http.Cookie{{Name: "a b"}, {Name: "a", Value: "b\r\nc"}, {Name: "a", Value: strings.Repeat("b", cookie.MaxLine)}, {}} {
		if line, err := cookie.Line(&wrong); err == nil {
			t.Errorf("%.50q is taken", line)
		}
	}
}

var (
	now    = time.Unix(1_800_000_000, 0)
	first  = bytes.Repeat([]byte{1}, 32)
	second = bytes.Repeat([]byte{2}, 32)
)

func keys(t testing.TB, list ...[]byte) *cookie.Keys {
	t.Helper()
	k, err := cookie.NewKeys(list...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestSigned: what was signed is taken under its name, until it expires, as long as
// its key is among the keys, and nothing else is.
func TestSigned(t *testing.T) {
	t.Parallel()
	old, both, fresh := keys(t, first), keys(t, second, first), keys(t, second)
	text := old.Sign("session", []byte("alice"), now.Add(time.Minute))
	for _, c := range []struct {
		name string
		keys *cookie.Keys
		of   string
		text string
		at   time.Time
		ok   bool
	}{
		{"as it was given", old, "session", text, now, true},
		{"in its last second", old, "session", text, now.Add(59 * time.Second), true},
		{"expired", old, "session", text, now.Add(time.Minute), false},
		{"while keys change", both, "session", text, now, true},
		{"signed by the new key", both, "session", fresh.Sign("session", []byte("alice"), now.Add(time.Minute)), now, true},
		{"when its key has gone", fresh, "session", text, now, false},
		{"under another name", old, "admin", text, now, false},
		{"empty", old, "session", "", now, false},
		{"without a signature", old, "session", text[:strings.LastIndexByte(text, '.')+1], now, false},
		{"with more behind it", old, "session", text + ".x", now, false},
		{"with a line break in its value", old, "session", text[:2] + "\n" + text[2:], now, false},
		{"with a line break behind it", old, "session", text + "\r\n", now, false},
		{"with a longer life", old, "session", strings.Replace(text, ".18", ".19", 1), now, false},
		{"with another spelling of its life", old, "session", strings.Replace(text, ".18", ".+18", 1), now, false},
		{"with another value", old, "session", "Ym9i" + text[strings.IndexByte(text, '.'):], now, false},
		{"with name and value shifted", old, "sessio", "n" + text, now, false},
	} {
		value, err := c.keys.Verify(c.of, c.text, c.at)
		if (err == nil) != c.ok || c.ok && string(value) != "alice" {
			t.Errorf("%s: got %q %v", c.name, value, err)
		}
	}
	for _, wrong := range [][][]byte{{}, {first[:31]}, {first, nil}} {
		if _, err := cookie.NewKeys(wrong...); err == nil {
			t.Errorf("keys %v are taken", wrong)
		}
	}
}

// FuzzSigned: no text but those that were signed is taken, and those are the values
// of a cookie as they stand.
func FuzzSigned(f *testing.F) {
	signed := keys(f, first).Sign("a", []byte("value"), now.Add(time.Minute))
	f.Add("a", []byte("value"), signed)
	f.Add("", []byte{}, signed+"=")
	f.Add("a", []byte{0, 255}, strings.ToUpper(signed))
	f.Fuzz(func(t *testing.T, name string, value []byte, text string) {
		k := keys(t, first)
		if text != signed {
			if got, err := k.Verify("a", text, now); err == nil {
				t.Errorf("%q is taken for %q", text, got)
			}
		}
		mine := k.Sign(name, value, now.Add(time.Second))
		got, err := k.Verify(name, mine, now)
		if err != nil || !bytes.Equal(got, value) {
			t.Errorf("%q of %q: got %q %v", mine, name, got, err)
		}
		if len(mine) < 4000 { // what clients keep
			if _, err := cookie.Line(&http.Cookie{Name: "a", Value: mine}); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestAppendWithout: all others stay, in their order.
func TestAppendWithout(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{
		{"a=1; b=2; c=3", "b", "a=1; c=3"}, {"a=1", "a", ""}, {"a=1;a=2;b=3", "a", "b=3"}, {"A=1; ab=2; a", "a", "A=1; ab=2; a"}, {";; a=;b=c=d ;", "a", "b=c=d"}, {"", "a", ""},
	} {
		if got := string(cookie.AppendWithout([]byte("x"), []byte(c[0]), c[1])); got != "x"+c[2] {
			t.Errorf("%q without %s: got %q, want %q", c[0], c[1], got, "x"+c[2])
		}
	}
}
