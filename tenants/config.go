package tenants

import (
	_ "embed" // for Sources
	"fmt"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

//go:embed config.go
var source string

// maxName bounds a tenant's name: it is a label of metrics and a part of the
// admin API's paths.
const maxName = 64

// Config describes one tenant: an application behind the gateway, isolated
// from the others. At least one of domains and path_prefix, and at least one
// of services (or pools.default), routes and lua_routes must be set.
type Config struct {
	// Name of the tenant in logs, metrics and the admin API: 1 to 64 letters,
	// digits, dots, hyphens and underscores, unique among the tenants.
	Name string `yaml:"name" required:"true"`

	// Host names that belong to the tenant, such as "example.com", without
	// scheme and port; IP addresses (IPv6 in brackets) and "localhost" are
	// allowed. "*.example.com" stands for all names below example.com, however
	// deep, but not for example.com itself. An exact name beats a wildcard, a
	// longer wildcard a shorter one. Default: none, so that every host which no
	// other tenant claims matches; then path_prefix is needed, and "/" is the
	// tenant of all requests that no other has.
	Domains []string `yaml:"domains"`

	// Where the certificate for the tenant's domains comes from: "auto" orders one for
	// each, as certificates.acme says. Default: none is ordered, and certificates has
	// to have it where clients use TLS.
	TLS string `yaml:"tls" enum:"auto"`

	// Start of the paths that belong to the tenant, such as "/api". It matches
	// whole segments: /api and /api/users, not /apix. With domains, both must
	// match. A longer prefix beats a shorter one on the same host. At most 255
	// bytes. Default: none, so that every path matches.
	PathPrefix string `yaml:"path_prefix"`

	// Names of the listeners at which the tenant is served. On any other, its requests
	// are as those for a host that nobody has. Default: all of them.
	Listeners []string `yaml:"listeners" single:"true"`

	// Lua scripts that declare the tenant's routes and middleware, by their
	// names in lua_routing.scripts_dir, with or without ".lua", run in this order;
	// one may be written without a list. Of a name without a directory that isn't
	// there, the one file of that name is taken that lies in a directory below, but
	// for those that bear another tenant's name. Default: none.
	LuaRoutes []string `yaml:"lua_routes" single:"true"`

	// Earlier name of health.interval: the time between two probes of a target;
	// a plain number is seconds. Set only one of them. Default: not set.
	HealthInterval settings.Duration `yaml:"health_interval"`

	// Targets among which the tenant's requests are shared by weight. Default:
	// none, so that the scripts answer every request.
	Services []upstream.ServiceConfig `yaml:"services"`

	// How TLS is spoken with the targets whose url begins with https; services[].tls
	// has the same keys for one of them.
	TargetTLS upstream.TLSConfig `yaml:"target_tls"`

	// Time limits of the exchange with a target.
	Timeouts upstream.TimeoutsConfig `yaml:"timeouts"`

	// What is decided about each request before the scripts, in this order: a policy
	// answers in their place, changes the request, or lets it pass. They aren't
	// inherited from anywhere: a tenant has those that stand here. docs/policies.md
	// explains them. Default: none.
	Policies []Policy `yaml:"policies"`

	// What answers requests, by path, method, fields, query, cookies and client: the
	// first that matches, behind the tenant's policies and the scripts' middleware and
	// routes. docs/routes.md explains them. Default: none, so that services answer what
	// scripts don't.
	Routes []Route `yaml:"routes"`

	// What the scripts may use.
	Lua lua.Config `yaml:"lua"`

	// How the targets are probed.
	Health upstream.HealthConfig `yaml:"health"`

	// Bounds of what the tenant's clients may send. Keys that are left out are those
	// of the server's request_limits.
	RequestLimits RequestLimitsConfig `yaml:"request_limits"`

	// Compression of the tenant's responses. Keys that are left out are those of the
	// server's compression.
	Compression CompressionConfig `yaml:"compression"`

	// How slow the tenant's clients may be. Keys that are left out are those of
	// server.timeouts and server.min_rate.
	ClientTimeouts ClientTimeoutsConfig `yaml:"client_timeouts"`

	// What is asked of clients' TLS: its version, and certificates. Keys that are left
	// out are those of the server's client_tls.
	ClientTLS ClientTLSConfig `yaml:"client_tls"`

	// Limits on the connections to each target.
	Connections upstream.ConnectionsConfig `yaml:"connections"`

	upstream.ResilienceConfig `yaml:",inline"`

	// What is done about requests and answers of gRPC.
	GRPC upstream.GRPCConfig `yaml:"grpc"`

	// What chooses between the targets: the name of a balancer, or one with settings, such
	// as {hash: {by: "cookie:session"}}. Pools may have their own. docs/upstreams.md helps
	// to choose. Default: round_robin.
	Balance BalanceConfig `yaml:"balance"`

	// Further pools of targets, by their names: 1 to 64 letters, digits, dots, hyphens and
	// underscores; at most 64 of them. services is the pool "default", which may stand here
	// instead. Routes send requests to the others (routes[].pool), and so may scripts.
	// docs/upstreams.md explains them. Default: none.
	Pools map[string]*PoolConfig `yaml:"pools"`

	// Memory that the tenant's requests in flight may hold outside of its
	// scripts: bodies as they arrive, responses until they are sent, buffers.
	// Beyond, requests get 503 script_memory; large bodies are passed on through
	// smaller buffers, and responses are not compressed. 0 is a quarter of
	// server.max_memory. Default: 0.
	MaxClientMemory settings.Size `yaml:"max_client_memory"`

	// Whether path_prefix is cut off the path before a request is sent on: with
	// the prefix /api, the target of /api/users gets /users, and that of /api
	// gets /. Default: false, the target gets the whole path.
	StripPrefix bool `yaml:"strip_prefix"`

	// Whether a slash at the end of a path makes no difference to the scripts'
	// routes: /health/ is answered by the route /health. Middleware and groups cover
	// such a path if they cover it with the slash or without it. Targets get the path
	// as it came. Default: false; true with compatibility: keystone-1.
	StripSlashes bool `yaml:"strip_slashes"`

	// Who answers "Expect: 100-continue": with "answer" the gateway, once it has
	// checked the length, so that no upload waits for another hop; with "forward"
	// the target, which may refuse a body before it is sent. A body of up to
	// 64 KiB, which is read whole before a target is chosen, doesn't wait for
	// the target's word, and one for which none has come within a second is
	// sent. Default: answer.
	Expect string `yaml:"expect" enum:"answer,forward"`

	// How paths are spelled that are sent on.
	NormalizePath NormalizeConfig `yaml:"normalize_path"`

	// Whether the target gets the client's Host field. If false it gets the host
	// of the service's url, and the client's only as X-Forwarded-Host.
	// Default: true.
	PreserveHost bool `yaml:"preserve_host"`

	// Secrets are the keys whose values have come from files.
	Secrets settings.Secrets `yaml:"-"`
}

// SetDefaults fills a fresh element of the tenants list.
func (c *Config) SetDefaults() {
	*c = Config{
		Lua:           lua.DefaultConfig(),
		Timeouts:      upstream.DefaultTimeouts(),
		Health:        upstream.DefaultHealth(),
		Connections:   upstream.DefaultConnections(),
		RequestLimits: DefaultRequestLimits(),
		Compression:   DefaultCompression(),
		// The server's defaults, as they are documented there.
		ClientTimeouts: ClientTimeoutsConfig{BodyIdle: settings.Duration(30 * time.Second), WriteIdle: settings.Duration(30 * time.Second), MinRate: 64},
		ClientTLS:      DefaultClientTLS(),
		Expect:         ExpectAnswer,
		NormalizePath:  NormalizeConfig{MergeSlashes: true, DecodeUnreserved: true},
		PreserveHost:   true,
	}
}

// TLSAuto is the value of Config.TLS.
const TLSAuto = "auto"

// The values of Config.Expect.
const (
	ExpectAnswer  = "answer"
	ExpectForward = "forward"
)

// NormalizeConfig is the section normalize_path of a tenant. Paths are always
// judged in their canonical form, which docs/paths.md explains; this is about
// what a target gets. Dot segments never reach it, and the case of the digits
// in escapes stays as it came.
type NormalizeConfig struct {
	// Whether repeated slashes within a path become one. If false, the target
	// gets them as they came, as object stores and image servers need it
	// (/thumb/https://host//a); a dot segment behind one is refused with 400.
	// Slashes at the start of the path, or of what strip_prefix leaves of it,
	// are always one. Default: true.
	MergeSlashes bool `yaml:"merge_slashes"`

	// Whether escapes of letters, digits, "-", ".", "_" and "~" are decoded. If
	// false, the target gets them as they came, as signatures over paths need
	// it; then don't guard paths by comparing them, undecoded, at the target.
	// Default: true.
	DecodeUnreserved bool `yaml:"decode_unreserved"`
}

// Spelling is what the section keeps.
func (c *NormalizeConfig) Spelling() route.Spelling {
	return route.Spelling{KeepSlashes: !c.MergeSlashes, KeepEscapes: !c.DecodeUnreserved}
}

// Routing words how the tenant is matched: "host-based" (domains only),
// "path-based" (a prefix only) or "hybrid" (both).
func (c *Config) Routing() string {
	switch {
	case c.PathPrefix == "":
		return "host-based"
	case len(c.Domains) == 0:
		return "path-based"
	}
	return "hybrid"
}

// Probes returns the health section with its interval resolved: the one that
// was set, under whichever name, or 0 when none was.
func (c *Config) Probes() upstream.HealthConfig { return c.ProbesOf(&c.Health) }

// ProbesOf returns the health section of a pool in the same way.
func (c *Config) ProbesOf(of *upstream.HealthConfig) upstream.HealthConfig {
	health := *of
	if health.Interval == 0 {
		health.Interval = c.HealthInterval
	}
	return health
}

// CheckAll checks every tenant, and that no two have the same name; own is where
// what is wrong with one is reported, by index: nil is r for all. That there is a
// tenant at all is left to the owner of the list, and whether two have the same
// match to CheckMatches and Arrange.
func CheckAll(list []Config, r settings.Reporter, own func(index int) settings.Reporter) {
	names := make(map[string]bool, len(list))
	for i := range list {
		c := &list[i]
		if own != nil {
			c.Check(own(i))
		} else {
			c.Check(r)
		}
		if c.Name != "" && names[c.Name] {
			r.Errorf(&c.Name, "tenant name %q is already taken, expected unique names", c.Name)
		}
		names[c.Name] = true
	}
}

// CheckMatches reports tenants that have the same match as another before them.
// What Check has reported is passed over.
func CheckMatches(list []Config, r settings.Reporter) {
	owners := make(map[route.Claim]string, len(list))
	for i := range list {
		list[i].checkOwners(r, owners)
	}
}

// ValidName reports whether a tenant can be known by this name.
func ValidName(name string) bool { return wrongName(name) == "" }

// Check reports what is wrong with the tenant. It doesn't see its neighbours:
// CheckAll and CheckMatches do.
func (c *Config) Check(r settings.Reporter) {
	c.checkName(r)
	c.checkMatch(r)
	if !c.HasDefaultPool() && len(c.LuaRoutes) == 0 && len(c.Routes) == 0 {
		r.Errorf(c, "tenant %q has neither services nor lua_routes nor routes, expected at least one of them", c.Name)
	}
	for i, script := range c.LuaRoutes {
		if strings.TrimSpace(script) == "" {
			r.Errorf(&c.LuaRoutes[i], "script name is empty, expected a file in lua_routing.scripts_dir")
		}
	}
	if c.HealthInterval != 0 && c.Health.Interval != 0 && c.HealthInterval != c.Health.Interval {
		r.Errorf(&c.HealthInterval, "health_interval is %v but health.interval is %v, expected only one of them", c.HealthInterval, c.Health.Interval)
	}
	c.checkHealthInterval(r)
	c.checkPools(r)
	c.checkPolicies(r)
	c.checkRoutes(r)
	c.Timeouts.Check(r)
	c.Lua.Check(r)
	c.Health.Check(r)
	c.Connections.Check(r)
	c.GRPC.Check(r)
	c.ResilienceConfig.Check(r)
}

func (c *Config) checkName(r settings.Reporter) {
	if wrong := wrongName(c.Name); wrong != "" {
		r.Errorf(&c.Name, "%s", wrong)
	}
}

// wrongName says what is wrong with a name, or nothing.
func wrongName(name string) string {
	switch {
	case name == "":
		return "tenant without a name, expected letters, digits, dots, hyphens and underscores"
	case len(name) > maxName:
		return fmt.Sprintf("tenant name of %d bytes is too long, expected at most %d", len(name), maxName)
	case name == "." || name == "..":
		return fmt.Sprintf("tenant name %q is a dot segment, expected a name that can stand in a path", name)
	}
	for i := range len(name) {
		if !route.IsNameByte(name[i]) {
			return fmt.Sprintf("tenant name %q has a character other than letters, digits, dots, hyphens and underscores", name)
		}
	}
	return ""
}

// checkMatch reports every domain that is wrong, and the prefix.
func (c *Config) checkMatch(r settings.Reporter) {
	if len(c.Domains) == 0 && c.PathPrefix == "" {
		r.Errorf(c, "tenant %q has neither domains nor path_prefix, expected at least one of them (path_prefix: / takes every request that no other tenant does)", c.Name)
	}
	for i := range c.Domains {
		if _, err := route.CanonicalDomain(c.Domains[i]); err != nil {
			r.Errorf(&c.Domains[i], "%v", err)
		}
	}
	if err := route.CheckPrefix(c.PathPrefix); err != nil {
		r.Errorf(&c.PathPrefix, "%v", err)
	}
	if c.StripPrefix && c.PathPrefix == "" {
		r.Errorf(&c.StripPrefix, "strip_prefix is set without path_prefix, expected a prefix to strip")
	}
}

// checkHealthInterval holds health_interval to the rule of health.interval,
// which names the limit, without a second copy of it.
func (c *Config) checkHealthInterval(r settings.Reporter) {
	if c.HealthInterval == 0 || c.Health.Interval != 0 {
		return
	}
	health := upstream.DefaultHealth() // valid but for the interval
	health.Interval = c.HealthInterval
	health.Check(atField{r, &c.HealthInterval})
}

// checkOwners reports claims that another tenant in owners has made, and adds
// the others. What Check has reported is passed over.
func (c *Config) checkOwners(r settings.Reporter, owners map[route.Claim]string) {
	for i := range max(1, len(c.Domains)) {
		var field any = &c.PathPrefix
		var domains []string
		if len(c.Domains) > 0 {
			field, domains = &c.Domains[i], c.Domains[i:i+1]
		}
		claims, err := route.ClaimsOf(domains, c.PathPrefix)
		if err != nil {
			continue
		}
		if owner, taken := owners[claims[0]]; taken {
			r.Errorf(field, "tenant %q has the same match as tenant %q (%s), expected each match once", c.Name, owner, claims[0])
			continue
		}
		owners[claims[0]] = c.Name
	}
}

// atField reports every error at one field.
type atField struct {
	to    settings.Reporter
	field any
}

func (r atField) Errorf(_ any, format string, args ...any) { r.to.Errorf(r.field, format, args...) }
