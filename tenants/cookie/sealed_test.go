package cookie_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/cookie"
)

func seal(t testing.TB, k *cookie.Keys, name, value string, expires time.Time) string {
	t.Helper()
	text, err := k.Seal(rand.Reader, name, []byte(value), expires)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestSealed: what was encrypted is read under its name, until it expires, as long as
// its key is among the keys; nothing else is, and nobody else reads it.
func TestSealed(t *testing.T) {
	t.Parallel()
	old, both, fresh := keys(t, first), keys(t, second, first), keys(t, second)
	text := seal(t, old, "session", "alice", now.Add(time.Minute))
	flipped := []byte(text)
	flipped[40] ^= 1
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
		{"encrypted by the new key", both, "session", seal(t, fresh, "session", "alice", now.Add(time.Minute)), now, true},
		{"when its key has gone", fresh, "session", text, now, false},
		{"under another name", old, "admin", text, now, false},
		{"empty", old, "session", "", now, false},
		{"of a nonce", old, "session", text[:32], now, false},
		{"without its end", old, "session", text[:len(text)-4], now, false},
		{"with more behind it", old, "session", text + "AAAA", now, false},
		{"with a line break in it", old, "session", text[:8] + "\n" + text[8:], now, false},
		{"changed", old, "session", string(flipped), now, false},
		{"signed only", old, "session", old.Sign("session", []byte("alice"), now.Add(time.Minute)), now, false},
	} {
		value, err := c.keys.Open(c.of, c.text, c.at)
		if (err == nil) != c.ok || c.ok && string(value) != "alice" {
			t.Errorf("%s: got %q %v", c.name, value, err)
		}
	}
	if _, err := old.Verify("session", text, now); err == nil {
		t.Error("what is encrypted is taken for signed")
	}
	if again := seal(t, old, "session", "alice", now.Add(time.Minute)); again == text || strings.Contains(text, "YWxpY2") {
		t.Error("two texts of a value are the same, or tell it")
	}
	if _, err := old.Seal(iotest.ErrReader(errors.New("dry")), "a", nil, now); err == nil {
		t.Error("a nonce was made of nothing")
	}
}

// TestWhatBrowsersKeep: a cookie that no browser would keep is none.
func TestWhatBrowsersKeep(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cookie http.Cookie
		wrong  string
	}{
		{http.Cookie{Name: "__Host-a", Secure: true}, ""},
		{http.Cookie{Name: "__Host-a", Secure: true, Path: "/"}, ""},
		{http.Cookie{Name: "__Host-a"}, "__Host- must be secure"},
		{http.Cookie{Name: "__hOST-a", Secure: true, Path: "/x"}, "must have the path /"},
		{http.Cookie{Name: "__Host-a", Secure: true, Domain: "example.com"}, "must have no domain"},
		{http.Cookie{Name: "__Secure-a", Secure: true, Domain: "example.com", Path: "/x"}, ""},
		{http.Cookie{Name: "__secure-a"}, "__Secure- must be secure"},
		{http.Cookie{Name: "__Hos", Path: "/x"}, ""},
		{http.Cookie{Name: "a", SameSite: http.SameSiteNoneMode}, "same_site None must be secure"},
		{http.Cookie{Name: "a", SameSite: http.SameSiteNoneMode, Secure: true}, ""},
		{http.Cookie{Name: "a", Value: strings.Repeat("b", 4095)}, ""},
		{http.Cookie{Name: "a", Value: strings.Repeat("b", 4096)}, "too long"},
	} {
		line, err := cookie.Line(&c.cookie)
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%+v: got %.60q %v, want %q", c.cookie, line, err, c.wrong)
		}
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]string{
		"a=1; b=2":       "a=1|b=2|",
		" ;; a=;b; =c ;": "a=|",
		`a="1 2"; b="`:   `a=1 2|b="|`,
		"a=b=c;a=d":      "a=b=c|a=d|",
		"":               "",
	} {
		got := ""
		name, value, rest, ok := cookie.Next([]byte(field))
		for ; ok; name, value, rest, ok = cookie.Next(rest) {
			got += string(name) + "=" + string(value) + "|"
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", field, got, want)
		}
	}
}

// FuzzNext: what Next finds first of a name, In finds under it.
func FuzzNext(f *testing.F) {
	f.Add([]byte(`a=1; b="2"; a=3;; =; c`))
	f.Fuzz(func(t *testing.T, field []byte) {
		seen := map[string]bool{}
		name, value, rest, ok := cookie.Next(field)
		for ; ok; name, value, rest, ok = cookie.Next(rest) {
			if !seen[string(name)] {
				seen[string(name)] = true
				if got, has := cookie.In(field, string(name)); !has || !bytes.Equal(got, value) {
					t.Errorf("%q of %q: Next says %q, In %q %v", name, field, value, got, has)
				}
			}
			if len(rest) >= len(field) {
				t.Fatalf("%q of %q is left", rest, field)
			}
		}
	})
}

// FuzzSealed: no text but those that were made is read.
func FuzzSealed(f *testing.F) {
	// The same in each of the fuzzer's processes.
	sealed, err := keys(f, first).Seal(bytes.NewReader(make([]byte, 64)), "a", []byte("value"), now.Add(time.Minute))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("a", []byte("value"), sealed)
	f.Add("", []byte{}, sealed+"=")
	f.Fuzz(func(t *testing.T, name string, value []byte, text string) {
		k := keys(t, first)
		if text != sealed {
			if got, err := k.Open("a", text, now); err == nil {
				t.Errorf("%q is read as %q", text, got)
			}
		}
		mine := seal(t, k, name, string(value), now.Add(time.Second))
		if got, err := k.Open(name, mine, now); err != nil || !bytes.Equal(got, value) {
			t.Errorf("%q of %q: got %q %v", mine, name, got, err)
		}
	})
}
