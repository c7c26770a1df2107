package routing

import (
	_ "embed" // for Source
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua/pattern"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/affinity"
	"github.com/keystone-gateway/keystone-gateway/tenants/network"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
	"github.com/keystone-gateway/keystone-gateway/tenants/site"
)

//go:embed config.go
var source string

// Source is the text whose comments document the sections.
func Source() string { return source }

// Config is what an element of the list routes says of the requests that take it, and
// how they are answered, but for its policies. All conditions must hold; of redirect
// respond and files it has one at most, and without them the tenant's services get the
// requests.
type Config struct {
	// Patterns of the paths, one without a list, as scripts' routes have them:
	// /users/{id}, {id:[0-9]+} for a regular expression, and "*" at the end for all that
	// follows, as in /files/*, which isn't /files itself. They are compared with the path
	// below path_prefix, and with the whole path. Default: every path.
	Path []string `yaml:"path" single:"true"`

	// Methods, one without a list; GET is HEAD too, so that what guards the one guards
	// the other. Default: every method.
	Methods []string `yaml:"methods" single:"true"`

	// Fields of the request, each with the value that one of its lines must have; "*" in
	// it stands for any text, so that "*" alone asks for the field itself. Default: none.
	Headers map[string]string `yaml:"headers"`

	// Parameters of the query, decoded, with their values, likewise. Default: none.
	Query map[string]string `yaml:"query"`

	// Cookies, with their values, likewise. Default: none.
	Cookies map[string]string `yaml:"cookies"`

	// Networks of the client, as policies' ip has them; "unix" stands for clients on a
	// Unix socket. Default: every client.
	Clients []string `yaml:"clients" single:"true"`

	// Leads to another URL.
	Redirect *RedirectConfig `yaml:"redirect"`

	// Answers with what stands here.
	Respond *RespondConfig `yaml:"respond"`

	// Serves the files of a directory.
	Files *site.Config `yaml:"files"`

	// Pool that gets the requests, of the tenant's pools. Default: "default", the tenant's
	// services.
	Pool string `yaml:"pool"`

	// Pools that share the requests, in the place of pool: for a canary, or to go from one
	// version to the next.
	Split *SplitConfig `yaml:"split"`

	// Pool that gets copies of the requests, whose answers are dropped.
	Mirror *MirrorConfig `yaml:"mirror"`

	// Path that services get in the place of the client's: {name} stands for what that
	// parameter of the route's path has matched, {*} for what its "*" has. The query goes
	// along, unless there is one here. strip_prefix doesn't hold for it. Default: the
	// client's path.
	Rewrite string `yaml:"rewrite"`

	// Bound of the requests' bodies, above or below that of the tenant. 0 is the
	// tenant's, request_limits.max_body_size. Default: 0.
	MaxBodySize settings.Size `yaml:"max_body_size"`

	// Time limits of the exchange with a target, in the place of the tenant's.
	Timeouts TimeoutsConfig `yaml:"timeouts"`

	// Whether responses are compressed, as the tenant's compression says, those of
	// respond too; false leaves them as they are. Default: true.
	Compression bool `yaml:"compression"`
}

// SetDefaults fills a fresh element of the list.
func (c *Config) SetDefaults() { c.Compression = true }

// MirrorConfig is the section mirror of a route.
type MirrorConfig struct {
	// Pool that gets the copies, of the tenant's pools.
	Pool string `yaml:"pool" required:"true"`

	// Which part of the requests is copied, such as 10%. Default: 100%.
	Share Share `yaml:"share"`
}

// SetDefaults fills a fresh section.
func (c *MirrorConfig) SetDefaults() { c.Share = 1 }

