package routing_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua/pattern"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
	"github.com/keystone-gateway/keystone-gateway/tenants/routing"
)

// request makes one of "METHOD /prefix|/path?query from address", and fields.
func request(line string, fields ...string) *routing.Request {
	r := &routing.Request{}
	line, from, _ := strings.Cut(line, " from ")
	method, target, _ := strings.Cut(line, " ")
	target, query, has := strings.Cut(target, "?")
	prefix, below, prefixed := strings.Cut(target, "|")
	if !prefixed {
		prefix, below = "", target
	}
	r.Method, r.Key, r.Below = []byte(method), []byte(prefix+below), []byte(below)
	if has {
		r.Query = []byte("?" + query)
	}
	if r.Unix = from == "unix"; !r.Unix && from != "" && from != "nobody" {
		r.Client = netip.MustParseAddr(from)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		name, dropped := strings.CutPrefix(name, "-")
		r.Header = append(r.Header, message.Field{Name: []byte(name), Value: []byte(value), Dropped: dropped, ID: message.Identify([]byte(name))})
	}
	return r
}

// taken says which route a request takes, what its path has captured, and from where on
// in the key; or that none is for its method, and which are.
func taken(t *routing.Table, r *routing.Request) string {
	var params pattern.Params
	found, offset, outcome := t.Match(r, &params)
	if outcome != pattern.Found {
		if found != nil || params.Len() > 0 {
			return "something is left of what was not found"
		}
		if outcome == pattern.WrongMethod {
			return "405 " + t.Allow(r, &params)
		}
		return outcome.String()
	}
	text := found.Place
	for i := range params.Len() {
		name, value := params.At(i)
		text += fmt.Sprintf(" %s=%s", name, value)
	}
	if offset > 0 {
		text += fmt.Sprintf(" at %d", offset)
	}
	return text
}

// table is one of routes that are called by their numbers.
func table(t *testing.T, slashes bool, list ...string) *routing.Table {
	t.Helper()
	var routes []*routing.Route
	for i, config := range decode(t, list...) {
		var found complaints
		if config.Check(&found); len(found) > 0 {
			t.Fatalf("%s: %q", list[i], found)
		}
		routes = append(routes, routing.New(config, fmt.Sprint(i), nil, nil))
	}
	return routing.NewTable(routes, slashes)
}

