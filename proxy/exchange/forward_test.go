package exchange_test

import (
	"bytes"
	"cmp"
	"net/netip"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange/exchangetest"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

const okay = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// forwarded is one request, and all that a target gets of it.
type forwarded struct {
	name   string
	change func(*exchange.Generation, *exchange.Tenant)
	who    *exchange.Client // nil is one on this machine
	head   message.Request
	parts  []string
	waits  bool
	below  string // the path of the target's own
	want   string // lines, with TARGET for the target's own host, and ID for the request's
}

func (f *forwarded) test(t *testing.T) {
	t.Parallel()
	target := record(t, okay)
	var ended endings
	s := &client{who: f.who}
	s.Head, s.Waits = f.head, f.waits
	for _, part := range f.parts {
		s.Parts = append(s.Parts, []byte(part))
	}
	changedPlane(t, &ended, f.change, target.url+f.below).Serve(s)
	if in := int64(len(strings.Join(f.parts, ""))); ended.in != in || ended.tunnelled {
		t.Errorf("%d bytes of content are counted, want %d", ended.in, in)
	}
	if s.Status != 200 || string(s.Content) != "ok" {
		t.Fatalf("got %d with %q, want 200", s.Status, s.Content)
	}
	if !s.Finished || s.WasCut {
		t.Errorf("finished: %v, cut: %v", s.Finished, s.WasCut)
	}
	got := strings.ReplaceAll(target.last(s.Field("X-Request-Id")), "\r\n", "\n")
	if got != f.want {
		t.Errorf("the target has got\n%.1000s\nwant\n%.1000s", got, f.want)
	}
}

// plain makes a request one of a client that reads no trailers.
func plain(r message.Request) message.Request {
	r.Trailers = false
	return r
}

func get(fields ...string) message.Request {
	return plain(exchangetest.Request("GET", "a.example.com", "/p?q=1", fields...))
}

// sized is a POST with content of that length.
func sized(length int64, fields ...string) message.Request {
	r := plain(exchangetest.Request("POST", "a.example.com", "/p", fields...))
	r.Length = length
	return r
}

// upgrade asks for another protocol.
func upgrade(fields ...string) message.Request {
	r := get(append([]string{"Connection", "Upgrade"}, fields...)...)
	r.UpgradeAsked = true
	return r
}

const (
	begun  = "GET /p?q=1 HTTP/1.1\nHost: TARGET\n"
	peer   = "X-Forwarded-For: 127.0.0.1\n"
	named  = "X-Forwarded-Proto: http\nX-Forwarded-Host: a.example.com\n"
	ended  = "X-Request-Id: ID\n\n"
	posted = "POST /p HTTP/1.1\nHost: TARGET\n"
)

// TestForwardedRequests: what a target gets of a request, byte for byte.
func TestForwardedRequests(t *testing.T) {
	t.Parallel()
	preserve := func(_ *exchange.Generation, tenant *exchange.Tenant) { tenant.PreserveHost = true }
	strip := func(_ *exchange.Generation, tenant *exchange.Tenant) { tenant.StripPrefix = "/p" }
	via := func(g *exchange.Generation, _ *exchange.Tenant) { g.Via = "gw" }
	identity := func(g *exchange.Generation, _ *exchange.Tenant) {
		g.Identity = message.NewNameSet([]string{"X-Real-IP", "x_zone", "", strings.Repeat("n", 64), strings.Repeat("n", 63)})
	}
	request := func(method, path string, fields ...string) message.Request {
		return plain(exchangetest.Request(method, "a.example.com", path, fields...))
	}
	asterisk := request("OPTIONS", "*")
	asterisk.Form = message.AsteriskForm
	secure := &exchange.Client{Peer: netip.MustParseAddr("2001:db8::7"), Address: []byte("2001:db8::7"), Secure: true}
	for _, c := range []forwarded{
		{name: "plain", head: get("X-A", "1", "x-a", "2"), want: begun + "X-A: 1\nx-a: 2\n" + peer + named + ended},
		{name: "another method", head: request("PURGE", "/"), want: "PURGE / HTTP/1.1\nHost: TARGET\n" + peer + named + ended},
		{name: "preserved host", change: preserve, head: get(), want: "GET /p?q=1 HTTP/1.1\nHost: a.example.com\n" + peer + named + ended},
		{name: "preserved host of one letter", change: preserve, head: plain(exchangetest.Request("GET", "b", "/any")),
			want: "GET /any HTTP/1.1\nHost: b\n" + peer + "X-Forwarded-Proto: http\nX-Forwarded-Host: b\n" + ended},
		{name: "no host", change: preserve, head: plain(exchangetest.Request("GET", "", "/any")), want: "GET /any HTTP/1.1\nHost: TARGET\n" + peer + "X-Forwarded-Proto: http\n" + ended},
		{name: "below the target's path", below: "/base", change: strip, head: request("GET", "/p/x"), want: "GET /base/x HTTP/1.1\nHost: TARGET\n" + peer + named + ended},
		{name: "asterisk there", below: "/base", head: asterisk, want: "OPTIONS * HTTP/1.1\nHost: TARGET\n" + peer + named + ended},
		{name: "stripped", change: strip, head: request("GET", "/p/x?y"), want: "GET /x?y HTTP/1.1\nHost: TARGET\n" + peer + named + ended},
		{name: "stripped to nothing", change: strip, head: request("GET", "/p"), want: "GET / HTTP/1.1\nHost: TARGET\n" + peer + named + ended},
		{name: "asterisk", change: strip, head: asterisk, want: "OPTIONS * HTTP/1.1\nHost: TARGET\n" + peer + named + ended},
		{name: "as it was spelled", head: request("GET", "/%7Ea/./b//c%2fd", "A", "b"), want: "GET /~a/b/c%2fd HTTP/1.1\nHost: TARGET\nA: b\n" + peer + named + ended,
			change: func(_ *exchange.Generation, t *exchange.Tenant) { t.Spelling = route.Spelling{} }},
		{name: "over TLS, from IPv6", who: secure, head: get(), want: begun + "X-Forwarded-For: 2001:db8::7\nX-Forwarded-Proto: https\nX-Forwarded-Host: a.example.com\n" + ended},
		{name: "of this hop", head: get("Connection", "X-B", "Keep-Alive", "1", "Proxy-Authorization", "a", "Proxy-Connection", "b", "TE", "gzip", "HTTP2-Settings", "AA",
			"Expect", "x", "Upgrade", "websocket", "Transfer-Encoding", "chunked", "Host", "b", "X-Request-Id", "mine", "Content-Length", "7", "Cookie", "c"),
			want: begun + "Cookie: c\nContent-Length: 0\n" + peer + named + ended},
		{name: "trailers are read", head: exchangetest.Request("GET", "a.example.com", "/p?q=1"), want: begun + peer + named + "X-Request-Id: ID\nTE: trailers\nConnection: TE\n\n"},
		{name: "max forwards", head: request("OPTIONS", "/", "Max-Forwards", "2"), want: "OPTIONS / HTTP/1.1\nHost: TARGET\nMax-Forwards: 1\n" + peer + named + ended},
		{name: "max forwards of 1", head: request("OPTIONS", "/", "Max-Forwards", "1"), want: "OPTIONS / HTTP/1.1\nHost: TARGET\nMax-Forwards: 0\n" + peer + named + ended},
		{name: "max forwards that is none", head: request("OPTIONS", "/", "Max-Forwards", "x"), want: "OPTIONS / HTTP/1.1\nHost: TARGET\nMax-Forwards: x\n" + peer + named + ended},
		{name: "max forwards of others", head: get("Max-Forwards", "2"), want: begun + "Max-Forwards: 2\n" + peer + named + ended},
		{name: "via", change: via, head: get("Via", "1.0 a, ", "Via", "1.1 b (gw)"), want: begun + peer + named + "Via: 1.0 a, 1.1 b (gw), 2.0 gw\n" + ended},
		{name: "via of others", head: get("Via", "1.0 a", "Via", "1.1 gw"), want: begun + peer + named + "Via: 1.0 a\nVia: 1.1 gw\n" + ended},
		{name: "identity", change: identity, head: get("X-Real-IP", "6", "x_real_ip", "6", "X-ZONE", "6", "X-Real-IPs", "1", "Y-Real-IP", "2", "X-Real-I_", "3",
			strings.Repeat("N", 63), "6", strings.Repeat("n", 64), "4", "X-Forwarded-Port", "6"),
			want: begun + "X-Real-IPs: 1\nY-Real-IP: 2\nX-Real-I_: 3\n" + strings.Repeat("n", 64) + ": 4\n" + peer + named + ended},
		{name: "identity that is trusted", head: get("X-Real-IP", "6", "X-Forwarded-Port", "6"),
			change: func(g *exchange.Generation, t *exchange.Tenant) { identity(g, t); trusting(g, t) },
			want:   begun + "X-Real-IP: 6\nX-Forwarded-Port: 6\n" + peer + named + ended},
		{name: "no content", head: sized(0), want: posted + peer + named + ended},
		{name: "no content, and it is said so", head: sized(0, "Content-Length", "0"), want: posted + "Content-Length: 0\n" + peer + named + ended},
		{name: "content", head: sized(5), parts: []string{"he", "llo"}, want: posted + "Content-Length: 5\n" + peer + named + ended + "hello"},
		{name: "the largest that is buffered", head: sized(64 << 10), parts: halves(64 << 10), want: posted + "Content-Length: 65536\n" + peer + named + ended + strings.Join(halves(64<<10), "")},
		{name: "the least that isn't", head: sized(64<<10 + 1), parts: halves(64<<10 + 1), want: posted + "Content-Length: 65537\n" + peer + named + ended + strings.Join(halves(64<<10+1), "")},
		{name: "unsized content", head: sized(message.Unsized, "Trailer", "x"), parts: []string{"hello"}, want: posted + "Trailer: x\n" + peer + named + "X-Request-Id: ID\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n"},
		{name: "trailers of sized content", head: sized(1, "Trailer", "x"), parts: []string{"a"}, want: posted + "Content-Length: 1\n" + peer + named + ended + "a"},
		{name: "content that is waited for", head: sized(5, "Expect", "100-continue"), parts: []string{"hello"}, waits: true, want: posted + "Content-Length: 5\n" + peer + named + ended + "hello"},
		{name: "an upgrade", head: upgrade("Upgrade", "websocket, h2c, a/1", "Upgrade", "H2", "Upgrade", "TLS/1.0, b"),
			want: begun + "Upgrade: websocket, a/1\nUpgrade: b\n" + peer + named + "X-Request-Id: ID\nConnection: Upgrade\n\n"},
		{name: "an upgrade that isn't asked for", head: get("Upgrade", "websocket"), want: begun + peer + named + ended},
		{name: "an upgrade to HTTP", head: upgrade("Upgrade", "h2c, HTTP/2.0, tls"), want: begun + peer + named + ended},
		{name: "an upgrade with trailers", head: func() message.Request { r := upgrade("Upgrade", "a"); r.Trailers = true; return r }(),
			want: begun + "Upgrade: a\n" + peer + named + "X-Request-Id: ID\nTE: trailers\nConnection: Upgrade, TE\n\n"},
	} {
		t.Run(c.name, c.test)
	}
}

// halves are two parts of content of that length in all.
func halves(length int) []string {
	text := string(bytes.Repeat([]byte("0123456789abcdef"), length/16+1)[:length])
	return []string{text[:length/2], text[length/2:]}
}

// TestForwardedClients: what a target is told of who the client is.
func TestForwardedClients(t *testing.T) {
	t.Parallel()
	both := func(g *exchange.Generation, t *exchange.Tenant) { trusting(g, t); g.Forwarded = true }
	const element = `for=127.0.0.1;host="a.example.com";proto=http`
	unix := &exchange.Client{Address: []byte("unix")}
	for _, c := range []struct {
		name   string
		change func(*exchange.Generation, *exchange.Tenant)
		who    *exchange.Client
		fields []string
		want   string // what stands between the first lines and the last
	}{
		{"nobody says anything", both, nil, nil, peer + named + "Forwarded: " + element + "\n"},
		{"not trusted", func(g *exchange.Generation, _ *exchange.Tenant) { g.Forwarded = true }, nil,
			[]string{"X-Forwarded-For", "6.6.6.6", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "b", "Forwarded", "for=6.6.6.6"}, peer + named + "Forwarded: " + element + "\n"},
		{"a list", both, nil, []string{"X-Forwarded-For", "6.6.6.6 ,", "X-Forwarded-For", "", "X-Forwarded-For", ",203.0.113.9:1", "X-Forwarded-Proto", "https, a", "X-Forwarded-Host", "b"},
			"X-Forwarded-For: 6.6.6.6, 203.0.113.9:1, 127.0.0.1\nX-Forwarded-Proto: https, a\nX-Forwarded-Host: b\nForwarded: for=6.6.6.6, for=203.0.113.9, " + element + "\n"},
		{"a list with IPv6 and a scheme", both, nil, []string{"X-Forwarded-For", "2001:db8::1, x, 1.2.3.4", "X-Forwarded-Proto", "https"},
			"X-Forwarded-For: 2001:db8::1, x, 1.2.3.4, 127.0.0.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: a.example.com\n" +
				`Forwarded: for="[2001:db8::1]";proto=https, for=unknown, for=1.2.3.4, ` + element + "\n"},
		{"elements", trusting, nil, []string{"Forwarded", `for="[2001:db8::1]:443";proto=https;host="b:1"`, "Forwarded", "for=_x;proto=http;by=y, for=198.51.100.1;host=c"},
			"X-Forwarded-For: 2001:db8::1, unknown, 198.51.100.1, 127.0.0.1\nX-Forwarded-Proto: http\nX-Forwarded-Host: a.example.com\n" +
				`Forwarded: for="[2001:db8::1]:443";proto=https;host="b:1"` + "\nForwarded: for=_x;proto=http;by=y, for=198.51.100.1;host=c\n"},
		{"the first element of somebody else", trusting, nil, []string{"Forwarded", "for=203.0.113.9;proto=https;host=b"},
			"X-Forwarded-For: 203.0.113.9, 127.0.0.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: b\nForwarded: for=203.0.113.9;proto=https;host=b\n"},
		{"elements, and one more", both, nil, []string{"Forwarded", "for=203.0.113.9;proto=https;host=b"},
			"X-Forwarded-For: 203.0.113.9, 127.0.0.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: b\nForwarded: for=203.0.113.9;proto=https;host=b, " + element + "\n"},
		{"both", both, nil, []string{"Forwarded", "for=6.6.6.6", "X-Forwarded-For", "203.0.113.9"},
			"X-Forwarded-For: 203.0.113.9, 127.0.0.1\n" + named + "Forwarded: for=6.6.6.6, " + element + "\n"},
		{"elements that say nothing", trusting, nil, []string{"Forwarded", "proto=https, by=x"}, "X-Forwarded-For: unknown, unknown, 127.0.0.1\n" + named + "Forwarded: proto=https, by=x\n"},
		{"a Unix socket", both, unix, nil, named + "Forwarded: for=unknown;host=\"a.example.com\";proto=http\n"},
		{"a list over a Unix socket", trusting, unix, []string{"X-Forwarded-For", "203.0.113.9"}, "X-Forwarded-For: 203.0.113.9\n" + named},
		{"elements over a Unix socket", trusting, unix, []string{"Forwarded", "for=203.0.113.9, for=1.2.3.4"}, "X-Forwarded-For: 203.0.113.9, 1.2.3.4\n" + named + "Forwarded: for=203.0.113.9, for=1.2.3.4\n"},
		{"a list over a Unix socket that isn't trusted", nil, unix, []string{"X-Forwarded-For", "203.0.113.9"}, named},
		{"nobody trusts who isn't named", trusting, &exchange.Client{Peer: netip.MustParseAddr("127.0.0.1"), Address: []byte("127.0.0.1"), Unnamed: true},
			[]string{"X-Forwarded-For", "203.0.113.9"}, peer + named},
	} {
		f := forwarded{change: c.change, who: c.who, head: get(c.fields...), want: begun + c.want + ended}
		t.Run(c.name, f.test)
	}
}

// TestOriginalClients: whose address is taken for the client's.
func TestOriginalClients(t *testing.T) {
	t.Parallel()
	const list, elements = "X-Forwarded-For", "Forwarded"
	many := strings.Repeat("for=198.51.100.1,", 63)
	for _, c := range []struct {
		name, value, want string // "" is none of them: the proxy's own stays
	}{
		{list, "203.0.113.9", "203.0.113.9"}, {list, "203.0.113.9:1", "203.0.113.9"}, {list, "203.0.113.9:65535", "203.0.113.9"},
		{list, "203.0.113.9:123456", ""}, {list, "203.0.113.9:", ""}, {list, "203.0.113.9:1a", ""}, {list, "203.0.113.9:_a", "203.0.113.9"}, {list, "203.0.113.9:_a@", ""},
		{list, "6.6.6.6, 203.0.113.9, 198.51.100.7", "203.0.113.9"}, {list, "6.6.6.6, 203.0.113.9", "203.0.113.9"}, {list, "198.51.100.7", "198.51.100.7"},
		{list, "203.0.113.9, x, 198.51.100.7", "198.51.100.7"}, {list, "0.0.0.0", "0.0.0.0"}, {list, "255.255.255.255", "255.255.255.255"},
		{list, "256.0.0.1", ""}, {list, "1.2.3", ""}, {list, "1.2.3.4.5", ""}, {list, "1.2.3.", ""}, {list, "1.2.3.04", ""}, {list, "1.2.3.0004", ""}, {list, "1,2", ""}, {list, "1.2.3.4x", ""}, {list, "1.2x3.4", ""},
		{list, "::1", "::1"}, {list, "[::1]", "::1"}, {list, "[::1]:9", "::1"}, {list, "[::1]9", ""}, {list, "[::1", ""}, {list, "[1.2.3.4]", ""}, {list, "[]", ""}, {list, "[::ffff:1.2.3.4]", "1.2.3.4"},
		{list, "::ffff:1.2.3.4", "1.2.3.4"}, {list, "fe80::1%eth0", "fe80::1"}, {list, "fe80::1%" + strings.Repeat("e", 57), ""}, {list, "fe80::1%" + strings.Repeat("e", 56), "fe80::1"},
		{list, "203.0.113.9,", "203.0.113.9"}, {list, "203.0.113.9, , 198.51.100.7,,", "203.0.113.9"}, {list, "/", ""}, {list, ":", ""}, {list, "1.2.3.4:/", ""},
		{elements, "for=203.0.113.9", "203.0.113.9"}, {elements, "FOR=203.0.113.9;by=1.1.1.1", "203.0.113.9"}, {elements, `by=1.1.1.1 ; for="203.0.113.9:1"`, "203.0.113.9"},
		{elements, "for=6.6.6.6, for=203.0.113.9, for=198.51.100.1", "203.0.113.9"}, {elements, `for=203.0.113.9;x="a,b"`, "203.0.113.9"}, {elements, `for=203.0.113.9;x="a\",b"`, "203.0.113.9"},
		{elements, `for=6.6.6.6;x="\\", for=203.0.113.9;y="\\"`, "203.0.113.9"}, {elements, `x="a;for=6.6.6.6";for=203.0.113.9`, "203.0.113.9"}, {elements, `x="a\";for=6.6.6.6";for=203.0.113.9`, "203.0.113.9"},
		{elements, `a=\;for=203.0.113.9`, "203.0.113.9"}, {elements, `for=203.0.113.9;x="a;for=6.6.6.6"`, "203.0.113.9"},
		{elements, `for="203.0.11\3.9"`, ""}, {elements, `for="203.0.113.9`, ""}, {elements, "for=", ""}, {elements, `for=""`, ""}, {elements, "proto=https", ""},
		{elements, "for=203.0.113.9," + many, "203.0.113.9"}, {elements, "for=203.0.113.9, for=198.51.100.2," + many, "198.51.100.2"},
	} {
		t.Run(c.value, func(t *testing.T) {
			t.Parallel()
			var ended endings
			s := &exchangetest.Stream{Head: get(c.name, c.value)}
			changedPlane(t, &ended, func(g *exchange.Generation, tenant *exchange.Tenant) {
				trusting(g, tenant)
				tenant.Refuse = exchange.Misconfigured // nobody is asked
			}).Serve(s)
			if want := cmp.Or(c.want, "127.0.0.1"); ended.origin != want || ended.code != exchange.Misconfigured.Code {
				t.Errorf("the client is %s, want %s; %s: %s", ended.origin, want, ended.code, ended.cause)
			}
		})
	}
}

// TestForwardedHosts: only what can be a host or a scheme is taken for one.
func TestForwardedHosts(t *testing.T) {
	t.Parallel()
	target := record(t, okay)
	plane := changedPlane(t, atEnd{}, trusting, target.url)
	for c := range 256 {
		if strings.IndexByte(",;\"\\", byte(c)) >= 0 || c < ' ' || c == 0x7f {
			continue
		}
		host := "x" + string([]byte{byte(c)}) + "y"
		s := &exchangetest.Stream{Head: get("Forwarded", "for=203.0.113.9;host=\""+host+"\";proto=\""+host+"\"")}
		plane.Serve(s)
		got := target.last(s.Field("X-Request-Id"))
		isHost := 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._:[]", byte(c)) >= 0
		if strings.Contains(got, "\nX-Forwarded-Host: "+host+"\r\n") != isHost {
			t.Errorf("of the host %q the target gets\n%s", host, got)
		}
		if strings.Contains(got, "\nX-Forwarded-Proto: "+host+"\r\n") != message.IsToken([]byte(host)) {
			t.Errorf("of the scheme %q the target gets\n%s", host, got)
		}
	}
}
