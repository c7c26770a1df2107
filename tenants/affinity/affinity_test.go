package affinity_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/affinity"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

func header(lines ...string) (h message.Header) {
	for i := 0; i < len(lines); i += 2 {
		h.Set([]byte(lines[i]), []byte(lines[i+1]))
	}
	return h
}

// TestKeys: which requests have the same key, and which have none.
func TestKeys(t *testing.T) {
	t.Parallel()
	of := func(by string, r affinity.Request) uint64 {
		key, err := affinity.ParseKey(by)
		if err != nil {
			t.Fatal(err)
		}
		n, _ := key.Of(&r, nil)
		return n
	}
	client := func(text string) affinity.Request { return affinity.Request{Client: netip.MustParseAddr(text)} }
	query := func(text string) affinity.Request { return affinity.Request{Query: []byte(text)} }
	with := func(lines ...string) affinity.Request { return affinity.Request{Header: header(lines...)} }
	for _, c := range []struct {
		by   string
		a, b affinity.Request
		same bool
	}{
		{"client", client("192.0.2.1"), client("192.0.2.1"), true},
		{"client", client("192.0.2.1"), client("::ffff:192.0.2.1"), true},
		{"client", client("192.0.2.1"), client("192.0.2.2"), false},
		{"client", client("2001:db8::1"), client("2001:db8::2:3:4:5"), true},
		{"client", client("2001:db8::1"), client("2001:db8:0:1::1"), false},
		{"path", affinity.Request{Path: []byte("/a")}, affinity.Request{Path: []byte("/a"), Query: []byte("?x")}, true},
		{"path", affinity.Request{Path: []byte("/a")}, affinity.Request{Path: []byte("/b")}, false},
		{"header:X-User", with("x-user", "a"), with("X-USER", "a"), true},
		{"header:X-User", with("x-user", "a"), with("X-User", "b"), false},
		{"cookie:sid", with("Cookie", "a=b; sid=1"), with("Cookie", `sid="1"; sid=2`), true},
		{"cookie:sid", with("Cookie", "sid=1"), with("Cookie", "sid=2"), false},
		{"query:u", query("?u=a%20b"), query("?x=1&u=a+b&u=c"), true},
		{"query:u", query("?u=a"), query("?u=b"), false},
		{"key", affinity.Request{Script: []byte("a")}, affinity.Request{Script: []byte("a"), Path: []byte("/x")}, true},
		{"client", affinity.Request{Script: []byte("a"), Client: netip.MustParseAddr("192.0.2.1")}, affinity.Request{Script: []byte("a"), Client: netip.MustParseAddr("192.0.2.2")}, true},
	} {
		a, b := of(c.by, c.a), of(c.by, c.b)
		if (a == b) != c.same || a == 0 || b == 0 {
			t.Errorf("by %s: keys %x and %x, want the same: %v", c.by, a, b, c.same)
		}
	}
	for by, r := range map[string]affinity.Request{
		"client": {}, "header:X-User": with("X-Other", "a"), "header:X-Empty": with("X-Empty", ""), "cookie:sid": with("Cookie", "a=b"),
		"query:u": query("?v=1"), "query:w": query(""), "key": client("192.0.2.1"),
	} {
		if got := of(by, r); got != 0 {
			t.Errorf("by %s: a request without it has the key %x", by, got)
		}
	}
	for by, want := range map[string]string{
		"": "is nothing that requests have", "clients": `did you mean "client"?`, "ip": "is nothing", "header": "has no name, expected one like header:X-User",
		"header:": "has no name", "header:a b": "no valid name", "cookie:a;b": "no valid name", "Header:X": `did you mean "header"?`, "query": "query:user", "client:x": "is nothing",
		"header:" + strings.Repeat("x", 300): "no valid name",
	} {
		if _, err := affinity.ParseKey(by); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("by %.20q: got %v, want %s", by, err, want)
		}
	}
}

// TestSplit: shares by weight, always the same for one request, and no more requests
// change sides with the weights than have to.
func TestSplit(t *testing.T) {
	t.Parallel()
	const n = 20_000
	by, _ := affinity.ParseKey("header:X-User")
	split := func(salt string, weights ...int) []int {
		s := affinity.NewSplit(by, salt)
		for i, w := range weights {
			s.Add(string(rune('a'+i)), i, w)
		}
		list := make([]int, n)
		for i := range list {
			r := affinity.Request{Header: header("X-User", fmt.Sprint(i))}
			list[i], _ = s.Pick(&r, nil, nil)
			if again, _ := s.Pick(&r, nil, nil); again != list[i] {
				t.Fatal("one request goes to two pools")
			}
		}
		return list
	}
	count := func(list []int, index int) (n int) {
		for _, i := range list {
			if i == index {
				n++
			}
		}
		return n
	}
	five, ten := split("x", 95, 5, 0), split("x", 90, 10, 0)
	for index, want := range []int{n * 95 / 100, n * 5 / 100, 0} {
		if got := count(five, index); got < want*85/100 || got > want*115/100 {
			t.Errorf("95:5: %d of %d go to %d, want about %d", got, n, index, want)
		}
	}
	for i := range five {
		if five[i] == 1 && ten[i] != 1 {
			t.Fatal("a larger share takes one back")
		}
	}
	if all := split("x", 0, 5, 0); count(all, 1) != n {
		t.Error("not all go where all shall")
	}
	both := 0
	for i, other := range split("y", 95, 5) {
		if other == 1 && five[i] == 1 {
			both++
		}
	}
	if both > n/200 {
		t.Errorf("%d are in the small part of two splits, which shall be independent", both)
	}
	s := affinity.NewSplit(by, "x")
	s.Add("a", 7, 1)
	s.Add("b", 8, 1)
	a, _ := s.Pick(&affinity.Request{Client: netip.MustParseAddr("192.0.2.1")}, nil, nil)
	if b, _ := s.Pick(&affinity.Request{Client: netip.MustParseAddr("192.0.2.1")}, nil, nil); a != b {
		t.Error("without the field, a client goes to two pools")
	}
	seen := map[int]bool{}
	for i := range uint64(64) {
		index, _ := s.Pick(&affinity.Request{}, nil, func() uint64 { return i * 0x9e3779b97f4a7c15 })
		seen[index] = true
	}
	if !seen[7] || !seen[8] {
		t.Error("those of whom nothing is known all go to one pool")
	}
}

