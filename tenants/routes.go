package tenants

import (
	_ "embed" // for Sources
	"fmt"
	"slices"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/routing"
)

//go:embed routes.go
var routesSource string

// Route is one element of the list routes.
type Route struct {
	routing.Config `yaml:",inline"`

	// What is decided about requests that take the route, behind all else, as the
	// tenant's policies are written. They guard what this route answers, and nothing
	// else. Default: none.
	Policies []Policy `yaml:"policies"`
}

// maxRoutes bounds the routes of a tenant: they are compared one after the other.
const maxRoutes = 256

func routePlace(i int) string { return fmt.Sprintf("routes[%d]", i) }

// checkRoutes reports what is wrong with the routes.
func (c *Config) checkRoutes(r settings.Reporter) {
	if len(c.Routes) > maxRoutes {
		r.Errorf(&c.Routes, "%d routes are too many, expected at most %d", len(c.Routes), maxRoutes)
	}
	for i := range c.Routes {
		route := &c.Routes[i]
		own := placed{r, fmt.Sprintf("tenant %q, %s", c.Name, routePlace(i))}
		route.Check(own)
		names := route.PoolNames()
		if route.Forwards() && len(names) == 0 && !c.HasDefaultPool() {
			or := "respond or files"
			if len(c.Pools) > 0 {
				or = "respond, files or pool"
			}
			own.Errorf(route, "the tenant has no services to answer, expected redirect, %s", or)
		}
		for _, name := range names {
			field := any(&route.Pool)
			if route.Split != nil && name != route.Pool {
				field = &route.Split.To
			}
			c.checkPoolName(own, field, name)
		}
		if route.Mirror != nil {
			c.checkPoolName(own, &route.Mirror.Pool, route.Mirror.Pool)
		}
	}
}

// WarnOfRoutes tells of what routes that have passed their checks allow and is seldom
// meant, such as that no request ever takes one.
func (c *Config) WarnOfRoutes(warn func(field any, format string, args ...any)) {
	list := make([]*routing.Config, len(c.Routes))
	for i := range c.Routes {
		list[i] = &c.Routes[i].Config
	}
	for _, s := range routing.Unreachable(list) {
		warn(&c.Routes[s.Index], "tenant %q, %s is never taken: %s is asked before it, and matches all that it does; expected the narrower one first", c.Name, routePlace(s.Index), routePlace(s.By))
	}
	for i := range c.Routes {
		list[i].Warn(len(c.Routes[i].Policies), !c.StripSlashes, list, warn)
		if m := c.Routes[i].AllMethods(); m != nil && !slices.Contains(m, "OPTIONS") && slices.ContainsFunc(c.Routes[i].Policies, func(p Policy) bool { return p.CORS != nil }) {
			warn(&c.Routes[i].Methods, "tenant %q, %s has cors, and preflights don't take it: expected OPTIONS among its methods", c.Name, routePlace(i))
		}
	}
}

// placed says before each finding which route it is about.
type placed struct {
	settings.Reporter
	at string
}

func (p placed) Errorf(field any, format string, args ...any) {
	p.Reporter.Errorf(field, "%s: "+format, append([]any{p.at}, args...)...)
}

// BuildRoutes builds the routes of a tenant that has passed its checks, with their
// policies; nil is that it has none.
func (c *Config) BuildRoutes(deps policy.Deps, counter func(name string) *policy.Counter) (*routing.Table, error) {
	list := make([]*routing.Route, len(c.Routes))
	for i := range c.Routes {
		deps.Place = routePlace(i) + ".policies"
		chain, err := build(c.Routes[i].Policies, deps, counter)
		if err != nil {
			return nil, err
		}
		list[i] = routing.New(&c.Routes[i].Config, routePlace(i), chain, deps.Fetch.Place)
		list[i].LeadTo(&c.Routes[i].Config, c.PoolIndex)
	}
	return routing.NewTable(list, c.StripSlashes), nil
}
