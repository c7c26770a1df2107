package tenants

import (
	_ "embed" // for PoliciesSource
	"fmt"
	"slices"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/apikey"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/basicauth"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/concurrency"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/cors"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/csrf"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/errorpages"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/forwardauth"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/headers"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/ip"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/jwt"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/maintenance"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/ratelimit"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/redirect"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/referer"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/securityheaders"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/useragent"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
	"github.com/keystone-gateway/keystone-gateway/tenants/routing"
	"github.com/keystone-gateway/keystone-gateway/tenants/site"
)

//go:embed policies.go
var policiesSource string

// Policy is one element of the list policies. Its fields are the policies that
// there are: a new one is a folder of tenants/policy and a line here.
type Policy struct {
	// Who is served, by the client's address.
	IP *ip.Config `yaml:"ip"`
	// Who is served, by the program that a client says it is.
	UserAgent *useragent.Config `yaml:"user_agent"`
	// Who is served, by the site that has led to the request.
	Referer *referer.Config `yaml:"referer"`
	// An answer in the place of an application that is being worked on.
	Maintenance *maintenance.Config `yaml:"maintenance"`
	// How many requests may come in a time, and whose are counted together.
	RateLimit *ratelimit.Config `yaml:"rate_limit"`
	// How many requests may be in progress at once, and how many wait.
	Concurrency *concurrency.Config `yaml:"concurrency"`
	// Which other origins' scripts may send requests and read responses.
	CORS *cors.Config `yaml:"cors"`
	// Requests of other sites in the name of a browser's user.
	CSRF *csrf.Config `yaml:"csrf"`
	// Requests that are led to another URL.
	Redirect *redirect.Config `yaml:"redirect"`
	// Fields by which browsers protect a site's users.
	SecurityHeaders *securityheaders.Config `yaml:"security_headers"`
	// How the gateway's own errors are worded.
	Errors *errorpages.Config `yaml:"errors"`
	// Fields that are set, added and removed.
	Headers *headers.Config `yaml:"headers"`
	// Who is served, by a name and a password.
	BasicAuth *basicauth.Config `yaml:"basic_auth"`
	// Who is served, by a key.
	APIKey *apikey.Config `yaml:"api_key"`
	// Who is served, by a token that others have signed.
	JWT *jwt.Config `yaml:"jwt"`
	// Who is served, as another server decides.
	ForwardAuth *forwardauth.Config `yaml:"forward_auth"`
}

// OneKey says that an element has exactly one of its keys.
func (*Policy) OneKey() {}

// Sources returns the texts whose comments document the section of a tenant in
// the JSON Schema and in docs/configuration.md.
func Sources() settings.Sources {
	return append(policy.Sources(Policy{}), source, trafficSource, clientTLSSource, policiesSource, routesSource, poolsSource, balanceSource, routing.Source(), site.Source())
}

// Refusals lists what policies refuse requests with.
func Refusals() []*policy.Refusal { return policy.Refusals(Policy{}) }

// maxPolicies bounds the policies of a tenant: each may make the heads of its
// requests and responses longer.
const maxPolicies = 64

func (c *Config) checkPolicies(r settings.Reporter) {
	c.eachList(func(list *[]Policy, at string) {
		if len(*list) > maxPolicies {
			r.Errorf(list, "%d policies are too many, expected at most %d", len(*list), maxPolicies)
		}
		for i := range *list {
			policy.CheckOne(&(*list)[i], c.policyAt(at, i), r)
		}
	})
	c.checkClashes(r)
}

