package fetch

import (
	"net/netip"
	"strings"
	"testing"
)

// TestEmbedded: an IPv6 address by which traffic ends at an IPv4 address is
// judged as that one, in each of the forms that have been given to it; no other
// byte of the address is taken for a part of it.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	g := guard{ // without what is always denied, in which parts of these addresses lie
		denied: []netip.Prefix{netip.MustParsePrefix("198.51.100.7/32")}, // c633:6407
		own:    func(netip.AddrPort) Ownership { return NotOwn },
	}
	for address, want := range map[string]bool{
		"198.51.100.7":                    true,
		"198.51.100.8":                    false,
		"::ffff:c633:6407":                true, // mapped
		"::c633:6407":                     true, // compatible
		"::ffff:0:c633:6407":              true, // translated
		"64:ff9b::c633:6407":              true, // NAT64, and of local use, with prefixes of 48, 56, 64 and 96 bits
		"64:ff9b:1:c633:64:700::":         true,
		"64:ff9b:1:c6:33:6407::":          true,
		"64:ff9b:1:0:c6:3364:700::":       true,
		"64:ff9b:1::c633:6407":            true,
		"64:ff9b:1:ffff:ffff::c633:6407":  true,
		"2002:c633:6407::1":               true, // 6to4
		"2001:0:c633:6407::":              true, // Teredo's server
		"2001::39cc:9bf8":                 true, // and its client
		"2001:db8::5efe:c633:6407":        true, // ISATAP
		"2001:db8::200:5efe:c633:6407":    true, // of an address that is unique
		"2001:db8:1:2:0:5efe:c633:6407":   true,
		"2001:db8::c633:6407":             false,
		"2001:db8::100:5efe:c633:6407":    false,
		"2001:db8::1:5efe:c633:6407":      false,
		"2001:db8::5eff:c633:6407":        false,
		"2001:db8::5ffe:c633:6407":        false,
		"2003:c633:6407::1":               false,
		"2001:1:c633:6407::":              false,
		"2001::c633:6407":                 false,
		"64:ff9b:2::c633:6407":            false,
		"64:ff9b::1:0:0:c633:6407":        false,
		"::1:0:c633:6407":                 false,
		"64:ff9b:1:c633:6407::":           false,
		"2002:0:c633:6407::":              false,
		"64:ff9b:1:33:c633:64:7::":        false,
		"2001:db8:c633:6407:c633:6407::1": false,
	} {
		addr := netip.MustParseAddr(address)
		if got := g.refuses("", netip.AddrPortFrom(addr, 80)); got != want {
			t.Errorf("%s is refused: %v, want %v", address, got, want)
		}
		if other := strings.Replace(addr.StringExpanded(), ":6407", ":6408", 1); other != addr.StringExpanded() {
			if g.refuses("", netip.AddrPortFrom(netip.MustParseAddr(other), 80)) {
				t.Errorf("%s is refused, which embeds another address", other)
			}
		}
	}
}

// TestLoopbackEmbedsNothing: ::1 isn't 0.0.0.1, so a permission of it is enough.
func TestLoopbackEmbedsNothing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"::1", "::"} {
		addr := netip.MustParseAddr(text)
		g := newGuard(&Config{Allow: []Permission{{Network: netip.PrefixFrom(addr, 128)}}})
		if g.refuses("", netip.AddrPortFrom(addr, 80)) {
			t.Errorf("%s is refused though it is allowed", text)
		}
	}
	g := newGuard(&Config{Allow: []Permission{{Network: netip.MustParsePrefix("::ffff:127.0.0.1/128")}}})
	if g.refuses("", netip.MustParseAddrPort("127.0.0.1:80")) {
		t.Error("an address is refused that is allowed in its mapped form")
	}
}