// SplitConfig is the section split of a route.
type SplitConfig struct {
	// Weights of the pools by their names, 0 to 1000 each, such as {blue: 95, green: 5}.
	To map[string]int `yaml:"to" required:"true"`

	// What requests that belong together have the same of, which always go to the same
	// pool: client (its address), path, "header:NAME", "cookie:NAME", "query:NAME", or key,
	// which a script sets with request:balance_key(text). A request that has none of it goes
	// by its client's address. Default: client.
	By string `yaml:"by"`
}

// SetDefaults fills a fresh section.
func (c *SplitConfig) SetDefaults() { c.By = "client" }

func (c *SplitConfig) check(r settings.Reporter) {
	total := 0
	for _, name := range slices.Sorted(maps.Keys(c.To)) {
		weight := c.To[name]
		if weight < 0 || weight > 1000 {
			r.Errorf(&c.To, "split.to has the weight %d for %.64q, expected 0 to 1000", weight, name)
		}
		total += max(weight, 0)
	}
	if total == 0 {
		r.Errorf(&c.To, "split.to has no pool with a weight above 0, expected one like {blue: 95, green: 5}")
	}
	if _, err := affinity.ParseKey(c.By); err != nil {
		r.Errorf(&c.By, "%v", err)
	}
}

// TimeoutsConfig is the section timeouts of a route. What is 0 is the tenant's, from
// its section timeouts.
type TimeoutsConfig struct {
	// Until the head of the target's response is there. Default: 0.
	ResponseHeader settings.Duration `yaml:"response_header"`

	// Between two reads or writes of bodies and tunnels. Default: 0.
	Idle settings.Duration `yaml:"idle"`

	// For the request as a whole, from its arrival to the last byte of the response.
	// Default: 0.
	Total settings.Duration `yaml:"total"`
}

// RedirectConfig is the section redirect of a route.
type RedirectConfig struct {
	// Path, or URL with http or https. {name} stands for what that parameter of the
	// route's path has matched, {*} for what its "*" has. The query goes along, unless
	// there is one here.
	To string `yaml:"to" required:"true"`

	// 301 and 308 may be kept for ever, 302, 303 and 307 are for now; 307 and 308 keep
	// the method and the body. Default: 308.
	Status int `yaml:"status" min:"301" max:"308"`
}

// SetDefaults fills a fresh section.
func (c *RedirectConfig) SetDefaults() { c.Status = 308 }

// RespondConfig is the section respond of a route.
type RespondConfig struct {
	// Status of the answer, 200 to 599. Default: 200.
	Status int `yaml:"status" min:"200" max:"599"`

	// Fields of the answer. Default: none.
	Headers map[string]string `yaml:"headers"`

	// Text of the answer. Default: none.
	Body string `yaml:"body"`

	// File that has it, of at most 1 MiB; it is read when the configuration is. Default:
	// none.
	File string `yaml:"file"`

	// Content-Type of body or file. Default: text/html; charset=utf-8 for what begins
	// with "<", else text/plain; charset=utf-8.
	ContentType string `yaml:"content_type"`

	content []byte // of the file
}

// SetDefaults fills a fresh section.
func (c *RespondConfig) SetDefaults() { c.Status = 200 }

// Bounds of a route.
const (
	maxPage       = 1 << 20
	maxText       = 4 << 10
	maxConditions = 32
	maxValue      = 256
	maxStars      = 8
)

