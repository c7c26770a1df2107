package headers_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/policytest"
)

// text is a header, "|" between its lines.
func text(h message.Header) string {
	var lines []string
	for i := range h {
		if !h[i].Dropped {
			lines = append(lines, fmt.Sprintf("%s: %s", h[i].Name, h[i].Value))
		}
	}
	return strings.Join(lines, "|")
}

// TestEdits: what becomes of a header, of requests and of responses.
func TestEdits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ edits, fields, want string }{
		{"set: {X-A: new}", "", "X-A: new"}, {"set: {X-A: new}", "X-B: 1|X-A: 1|X-C: 1|x-a: 2|X_A: 3|X-D: 1", "X-B: 1|X-A: new|X-C: 1|X-D: 1"}, {"set: {X-A: [b, c, d]}", "X-A: 1|X-B: 2", "X-A: b|X-B: 2|X-A: c|X-A: d"}, {"set: {X-A: ''}", "X-A: 1", "X-A: "}, {"set: {X_A: new}", "X-A: 1", "X_A: new"},
		{"set: {B: '2', A: '1'}", "", "A: 1|B: 2"}, {"add: {B: '2', A: '1'}", "A: 0", "A: 0|A: 1|B: 2"}, {"add: {X-A: [b, c]}", "X-A: 1", "X-A: 1|X-A: b|X-A: c"},
		{"remove: X-A", "X-A: 1|x-a: 2|X_a: 3|X-AB: 4", "X-AB: 4"}, {"remove: [x_a, X-B]", "X-B: 0|X-A: 1|X-C: 2", "X-C: 2"}, {"remove: X-A", "", ""}, {"remove: X-A, add: {X-A: mine}", "X-A: 1", "X-A: mine"}, {"set: {X-A: new}, add: {X-A: more}", "X-A: 1", "X-A: new|X-A: more"},
		{"set: {X-A: '${tenant} at ${host} for ${client_address}, $${host} $host {host} ${request_id}'}", "", "X-A: x at example.com for 192.0.2.1, ${host} $host {host} id"},
	} {
		fields := ""
		if c.fields != "" {
			fields = "\r\n" + strings.ReplaceAll(c.fields, "|", "\r\n")
		}
		request := policytest.Request("GET / HTTP/1.1"+fields, "192.0.2.1")
		request.Host = []byte("example.com")
		chain := policytest.Build(t, "[{headers: {request: {"+c.edits+"}}}]", policy.Deps{})
		if o := policytest.Begin(chain, request, "X-A", "kept"); text(*request.Header) != c.want || o.Status != 200 || text(o.Header) != "X-A: kept" || chain.Amends() {
			t.Errorf("%s of %s: the request has %q, the response %q", c.edits, c.fields, text(*request.Header), text(o.Header))
		}
		request = policytest.Request("GET / HTTP/1.1\r\nX-A: kept", "192.0.2.1")
		request.Host = []byte("example.com")
		var list []string
		for field := range strings.SplitSeq(c.fields, "|") {
			if name, value, ok := strings.Cut(field, ": "); ok {
				list = append(list, name, value)
			}
		}
		chain = policytest.Build(t, "[{headers: {response: {"+c.edits+"}}}]", policy.Deps{})
		if o := policytest.Begin(chain, request, list...); text(o.Header) != c.want || text(*request.Header) != "X-A: kept" || !chain.Amends() {
			t.Errorf("%s of %s: the response has %q, the request %q", c.edits, c.fields, text(o.Header), text(*request.Header))
		}
	}
	request := policytest.Request("GET / HTTP/1.1\r\nA: 1\r\nB: 2", "")
	chain := policytest.Build(t, "[{headers: {request: {remove: A}, response: {set: {C: '3'}}}}]", policy.Deps{})
	if o := policytest.Begin(chain, request); text(*request.Header) != "B: 2" || text(o.Header) != "C: 3" {
		t.Errorf("of both: %q, %q", text(*request.Header), text(o.Header))
	}
}