// TestSticky: what a cookie says comes back, and what isn't one of ours says nothing.
func TestSticky(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	secret := []byte(strings.Repeat("s", 32))
	look := affinity.Cookie{Name: "at", Path: "/app", MaxAge: time.Hour, Secure: true, HTTPOnly: true, SameSite: http.SameSiteStrictMode}
	s, err := affinity.NewSticky(look, true, secret)
	if err != nil {
		t.Fatal(err)
	}
	line, err := s.Line(affinity.Home{}, 7, now)
	if err != nil || !strings.HasSuffix(line, "; Path=/app; Max-Age=3600; HttpOnly; Secure; SameSite=Strict") {
		t.Fatal(line, err)
	}
	pair, _, _ := strings.Cut(line, ";")
	read := func(s *affinity.Sticky, pair string, at time.Time) affinity.Home {
		home, _ := s.Read(header("Cookie", "x=y; "+pair), nil, at)
		return home
	}
	want := affinity.Home{First: 7, Current: 7, Given: now.Unix()}
	for range 2 { // and once more, by heart
		if got := read(s, pair, now); got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
	for _, pairs := range []string{"at=zzz; " + pair, "at=zzz; at=" + strings.Repeat("A", 4000) + "; " + pair + "; at=zzz"} {
		if got := read(s, pairs, now); got != want {
			t.Errorf("beside others' cookies of the name, it says %+v", got)
		}
	}
	if got := read(s, strings.Repeat("at=zzz; ", 8)+pair, now); got != (affinity.Home{}) {
		t.Errorf("behind many others, it says %+v", got)
	}
	if s.Wants(want, 7, now.Add(20*time.Minute)) || !s.Wants(want, 7, now.Add(31*time.Minute)) || !s.Wants(want, 8, now) || !s.Wants(affinity.Home{}, 7, now) {
		t.Error("who gets a cookie")
	}
	line, _ = s.Line(want, 8, now)
	elsewhere, _, _ := strings.Cut(line, ";")
	if got := read(s, elsewhere, now); got.First != 7 || got.Current != 8 || !s.Returns() {
		t.Errorf("away from home, it says %+v", got)
	}
	other, _ := affinity.NewSticky(look, false, []byte(strings.Repeat("o", 32)), secret)
	if line, _ = other.Line(want, 8, now); read(other, strings.SplitN(line, ";", 2)[0], now).First != 8 {
		t.Error("who doesn't return has a home elsewhere")
	}
	if got := read(other, pair, now); got != want {
		t.Error("a cookie of an older secret isn't taken")
	}
	stranger, _ := affinity.NewSticky(look, false, []byte(strings.Repeat("x", 32)))
	for what, got := range map[string]affinity.Home{
		"another secret": read(stranger, pair, now), "too late": read(s, pair, now.Add(time.Hour)), "changed": read(s, strings.Replace(pair, "=A", "=B", 1), now),
		"another name": read(s, "be"+pair, now), "nothing": read(s, "at=", now), "long": read(s, "at="+strings.Repeat("A", 4000), now),
	} {
		if got != (affinity.Home{}) {
			t.Errorf("%s: it says %+v", what, got)
		}
	}
	if _, err := affinity.NewSticky(look, false, []byte("short")); err == nil {
		t.Error("a short secret is taken")
	}
}

// TestNothingIsAllocated: keys, splits and cookies that are known.
func TestNothingIsAllocated(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s, _ := affinity.NewSticky(affinity.Cookie{Name: "at"}, false, []byte(strings.Repeat("s", 32)))
	line, _ := s.Line(affinity.Home{}, 7, now)
	r := &affinity.Request{Header: header("Cookie", line, "X-User", "u"), Client: netip.MustParseAddr("192.0.2.1"), Path: []byte("/x"), Query: []byte("?a=b%20c")}
	scratch := make([]byte, 0, 256)
	var keys []affinity.Key
	for _, by := range []string{"client", "path", "header:X-User", "cookie:at", "query:a"} {
		key, _ := affinity.ParseKey(by)
		keys = append(keys, key)
	}
	split := affinity.NewSplit(keys[2], "x")
	split.Add("a", 0, 1)
	split.Add("b", 1, 1)
	if n := measure.Allocations(1000, func() {
		for i := range keys {
			if _, scratch = keys[i].Of(r, scratch); len(keys) == 0 {
				return
			}
		}
		_, scratch = split.Pick(r, scratch, nil)
		_, scratch = s.Read(r.Header, scratch, now)
	}); n != 0 {
		t.Errorf("%d allocations in 1000 runs, want 0", n)
	}
}