// Check reports what is wrong with the route.
func (c *Config) Check(r settings.Reporter) {
	c.checkPath(r)
	c.checkMethods(r)
	checkConditions(r, &c.Headers, "headers", "a field, expected one like X-Version")
	checkConditions(r, &c.Query, "query", "")
	checkConditions(r, &c.Cookies, "cookies", "a cookie, expected one like session")
	if c.Clients != nil && len(c.Clients) == 0 {
		r.Errorf(&c.Clients, "clients names nobody, expected a network; every client is what holds without the key")
	}
	for i := range c.Clients {
		if _, ok := network.Parse(c.Clients[i]); !ok && c.Clients[i] != network.Unix {
			r.Errorf(&c.Clients[i], "%.100q is not a network, expected one like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7, or \"unix\" for clients on a Unix socket%s", c.Clients[i], network.Meant(c.Clients[i]))
		}
	}
	if answers := c.answers(); len(answers) > 1 {
		r.Errorf(c, "the route has %s, expected one of them", strings.Join(answers, " and "))
	}
	if c.Redirect != nil {
		c.Redirect.check(r, c.patterns())
		c.checkCircle(r)
	}
	c.checkForwarding(r)
	if c.Respond != nil {
		c.Respond.check(r)
	}
	if c.Files != nil {
		c.Files.Check(r)
		if c.Methods != nil && !slices.Contains(c.Methods, "GET") {
			r.Errorf(&c.Methods, "files are there for GET and HEAD, expected GET among the methods")
		}
	}
}

// answers are the keys of what the route answers with; none is the tenant's services.
func (c *Config) answers() (keys []string) {
	if c.Redirect != nil {
		keys = append(keys, "redirect")
	}
	if c.Respond != nil {
		keys = append(keys, "respond")
	}
	if c.Files != nil {
		keys = append(keys, "files")
	}
	return keys
}

// Forwards reports whether the tenant's services answer.
func (c *Config) Forwards() bool { return len(c.answers()) == 0 }

// PoolNames are the pools that the route names; none is the default one.
func (c *Config) PoolNames() (names []string) {
	if c.Pool != "" {
		names = append(names, c.Pool)
	}
	if c.Split != nil {
		names = append(names, slices.Sorted(maps.Keys(c.Split.To))...)
	}
	return names
}

func (c *Config) checkPath(r settings.Reporter) {
	if c.Path != nil && len(c.Path) == 0 || len(c.Path) > maxConditions {
		r.Errorf(&c.Path, "path has %d patterns, expected 1 to %d", len(c.Path), maxConditions)
	}
	for i := range c.Path {
		if _, err := pattern.Parse(c.Path[i]); err != nil {
			r.Errorf(&c.Path[i], "%v", err)
		}
	}
}

func (c *Config) checkMethods(r settings.Reporter) {
	if c.Methods != nil && len(c.Methods) == 0 || len(c.Methods) > maxConditions {
		r.Errorf(&c.Methods, "methods has %d of them, expected 1 to %d; every method is what holds without the key", len(c.Methods), maxConditions)
	}
	for i := range c.Methods {
		switch m := c.Methods[i]; {
		case m == "ANY" || m == "*":
			r.Errorf(&c.Methods[i], "method %q is none: every method is what holds without the key methods", m)
		case m == "TRACE" || m == "CONNECT":
			r.Errorf(&c.Methods[i], "method %s is answered by no route: the gateway refuses it", m)
		case m == "" || len(m) > 32 || !message.IsToken([]byte(m)) || m != strings.ToUpper(m):
			r.Errorf(&c.Methods[i], "method %.40q is none, expected an upper-case word such as GET", m)
		}
	}
}

// patterns compiles those that are right; nil is every path.
func (c *Config) patterns() (list []*pattern.Pattern) {
	for _, text := range c.Path {
		if parsed, err := pattern.Parse(text); err == nil {
			list = append(list, parsed)
		}
	}
	return list
}

// checkConditions checks names and values; token is what a name is otherwise, where it
// has to be a token.
func checkConditions(r settings.Reporter, list *map[string]string, key, token string) {
	if len(*list) > maxConditions {
		r.Errorf(list, "%s has %d conditions, expected at most %d", key, len(*list), maxConditions)
	}
	for _, name := range slices.Sorted(maps.Keys(*list)) {
		value := (*list)[name]
		if name == "" || len(name) > 64 || token != "" && !message.IsToken([]byte(name)) {
			of := token
			if of == "" {
				of = "a parameter, expected one of 1 to 64 bytes"
			}
			r.Errorf(list, "%s: %.64q is not the name of %s", key, name, of)
		}
		if value == "" || len(value) > maxValue || strings.Count(value, "*") > maxStars {
			r.Errorf(list, "%s: %q has the value %.100q, expected a text of 1 to %d bytes with at most %d \"*\"; \"*\" alone is any value", key, name, value, maxValue, maxStars)
		}
	}
}