// TestSections: what is refused of a section.
func TestSections(t *testing.T) {
	t.Parallel()
	const frames, own = "it says how the message is framed, or what holds on one connection, which the gateway decides", "the gateway itself writes it"
	of := func(n int) string { return strings.Repeat("x", n) }
	lines := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprint("X-", i)
		}
		return strings.Join(list, ", ")
	}
	for section, want := range map[string]string{
		"{}": "headers changes nothing, expected set, add or remove below request or response", "{request: {}, response: {}}": "headers changes nothing", "{request: {remove: A}}": "", "{response: {add: {A: b}}}": "",
		"{request: {remove: 'a b'}}": `"a b" is not the name of a field, expected one like X-Frame-Options`, "{request: {set: {'': x}}}": `"" is not the name of a field`, "{request: {remove: " + of(256) + "}}": "", "{request: {remove: " + of(257) + "}}": `"` + of(64) + `" is not the name of a field`,
		"{request: {set: {A: []}}}": `field "A" has no value, expected one, or "" for an empty one`, "{request: {set: {A: b, a: c}}}": `field "a" is set twice, as "A" too, expected it once`, "{request: {set: {X-A: b, X_A: c}}}": `field "X_A" is set twice, as "X-A" too`, "{request: {add: {A: b, a: c}}}": "",
		"{request: {remove: a, set: {A: b}}}": `field "a" is in remove and in set, expected it in set alone, which replaces what there is`, "{request: {remove: a, add: {A: b}}}": "", "{request: {remove: a}, response: {set: {A: b}}}": "",
		"{request: {set: {Host: x}}}": `field "Host" can't be changed here: preserve_host says whether targets get the client's Host or their own`, "{response: {set: {Host: x}}}": "", "{request: {set: {X-Forwarded-For: x}}}": "the gateway itself writes it, of what server.trusted_proxies believes", "{request: {remove: x_forwarded_proto}}": "the gateway itself writes it, of what", "{request: {add: {Forwarded: x}}}": "the gateway itself writes it, of what", "{response: {set: {X-Forwarded-For: x}}}": "",
		"{request: {set: {Via: x}}}": own, "{request: {set: {X-Request-Id: x}}}": own, "{request: {set: {X-Gateway-Hops: x}}}": own, "{request: {set: {X-Gateway-Error: x}}}": own, "{response: {set: {X-Gateway-Error: x}}}": own, "{response: {remove: Via}}": own, "{request: {remove: Expect}}": "expect says who answers it",
		"{response: {set: {date: x}}}": "it is the time at which the response was made", "{request: {set: {Date: x}}}": "",
		"{request: {set: {Content-Length: x}}}": frames, "{request: {remove: transfer_encoding}}": frames, "{request: {remove: Connection}}": frames, "{response: {remove: Upgrade}}": frames, "{response: {set: {Trailer: x}}}": frames, "{request: {set: {TE: x}}}": frames, "{request: {set: {Proxy-Authorization: x}}}": frames, "{request: {set: {Keep-Alive: x}}}": frames, "{request: {set: {HTTP2-Settings: x}}}": frames,
		"{request: {remove: [" + lines(100) + "]}}": "", "{request: {remove: [" + lines(101) + "]}}": "101 lines of 395 bytes are too many, expected at most 100 of 16384", "{request: {remove: [" + lines(99) + "], add: {A: [b, c]}}}": "101 lines of ", "{request: {remove: [" + lines(98) + "], add: {A: [b, c]}}}": "",
		"{request: {set: {A: [" + of(8191) + ", " + of(8191) + "]}}}": "", "{request: {set: {A: [" + of(8191) + ", " + of(8192) + "]}}}": "2 lines of 16385 bytes are too many",
	} {
		_, err := policytest.Check("[{headers: "+section+"}]", "")
		if got := fmt.Sprint(err); (err == nil) != (want == "") || !strings.Contains(got, want) || strings.Contains(got, "\n") {
			t.Errorf("%.200s: %.300v, want %s", section, err, want)
		}
	}
	for section, want := range map[string]string{
		"{request: {remove: ['X-*']}}": `"X-*" is the field of just that name, since names have no wildcards; expected each name by itself`, "{request: {set: {-A: b}}}": `"-A" is the field of just that name; expected remove: [A] to remove one`, "{response: {add: {+A: b}}}": `"+A" is the field of just that name; expected add: {A: …} to add one`,
		"{response: {set: {content_encoding: gzip}}}": `field "content_encoding" says how the body is encoded, which stays as it is: clients will fail to decode it`, "{response: {add: {Content-Encoding: gzip}}}": `field "Content-Encoding" says how the body is encoded`, "{request: {set: {Content-Encoding: gzip}}}": "", "{request: {set: {A: $host}}}": `"$host" is taken as it stands, and no variable: what is known of each request is ${client_address}, ${host}`, "{response: {add: {A: [b, $host]}}}": `"$host" is taken as it stands`, "{response: {remove: A}}": "",
	} {
		config, err := policytest.Check("[{headers: "+section+"}]", "")
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		config.WarnOfPolicies(func(_ any, format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) })
		if got := strings.Join(said, "\n"); (got == "") != (want == "") || !strings.HasPrefix(got, want) || len(said) > 1 {
			t.Errorf("%s: %q, want %q", section, got, want)
		}
	}
}

func TestAllocates0(t *testing.T) { //nolint:paralleltest // it counts allocations
	policytest.Allocates0(t, policytest.Build(t, "[{headers: {request: {set: {X-A: b}, remove: X-B}, response: {remove: Server, set: {X-C: d}}}}]", policy.Deps{}), policytest.Request("GET / HTTP/1.1\r\nX-A: 1\r\nX-B: 2\r\nServer: x", "10.0.0.1"))
}