// TestMatch: which route requests take: the first of which all conditions hold.
func TestMatch(t *testing.T) {
	t.Parallel()
	none := pattern.NotFound.String()
	for _, c := range []struct {
		routes []string
		asks   [][]string // a request, its fields, and what comes of it
	}{
		{[]string{"{path: /a}", "{path: ['/a/{x}', '/b/*']}", "{}"}, [][]string{{"GET /a", "0"}, {"GET /a/1", "1 x=1"}, {"GET /b/1/2", "1 *=1/2"}, {"GET /c", "2"}, {"GET /a/", "2"}}},
		{[]string{"{path: /a, methods: [GET, POST]}", "{path: /a, methods: PUT}", "{path: /b, methods: [HEAD, GET]}"}, [][]string{
			{"GET /a", "0"}, {"HEAD /a", "0"}, {"POST /a", "0"}, {"PUT /a", "1"}, {"DELETE /a", "405 GET, HEAD, POST, PUT"}, {"get /a", "405 GET, HEAD, POST, PUT"}, {"GET /c", none}, {"POST /b", "405 GET, HEAD"},
		}},
		{[]string{"{methods: GET}"}, [][]string{{"GET /a", "0"}, {"POST /a", "405 GET, HEAD"}}},
		{[]string{"{methods: POST, headers: {A: b}}", "{methods: GET}"}, [][]string{{"PUT /", "405 GET, HEAD"}, {"PUT /", "A: b", "405 GET, HEAD, POST"}, {"POST /", "405 GET, HEAD"}, {"POST /", "A: b", "0"}}},
		{[]string{"{headers: {X-A: b, X-C: '*'}}"}, [][]string{
			{"GET /", none}, {"GET /", "x-a: b", "X-C: ", "0"}, {"GET /", "X-A: b", none}, {"GET /", "X-A: bb", "X-C: 1", none}, {"GET /", "X-A: a", "X-A: b", "X-C: 1", "0"}, {"GET /", "-X-A: b", "X-C: 1", none}, {"GET /", "X-A: B", "X-C: 1", none},
		}},
		{[]string{"{query: {a: 'b*'}}", "{query: {'c d': '&'}}"}, [][]string{
			{"GET /", none}, {"GET /?a=b", "0"}, {"GET /?x&a=bcd&y", "0"}, {"GET /?a=c&a=b", "0"}, {"GET /?A=b", none}, {"GET /?a", none}, {"GET /?%61=%62", "0"}, {"GET /?c+d=%26", "1"}, {"GET /?c%20d=&c+d=%26", "1"}, {"GET /?", none}, {"GET /?aa=b", none},
		}},
		{[]string{"{cookies: {a: b}}"}, [][]string{
			{"GET /", none}, {"GET /", "Cookie: a=b", "0"}, {"GET /", "cookie: x=y; a=b", "0"}, {"GET /", "Cookie: a=c; a=b", "0"}, {"GET /", "Cookie: a=c", "Cookie: a=b", "0"}, {"GET /", "-Cookie: a=b", none}, {"GET /", "Cookies: a=b", none}, {"GET /", "Cookie: A=b", none}, {"GET /", "Cookie: ", none}, {"GET /", `Cookie: a="b"`, "0"},
		}},
		{[]string{"{clients: [10.0.0.0/8, unix]}", "{clients: '::1'}"}, [][]string{{"GET / from 10.1.1.1", "0"}, {"GET / from 11.1.1.1", none}, {"GET / from unix", "0"}, {"GET / from nobody", none}, {"GET / from ::1", "1"}}},
		{[]string{"{clients: 10.0.0.0/8}"}, [][]string{{"GET / from unix", none}, {"GET / from ::ffff:10.1.1.1", "0"}}},
		{[]string{"{path: '/{x}'}", "{path: '/p/{y}'}", "{path: '/p/q/{z}'}"}, [][]string{{"GET /p|/a", "0 x=a at 2"}, {"GET /p|/q/a", "2 z=a"}, {"GET /p|/q/a/b", none}, {"GET /q|/p/a", "1 y=a at 2"}, {"GET /p/a", "1 y=a"}, {"GET /p|/p/a", "1 y=a at 2"}}},
		{[]string{"{path: ['/p/{y}', '/{y}']}"}, [][]string{{"GET /p|/a", "0 y=a"}}},
	} {
		tab := table(t, false, c.routes...)
		for _, ask := range c.asks {
			n := len(ask) - 1
			if got := taken(tab, request(ask[0], ask[1:n]...)); got != ask[n] {
				t.Errorf("%q: %q: %q, want %q", c.routes, ask[:n], got, ask[n])
			}
		}
	}
	slashes := table(t, true, "{path: /a}", "{path: /b/}", "{path: '/c/*'}", "{path: '/{x}/d'}", "{path: /}")
	for ask, want := range map[string]string{
		"GET /a": "0", "GET /a/": "0", "GET /a//": none, "GET /b/": "1", "GET /b": none, "GET /c/": "2 *=", "GET /x/d/": "3 x=x", "GET /": "4", "GET /p|/a/": "0 at 2", "GET /p|/": "4 at 2", "GET /x|/d/": "3 x=x",
	} {
		if got := taken(slashes, request(ask)); got != want {
			t.Errorf("without slashes, %s: %q, want %q", ask, got, want)
		}
	}
	if routing.NewTable(nil, true) != nil || taken(nil, request("GET /")) != none || (*routing.Table)(nil).Routes() != nil || len(slashes.Routes()) != 5 {
		t.Error("no routes are some")
	}
	(*routing.Table)(nil).DropOwned(nil)
	slow := table(t, false, "{path: '/{x:(.*a){100}b}'}", "{}")
	if got := taken(slow, request("GET /"+strings.Repeat("a", 16<<10))); got != pattern.Exhausted.String() {
		t.Errorf("a match that was given up: %q", got)
	}
	if got := taken(slow, request("GET /x")); got != "1" {
		t.Errorf("one that wasn't: %q", got)
	}
}

// TestRequestsAreReset: they keep their memory, unless it is much.
func TestRequestsAreReset(t *testing.T) {
	t.Parallel()
	tab := table(t, false, "{query: {a: b}}")
	for _, size := range []int{10, 40 << 10} {
		r := request("GET /?x="+strings.Repeat("y", size)+"&a="+strings.Repeat("z", size)+" from unix", "A: b")
		_ = taken(tab, r)
		r.Reset()
		if r.Method != nil || r.Key != nil || r.Below != nil || r.Query != nil || r.Header != nil || r.Unix || r.Client.IsValid() {
			t.Errorf("what is left is %+v", r)
		}
	}
}

