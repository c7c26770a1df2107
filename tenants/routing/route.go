package routing

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua/pattern"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/affinity"
	"github.com/keystone-gateway/keystone-gateway/tenants/network"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/site"
)

// Route is one route, compiled. It doesn't change any more.
type Route struct {
	Place    string        // "routes[3]"
	Policies *policy.Chain // nil without
	// How it answers; all nil: the tenant's services do.
	Redirect *Redirect
	Answer   *Answer
	Files    *Files
	// Pool is the index of the one that gets the requests, among the tenant's; -1 is the
	// default one.
	Pool  int
	Split *affinity.Split // in its place; nil: there is none
	// Mirror gets copies; nil: there are none.
	Mirror *Mirror
	// What services get: nil is the client's path.
	Rewrite *Rewrite
	// Bounds in the place of the tenant's; 0 is the tenant's.
	MaxBody                     int64
	ResponseHeader, Idle, Total time.Duration
	TotalKey                    string // of the setting of Total
	Plain                       bool   // responses aren't compressed

	paths   []*pattern.Pattern // nil: every path
	methods []string           // nil: every method
	headers []condition
	query   []condition
	cookies []condition
	clients *network.Set // nil: every client
	onUnix  bool
}

// condition is what a named value must be.
type condition struct {
	name string
	is   policy.Glob
}

// Redirect leads elsewhere.
type Redirect struct {
	Status int
	to     *location
}

// Rewrite is the path that services get.
type Rewrite struct{ to *location }

// Append appends the path with its query, if it has one of its own. value and err are as
// for Redirect.Append.
func (r *Rewrite) Append(dst []byte, value func(dst []byte, name string) []byte) (path []byte, err error) {
	return r.to.append(dst, value)
}

// Files is a directory whose files are served.
type Files struct {
	Site *site.Site
	// Place takes a place for an open file, which giveBack gives back once; the error
	// says that the process has too many open.
	Place func() (giveBack func(), err error)
}

// Answer is what is answered. Nobody may change what it has.
type Answer struct {
	Status int
	Header message.Header
	Body   []byte
}

// New compiles a route that has passed its check, and whose file has been loaded. open is
// the Place of Files.
func New(c *Config, place string, policies *policy.Chain, open func() (giveBack func(), err error)) *Route {
	r := &Route{Place: place, Pool: -1, Policies: policies, paths: c.patterns(), methods: c.AllMethods()}
	r.headers, r.query, r.cookies = conditions(c.Headers), conditions(c.Query), conditions(c.Cookies)
	for i := range r.headers {
		r.headers[i].name = strings.ToLower(r.headers[i].name)
	}
	if len(c.Clients) > 0 {
		set, unix := network.ParseSet(c.Clients)
		r.clients, r.onUnix = &set, unix
	}
	if c.Rewrite != "" {
		to, _ := parseLocation(c.Rewrite, r.paths)
		r.Rewrite = &Rewrite{to}
	}
	r.MaxBody, r.Plain = c.MaxBodySize.Int64(), !c.Compression
	r.TotalKey = place + ".timeouts.total"
	r.ResponseHeader, r.Idle, r.Total = c.Timeouts.ResponseHeader.Std(), c.Timeouts.Idle.Std(), c.Timeouts.Total.Std()
	switch {
	case c.Redirect != nil:
		to, _ := parseLocation(c.Redirect.To, r.paths)
		r.Redirect = &Redirect{c.Redirect.Status, to}
	case c.Respond != nil:
		r.Answer = c.Respond.answer()
	case c.Files != nil:
		r.Files = &Files{site.New(c.Files), open}
	}
	return r
}

// LeadTo has the route lead to its pools; index is that of a pool by its name.
func (r *Route) LeadTo(c *Config, index func(name string) int) {
	if c.Pool != "" {
		r.Pool = index(c.Pool)
	}
	if c.Mirror != nil {
		r.Mirror = newMirror(c.Mirror, index)
	}
	if c.Split == nil {
		return
	}
	key, _ := affinity.ParseKey(c.Split.By)
	r.Split = affinity.NewSplit(key, r.Place)
	for _, name := range slices.Sorted(maps.Keys(c.Split.To)) {
		r.Split.Add(name, index(name), c.Split.To[name])
	}
}

// AllMethods are those of the route, HEAD with GET; nil is every method.
func (c *Config) AllMethods() []string {
	if len(c.Methods) == 0 {
		return nil
	}
	methods := slices.Clone(c.Methods)
	if slices.Contains(methods, "GET") && !slices.Contains(methods, "HEAD") {
		methods = append(methods, "HEAD")
	}
	return methods
}

func conditions(of map[string]string) (list []condition) {
	for _, name := range slices.Sorted(maps.Keys(of)) {
		list = append(list, condition{name, policy.NewExactGlob(of[name])})
	}
	return list
}

func (c *RespondConfig) answer() *Answer {
	a := &Answer{Status: c.Status, Body: c.content}
	if c.Body != "" {
		a.Body = []byte(c.Body)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		a.Header = append(a.Header, message.Field{Name: []byte(name), Value: []byte(c.Headers[name]), ID: message.Identify([]byte(name))})
	}
	if len(a.Body) > 0 && (c.ContentType != "" || !a.Header.Has(message.ContentType)) {
		a.Header.Set([]byte("Content-Type"), []byte(policy.TypeOf(a.Body, c.ContentType)))
	}
	return a
}

// Forwards reports whether the tenant's services answer.
func (r *Route) Forwards() bool { return r.Redirect == nil && r.Answer == nil && r.Files == nil }

// EveryPath reports whether the route has no pattern.
func (r *Route) EveryPath() bool { return r.paths == nil }

// Append appends the location. value appends what was captured under a name of the
// route's path to dst; query, with its "?", goes along where the location has none. What
// captures would make a dot segment of is refused: it leads where nobody has meant to.
func (r *Redirect) Append(dst, query []byte, value func(dst []byte, name string) []byte) (location []byte, err error) {
	if dst, err = r.to.append(dst, value); err != nil {
		return dst, err
	}
	if !r.to.query {
		dst = append(dst, query...)
	}
	return append(dst, r.to.fragment...), nil
}
