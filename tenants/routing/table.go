package routing

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/lua/pattern"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/cookie"
)

// Table is the routes of a tenant, in the order of the configuration. The nil Table has
// none. It doesn't change; any number of goroutines may use it at once.
type Table struct {
	routes       []*Route
	stripSlashes bool
	owned        message.NameSet
}

// NewTable returns the table of these routes. With stripSlashes, a slash at the end of
// a path makes no difference to them.
func NewTable(routes []*Route, stripSlashes bool) *Table {
	if len(routes) == 0 {
		return nil
	}
	t := &Table{routes: routes, stripSlashes: stripSlashes}
	var owned []string
	for _, r := range routes {
		owned = append(owned, r.Policies.Owns()...)
	}
	t.owned = message.NewNameSet(owned)
	return t
}

// Routes are those of the table.
func (t *Table) Routes() []*Route {
	if t == nil {
		return nil
	}
	return t.routes
}

// DropOwned marks the fields that only policies of routes may write as Dropped: what a
// policy of one route writes must not be sent by clients that take another.
func (t *Table) DropOwned(h message.Header) {
	if t != nil {
		t.owned.Drop(h)
	}
}

// Request is what routes look at. All slices are only read.
type Request struct {
	Method []byte
	// Key is the path in the form in which paths are compared (route.Key), and Below that
	// of the path below the tenant's prefix: Key itself if it has none.
	Key, Below []byte
	Query      []byte // with its "?", or empty
	Header     message.Header
	// Client is the client's address, past trusted proxies; where it isn't Valid, Unix
	// says whether that is a client on a Unix socket.
	Client netip.Addr
	Unix   bool

	text []byte // memory for what is decoded, kept
}

// Reset forgets the request, and keeps its memory.
func (r *Request) Reset() {
	text := r.text[:0]
	if cap(text) > keepText {
		text = nil
	}
	*r = Request{text: text}
}

const keepText = 16 << 10

// Match finds the route of a request: the first that matches, or nil. Params has what
// its path has captured, in a path of which offset bytes of the key stand before it.
// Exhausted is that patterns were given up: the request must be refused. WrongMethod is
// that there are routes for the path with other methods. Nothing is allocated.
func (t *Table) Match(r *Request, params *pattern.Params) (found *Route, offset int, outcome pattern.Outcome) {
	if t == nil {
		return nil, 0, pattern.NotFound
	}
	params.Reset()
	for _, route := range t.routes {
		method := route.hasMethod(r.Method)
		if !method && outcome == pattern.WrongMethod {
			continue
		}
		offset, got := t.matchPath(route, r, params)
		switch {
		case got == pattern.Exhausted:
			return nil, 0, got
		case got != pattern.Found || !route.holds(r):
		case !method:
			outcome = pattern.WrongMethod
		default:
			return route, offset, pattern.Found
		}
	}
	params.Reset()
	return nil, 0, outcome
}

// matchPath compares a route's patterns with the path below the tenant's prefix, then
// with the whole path, each without a slash at its end first, where that makes no
// difference: as scripts' routes are compared.
func (t *Table) matchPath(route *Route, r *Request, params *pattern.Params) (offset int, outcome pattern.Outcome) {
	if route.paths == nil {
		return 0, pattern.Found
	}
	forms := [2][]byte{r.Below, r.Key}
	n := 1
	if len(r.Below) != len(r.Key) {
		n = 2
	}
	for _, p := range route.paths {
		for _, path := range forms[:n] {
			offset = max(0, len(r.Key)-len(path))
			if last := len(path) - 1; t.stripSlashes && last > 0 && path[last] == '/' {
				if outcome = p.Match(path[:last], params); outcome != pattern.NotFound {
					return offset, outcome
				}
			}
			if outcome = p.Match(path, params); outcome != pattern.NotFound {
				return offset, outcome
			}
		}
	}
	return 0, pattern.NotFound
}

// Allow lists the methods of the routes that match but for their method.
func (t *Table) Allow(r *Request, params *pattern.Params) string {
	var methods []string
	for _, route := range t.routes {
		if _, got := t.matchPath(route, r, params); got == pattern.Found && route.holds(r) {
			methods = append(methods, route.methods...)
		}
	}
	params.Reset()
	slices.Sort(methods)
	return strings.Join(slices.Compact(methods), ", ")
}

func (r *Route) hasMethod(method []byte) bool {
	for _, m := range r.methods {
		if string(method) == m {
			return true
		}
	}
	return r.methods == nil
}

// holds reports whether all conditions but path and method hold.
func (r *Route) holds(of *Request) bool {
	return r.fromClient(of) && all(r.headers, of, (*condition).inHeader) && all(r.query, of, (*condition).inQuery) && all(r.cookies, of, (*condition).inCookies)
}

func (r *Route) fromClient(of *Request) bool {
	switch {
	case r.clients == nil:
		return true
	case of.Client.IsValid():
		return r.clients.Contains(of.Client)
	}
	return r.onUnix && of.Unix
}

func all(list []condition, of *Request, holds func(*condition, *Request) bool) bool {
	for i := range list {
		if !holds(&list[i], of) {
			return false
		}
	}
	return true
}

// inHeader: one of several lines is enough.
func (c *condition) inHeader(r *Request) bool {
	for i := range r.Header {
		if f := &r.Header[i]; !f.Dropped && message.EqualFold(f.Name, c.name) && c.is.Match(f.Value) {
			return true
		}
	}
	return false
}

// inCookies: clients send several of one name in any order, so that one is enough.
func (c *condition) inCookies(r *Request) bool {
	for i := range r.Header {
		f := &r.Header[i]
		if f.Dropped || !message.EqualFold(f.Name, "cookie") {
			continue
		}
		for rest := f.Value; len(rest) > 0; {
			var pair []byte
			pair, rest, _ = bytes.Cut(rest, []byte(";"))
			if value, ok := cookie.In(pair, c.name); ok && c.is.Match(value) {
				return true
			}
		}
	}
	return false
}

// inQuery: one of several parameters of that name is enough, however it is written.
func (c *condition) inQuery(r *Request) bool {
	for rest := bytes.TrimPrefix(r.Query, []byte("?")); len(rest) > 0; {
		var pair []byte
		pair, rest, _ = bytes.Cut(rest, []byte("&"))
		name, value, _ := bytes.Cut(pair, []byte("="))
		r.text = message.AppendParameter(r.text[:0], name)
		if string(r.text) != c.name {
			continue
		}
		if r.text = message.AppendParameter(r.text[:0], value); c.is.Match(r.text) {
			return true
		}
	}
	return false
}