func (c *RedirectConfig) check(r settings.Reporter, paths []*pattern.Pattern) {
	if !slices.Contains([]int{301, 302, 303, 307, 308}, c.Status) {
		r.Errorf(&c.Status, "status %d is no redirect's, expected 301, 302, 303, 307 or 308", c.Status)
	}
	if _, err := parseLocation(c.To, paths); err != nil {
		r.Errorf(&c.To, "to %.200q %v", c.To, err)
	}
}

// checkForwarding checks what is for the way to services.
func (c *Config) checkForwarding(r settings.Reporter) {
	if !c.Forwards() && (c.Rewrite != "" || c.MaxBodySize != 0 || c.Timeouts != TimeoutsConfig{}) {
		r.Errorf(c, "the route has %s, and rewrite, max_body_size or timeouts, which are for requests that services get", c.answers()[0])
	}
	if !c.Forwards() && len(c.PoolNames()) > 0 {
		r.Errorf(c, "the route has %s and pool or split, expected one of them", c.answers()[0])
	}
	if c.Mirror != nil && !c.Forwards() {
		r.Errorf(c.Mirror, "the route has %s and mirror, expected one of them: what services get is mirrored", c.answers()[0])
	}
	if c.Split != nil {
		if c.Split.check(r); c.Pool != "" {
			r.Errorf(&c.Pool, "the route has pool and split, expected one of them")
		}
	}
	if c.Rewrite != "" {
		to, err := parseLocation(c.Rewrite, c.patterns())
		if err == nil && (to.pathFrom > 0 || to.fragment != "") {
			err = errors.New("is no path, expected one like /new/{*}")
		}
		if err == nil {
			_, _, _, err = route.Canonical(nil, []byte(to.plain))
		}
		if err != nil {
			r.Errorf(&c.Rewrite, "rewrite %.200q %v", c.Rewrite, err)
		}
	}
	if c.MaxBodySize.Int64() < 0 || c.MaxBodySize.Int64() > 1<<50 {
		r.Errorf(&c.MaxBodySize, "max_body_size %s is out of range, expected 0 to 1024TiB", &c.MaxBodySize)
	}
	for _, t := range []*settings.Duration{&c.Timeouts.ResponseHeader, &c.Timeouts.Idle, &c.Timeouts.Total} {
		if *t != 0 && (t.Std() < 10*time.Millisecond || t.Std() > 24*time.Hour) {
			r.Errorf(t, "timeout %s is out of range, expected 10ms to 24h, or 0 for the tenant's", t)
		}
	}
}

// checkCircle reports a redirect that leads to a path of the route itself, if nothing
// but the path decides.
func (c *Config) checkCircle(r settings.Reporter) {
	patterns := c.patterns()
	to, err := parseLocation(c.Redirect.To, patterns)
	if err != nil || to.pathFrom > 0 || len(c.Methods)+len(c.Headers)+len(c.Query)+len(c.Cookies)+len(c.Clients) > 0 {
		return
	}
	path, _, _, err := route.Canonical(nil, []byte(to.plain))
	if err != nil {
		r.Errorf(&c.Redirect.To, "to %.200q has no canonical path: %v", c.Redirect.To, err)
		return
	}
	key := route.Key(make([]byte, 0, len(path)), path)
	var params pattern.Params
	if len(patterns) == 0 || slices.ContainsFunc(patterns, func(p *pattern.Pattern) bool { return p.Match(key, &params) == pattern.Found }) {
		r.Errorf(&c.Redirect.To, "to %.200q is led on, again and again: it is itself one of the route's paths, expected another", c.Redirect.To)
	}
}