// checkClashes finds policies that don't go with one that a request passes before them,
// in the same list or in the tenant's.
func (c *Config) checkClashes(r settings.Reporter) {
	type before struct {
		policy.Named
		at string
	}
	var tenants []before
	c.eachList(func(list *[]Policy, at string) {
		earlier := slices.Clip(tenants)
		for i := range *list {
			for _, named := range policy.Of(&(*list)[i]) {
				if d, ok := named.Section.(policy.Distinct); ok {
					for _, b := range earlier {
						if field, wrong := d.Clash(b.Section); b.Name == named.Name && wrong != "" {
							r.Errorf(field, "%s.%s: %s of %s", c.policyAt(at, i), named.Name, wrong, b.at)
						}
					}
				}
				earlier = append(earlier, before{named, fmt.Sprintf("%s[%d]", at, i)})
			}
		}
		if list == &c.Policies {
			tenants = earlier
		}
	})
}

// eachList calls f for the tenant's list of policies, and for those of its routes; at
// says where the list stands in the tenant's configuration.
func (c *Config) eachList(f func(list *[]Policy, at string)) {
	f(&c.Policies, "policies")
	for i := range c.Routes {
		f(&c.Routes[i].Policies, routePlace(i)+".policies")
	}
}

// HasPolicies reports whether the tenant or one of its routes has any.
func (c *Config) HasPolicies() (has bool) {
	c.eachList(func(list *[]Policy, _ string) { has = has || len(*list) > 0 })
	return has
}

// policyAt says in messages which policy it is.
func (c *Config) policyAt(at string, i int) string {
	return fmt.Sprintf("tenant %q, %s[%d]", c.Name, at, i)
}

// LoadPolicies has the policies and routes read the files that they name; see
// policy.Loader. directory returns the absolute path of a directory, or why it can't be used.
func (c *Config) LoadPolicies(read policy.ReadFile, directory func(path string) (string, error), r settings.Reporter) {
	c.eachList(func(list *[]Policy, at string) {
		for i := range *list {
			policy.LoadOne(&(*list)[i], c.policyAt(at, i), read, r)
		}
	})
	for i := range c.Routes {
		c.Routes[i].Load(read, directory, r)
	}
}

// WarnOfPolicies tells of what policies that have passed their checks allow and is
// seldom meant; see policy.Warner.
func (c *Config) WarnOfPolicies(warn func(field any, format string, args ...any)) {
	c.eachList(func(list *[]Policy, _ string) {
		for i := range *list {
			for _, named := range policy.Of(&(*list)[i]) {
				if w, ok := named.Section.(policy.Warner); ok {
					w.Warn(warn)
				}
			}
			if r := (*list)[i].Redirect; r != nil {
				c.warnOfWWW(r, warn)
			}
		}
	})
}

// warnOfWWW tells of domains whose requests are led to a host that isn't the tenant's.
func (c *Config) warnOfWWW(r *redirect.Config, warn func(field any, format string, args ...any)) {
	for _, domain := range c.Domains {
		host, err := route.CanonicalDomain(domain)
		if err != nil {
			continue
		}
		led, ok := r.LedTo(host)
		if ok && !slices.ContainsFunc(c.Domains, func(other string) bool { return serves(other, led) }) {
			warn(&r.WWW, "www: %s leads requests of %s to %s, which is none of the domains of tenant %q: expected both names in domains", r.WWW, host, led, c.Name)
		}
	}
}

// serves reports whether a host is of a domain.
func serves(domain, host string) bool {
	canonical, err := route.CanonicalDomain(domain)
	if below, ok := strings.CutPrefix(canonical, "*"); ok {
		return err == nil && strings.HasSuffix(host, below)
	}
	return err == nil && canonical == host
}

// BuildPolicies builds the policies of a tenant that has passed its checks.
func (c *Config) BuildPolicies(deps policy.Deps, counter func(name string) *policy.Counter) (*policy.Chain, error) {
	deps.Place = "policies"
	return build(c.Policies, deps, counter)
}

func build(policies []Policy, deps policy.Deps, counter func(name string) *policy.Counter) (*policy.Chain, error) {
	var list []policy.Named
	for i := range policies {
		list = append(list, policy.Of(&policies[i])...)
	}
	return policy.Build(list, deps, counter)
}