// TestOwnAddresses: what this process listens on for others is reached by those
// that are allowed to by just that address and port; what it listens on for its
// operator, by nobody.
func TestOwnAddresses(t *testing.T) {
	t.Parallel()
	at := netip.MustParseAddrPort("192.0.2.1:80")
	allow := func(network string, port uint16) []Permission {
		return []Permission{{Network: netip.MustParsePrefix(network), Port: port}}
	}
	for name, c := range map[string]struct {
		allow     []Permission
		ownership Ownership
		refused   bool
	}{
		"somebody else's":         {nil, NotOwn, false},
		"public":                  {nil, OwnPublic, true},
		"public, allowed":         {allow("192.0.2.1/32", 80), OwnPublic, false},
		"public, any port":        {allow("192.0.2.1/32", 0), OwnPublic, true},
		"public, another port":    {allow("192.0.2.1/32", 81), OwnPublic, true},
		"public, another address": {allow("192.0.2.2/32", 80), OwnPublic, true},
		"public, a network":       {allow("192.0.2.0/31", 80), OwnPublic, true},
		"public, its network":     {allow("192.0.2.1/24", 80), OwnPublic, true},
		"public, its own name":    {[]Permission{{Name: "own.example", Port: 80}}, OwnPublic, true},
		"operator's":              {nil, OwnAdmin, true},
		"operator's, allowed":     {allow("192.0.2.1/32", 80), OwnAdmin, true},
	} {
		g := newGuard(&Config{Allow: c.allow, Own: func(a netip.AddrPort) Ownership {
			if a != at {
				return NotOwn
			}
			return c.ownership
		}})
		if got := g.refuses("own.example", at); got != c.refused {
			t.Errorf("%s: refused is %v, want %v", name, got, c.refused)
		}
	}
}

// TestTheLongestPrefixDecides: between deny and allow, and a name is as long as
// an address; alike, what is allowed is.
func TestTheLongestPrefixDecides(t *testing.T) {
	t.Parallel()
	network := func(text string) netip.Prefix { return netip.MustParsePrefix(text) }
	for name, c := range map[string]struct {
		deny    string
		allow   Permission
		refused bool
	}{
		"wider":                  {"10.0.0.0/16", Permission{Network: network("10.0.0.0/15")}, true},
		"alike":                  {"10.0.0.0/16", Permission{Network: network("10.0.0.0/16")}, false},
		"narrower":               {"10.0.0.0/16", Permission{Network: network("10.0.0.0/17")}, false},
		"everything":             {"0.0.0.0/0", Permission{Network: network("0.0.0.0/0")}, false},
		"all but another":        {"0.0.0.0/0", Permission{Network: network("10.0.0.2/32")}, true},
		"a port":                 {"10.0.0.1/32", Permission{Network: network("10.0.0.1/32"), Port: 80}, false},
		"another port":           {"10.0.0.0/16", Permission{Network: network("10.0.0.1/32"), Port: 81}, true},
		"a name":                 {"10.0.0.1/32", Permission{Name: "app.example"}, false},
		"a name with a port":     {"10.0.0.1/32", Permission{Name: "APP.example", Port: 80}, false},
		"a name, another port":   {"10.0.0.1/32", Permission{Name: "app.example", Port: 81}, true},
		"another name":           {"10.0.0.1/32", Permission{Name: "app2.example"}, true},
		"another name, all deny": {"0.0.0.0/0", Permission{Name: "app2.example"}, true},
	} {
		g := newGuard(&Config{Deny: []netip.Prefix{network(c.deny)}, Allow: []Permission{c.allow}})
		if got := g.refuses("app.example.", netip.MustParseAddrPort("10.0.0.1:80")); got != c.refused {
			t.Errorf("%s: refused is %v, want %v", name, got, c.refused)
		}
	}
}