// TestLocations: where redirects lead, and which paths services get.
func TestLocations(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ path, to, query, values, want, rewritten string }{
		{"/a", "/x", "?q", "", "/x?q", "/x"}, {"/a", "/x", "", "", "/x", "/x"}, {"/a", "/x?own", "?q", "", "/x?own", "/x?own"}, {"/a", "/x#top", "?q", "", "/x?q#top", ""}, {"/a", "/x?own#top", "?q", "", "/x?own#top", ""},
		{"/a", "https://example.com", "?q", "", "https://example.com?q", ""}, {"/a", "https://example.com//x", "", "", "https://example.com/x", ""}, {"/a", "http://example.com/x//y", "", "", "http://example.com/x/y", ""},
		{"/{a}/{b}", "/{b}/{a}", "?q", "a=1,b=2", "/2/1?q", "/2/1"}, {"/{a}", "/{a}", "", "a=/x", "/x", "/x"}, {"/{a}", "/{a}/", "", "a=x/", "/x/", "/x/"}, {"/{a}", "/x{a}y", "", "a=//", "/x/y", "/x/y"}, {"/{a}/{b}", "/{a}{b}", "", "a=x/,b=/y", "/x/y", "/x/y"},
		{"/{a}", "/x?q={a}", "?r", "a=1&2=3+4;5", "/x?q=1%262%3D3%2B4%3B5", "/x?q=1%262%3D3%2B4%3B5"}, {"/{a}", "/x?q={a}&{a}", "", "a=/", "/x?q=/&/", "/x?q=/&/"}, {"/{a}", "/{a}?{a}", "", "a=&", "/&?%26", "/&?%26"},
		{"/{a}", "https://example.com/{a}", "", "a=/evil", "https://example.com/evil", ""}, {"/{a}", "https://example.com?{a}", "", "a=/", "https://example.com?/", ""},
		{"/{a}", "/{a}", "", "a=..", "refused", "refused"}, {"/{a}", "/x/{a}.", "", "a=.", "refused", "refused"}, {"/{a}", "/x{a}", "", "a=..", "/x..", "/x.."}, {"/{a}", "/x?{a}", "", "a=/../", "/x?/../", "/x?/../"}, {"/{a}", "https://example.com/{a}/x", "", "a=..", "refused", ""},
	} {
		value := func(dst []byte, name string) []byte {
			for pair := range strings.SplitSeq(c.values, ",") {
				if value, ok := strings.CutPrefix(pair, name+"="); ok {
					return append(dst, value...)
				}
			}
			return append(dst, '!')
		}
		said := func(got []byte, err error) string {
			if errors.Is(err, route.RefusedCapture) {
				return "before:refused"
			}
			return string(got)
		}
		leading := decode(t, fmt.Sprintf("{path: %q, redirect: {to: %q, status: 302}}", c.path, c.to))[0]
		redirect := routing.New(leading, "", nil, nil)
		if got := said(redirect.Redirect.Append([]byte("before:"), []byte(c.query), value)); got != "before:"+c.want || redirect.Redirect.Status != 302 || leading.Forwards() {
			t.Errorf("%s to %s of %s: %q, want %q", c.path, c.to, c.values, got, c.want)
		}
		if c.rewritten == "" {
			continue
		}
		passing := decode(t, fmt.Sprintf("{path: %q, rewrite: %q}", c.path, c.to))[0]
		rewrite := routing.New(passing, "", nil, nil)
		if got := said(rewrite.Rewrite.Append([]byte("before:"), value)); got != "before:"+c.rewritten || !passing.Forwards() {
			t.Errorf("%s rewritten to %s of %s: %q, want %q", c.path, c.to, c.values, got, c.rewritten)
		}
	}
}

// TestBoundsOfRoutes are what the configuration says; 0 is the tenant's.
func TestBoundsOfRoutes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{}": "0 0s 0s 0s routes[7].timeouts.total false true", "{max_body_size: 5, timeouts: {response_header: 1s, idle: 2s, total: 3s}, compression: false}": "5 1s 2s 3s routes[7].timeouts.total true true", "{respond: {}}": "0 0s 0s 0s routes[7].timeouts.total false false",
	} {
		config := decode(t, text)[0]
		r := routing.New(config, "routes[7]", nil, nil)
		if got := fmt.Sprint(r.MaxBody, " ", r.ResponseHeader, " ", r.Idle, " ", r.Total, " ", r.TotalKey, " ", r.Plain, " ", config.Forwards()); got != want || r.Place != "routes[7]" || r.Rewrite != nil {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	for text, every := range map[string]bool{"{}": true, "{path: /a}": false} {
		if r := routing.New(decode(t, text)[0], "", nil, nil); r.EveryPath() != every {
			t.Errorf("%s is for every path: %v", text, !every)
		}
	}
}