// TestEveryByteOfRequests: what may stand in a method, a name, a value and a
// host.
func TestEveryByteOfRequests(t *testing.T) {
	t.Parallel()
	const alphanumeric = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	const token = alphanumeric + "!#$%&'*+-.^_`|~"
	request := func() *Request { return (&Client{}).NewRequest() }
	for c := range 256 {
		text := "A" + string([]byte{byte(c)}) + "B"
		isToken := strings.IndexByte(token, byte(c)) >= 0
		if err := request().SetMethod(text); (err == nil) != isToken {
			t.Errorf("byte %#x in a method: %v", c, err)
		}
		if err := request().Add(text, "x"); (err == nil) != isToken {
			t.Errorf("byte %#x in a name: %v", c, err)
		}
		isText := c >= ' ' && c != 0x7f || c == '\t'
		if err := request().Add("A", text); (err == nil) != isText {
			t.Errorf("byte %#x in a value: %v", c, err)
		}
		isHost := strings.IndexByte(alphanumeric+"-._:[]%~", byte(c)) >= 0 || c >= 0x80
		if err := request().Add("Host", text); (err == nil) != isHost {
			t.Errorf("byte %#x in a host: %v", c, err)
		}
	}
	for name, c := range map[string]struct {
		set        func(r *Request, text string) error
		just, more string
	}{
		"method": {(*Request).SetMethod, strings.Repeat("a", 40), strings.Repeat("a", 41)},
		"name":   {func(r *Request, text string) error { return r.Add(text, "x") }, strings.Repeat("a", MaxName), strings.Repeat("a", MaxName+1)},
		"host":   {func(r *Request, text string) error { return r.Add("Host", text) }, strings.Repeat("a", 300), strings.Repeat("a", 301)},
		"URL":    {func(r *Request, text string) error { return r.SetURL(text, "") }, "http://a/" + strings.Repeat("a", MaxURL-9), "http://a/" + strings.Repeat("a", MaxURL-8)},
	} {
		if err := c.set(request(), c.just); err != nil {
			t.Errorf("%s of the longest kind: %v", name, err)
		}
		if err := c.set(request(), c.more); err == nil {
			t.Errorf("a longer %s isn't refused", name)
		}
		if err := c.set(request(), ""); err == nil {
			t.Errorf("an empty %s isn't refused", name)
		}
	}
}

// TestURLs: what is sent of a URL, and of the query that is added to its own.
func TestURLs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ target, query, want string }{
		{"http://a", "", "http://a"}, {"https://a:8/b?c#d", "", "https://a:8/b?c"}, {"http://a/?b=c", "d=e", "http://a/?b=c&d=e"},
		{"http://a/", "d=e", "http://a/?d=e"}, {"http://a/?b c", "", "http://a/?b%20c"}, {"http://a/?\"<>é~", "", "http://a/?%22%3C%3E%C3%A9~"},
		{"http://a/?!=}", "", "http://a/?!=}"}, {"http://[::1]:80/", "", "http://[::1]:80/"}, {"http://u:p@a/", "", "http://u:p@a/"},
		{"http:a", "", "refused"}, {"http:///a", "", "refused"}, {"http://:80/", "", "refused"}, {"http://a b/", "", "refused"}, {"ftp://a", "", "refused"},
		{"http://a^b/", "", "refused"}, {"//a", "", "refused"}, {"", "", "refused"},
	} {
		r := (&Client{}).NewRequest()
		got := "refused"
		if err := r.SetURL(c.target, c.query); err == nil {
			got = r.url.String()
		}
		if got != c.want {
			t.Errorf("%q with %q: got %s, want %s", c.target, c.query, got, c.want)
		}
	}
}

// TestOwners: fields that aren't a request's to set, and those next to them.
func TestOwners(t *testing.T) {
	t.Parallel()
	for name, mine := range map[string]bool{
		"Connection": false, "content-length": false, "KEEP-ALIVE": false, "Proxy-Authorization": false, "Proxy-Connection": false, "te": false, "Trailer": false,
		"Transfer-Encoding": false, "Upgrade": false, "X-Gateway-": false, "x_gateway-Hops": false, "X_GATEWAY_ERROR": false, "X-Gateway": true,
		"X-Gatewa": true, "Y-Gateway-Hops": true, "Accept": true, "Expect": true,
	} {
		if err := (&Client{}).NewRequest().Add(name, "x"); (err == nil) != mine {
			t.Errorf("%s: %v; may be set is to be %v", name, err, mine)
		}
	}
}
