package admin

import (
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// target is one entry of "services". All keys but pool are always present.
type target struct {
	Name                string     `json:"name"`
	Pool                string     `json:"pool,omitempty"` // where the tenant has pools
	URL                 string     `json:"url"`
	Status              string     `json:"status"` // "healthy" or "unhealthy"
	Weight              int        `json:"weight"` // 0: it gets no new requests
	TLS                 string     `json:"tls"`    // "none", "verified" or "unverified"
	Probe               string     `json:"probe"`  // "http", "tcp" or "none"
	LastCheck           *time.Time `json:"last_check"`
	LatencyMS           float64    `json:"latency_ms"`
	LastError           string     `json:"last_error"`
	InFlight            int64      `json:"in_flight"`
	Requests            uint64     `json:"requests"`
	Failures            uint64     `json:"failures"`
	Retries             uint64     `json:"retries"`
	Transitions         uint64     `json:"transitions"`
	ConsecutiveFailures int        `json:"consecutive_failures"`
	Standing            string     `json:"standing"` // "" where its health alone counts
	Ejections           uint64     `json:"ejections"`
	Ejected             string     `json:"ejected"` // why it is, or was last
	EjectedUntil        *time.Time `json:"ejected_until"`
}

// targets describes the targets of a tenant, pool by pool. One that several pools have
// is there once for each.
func targets(t *proxy.TenantView) []target {
	list := []target{}
	for _, p := range t.Pools {
		name := ""
		if t.Named {
			name = p.Name()
		}
		list = appendTargets(list, p.Pool, name)
	}
	return list
}

func appendTargets(list []target, p *upstream.Pool, name string) []target {
	for _, s := range p.States() {
		one := target{
			Name: s.Name, Pool: name, URL: s.URL, Status: s.Status, Weight: s.Weight, TLS: s.TLS, Probe: s.Probe, LatencyMS: s.LatencyMS, LastError: s.LastError,
			InFlight: s.InFlight, Requests: s.Requests, Failures: s.Failures, Retries: s.Retries,
			Transitions: s.Transitions, ConsecutiveFailures: s.ConsecutiveFailures,
			Standing: s.Standing, Ejections: s.Ejections, Ejected: s.Ejected,
		}
		if !s.EjectedUntil.IsZero() {
			until := s.EjectedUntil.UTC()
			one.EjectedUntil = &until
		}
		if !s.LastCheck.IsZero() {
			at := s.LastCheck.UTC()
			one.LastCheck = &at
		}
		list = append(list, one)
	}
	return list
}

// pool is one entry of "pools".
type pool struct {
	Name    string `json:"name"`
	Balance string `json:"balance"` // what chooses between its targets
	Targets int    `json:"targets"`
	Healthy int    `json:"healthy"` // of them: those that requests are shared among
}

// pools describes the pools of a tenant.
func pools(t *proxy.TenantView) []pool {
	list := []pool{}
	for _, p := range t.Pools {
		list = append(list, pool{p.Name(), p.Algorithm(), len(p.Targets()), p.Healthy()})
	}
	return list
}

// statusOfTenant is misconfigured for one whose requests are refused.
func statusOfTenant(t *proxy.TenantView) string {
	switch {
	case t.Refused():
		return misconfigured
	case t.Healthy():
		return healthy
	}
	return unhealthy
}

// problemOf is nil for a tenant that is served as the configuration asks for.
func problemOf(t *proxy.TenantView) *problem {
	if t.Problem == nil {
		return nil
	}
	p := describeProblem(t.Problem)
	return &p
}

// tenant is one entry of the answer to tenants. Counters live across reloads.
type tenant struct {
	Name       string            `json:"name"`
	Status     string            `json:"status"`
	Routing    string            `json:"routing"` // "host-based", "path-based" or "hybrid"
	Domains    []string          `json:"domains"`
	PathPrefix string            `json:"path_prefix"`
	Policies   []decisions       `json:"policies"`
	LuaRoutes  []string          `json:"lua_routes"`
	Lua        *lua.View         `json:"lua"` // null: none are loaded
	Problem    *problem          `json:"problem"`
	Pools      []pool            `json:"pools"`
	Services   []target          `json:"services"`
	Requests   uint64            `json:"requests"`
	Responses  map[string]uint64 `json:"responses"` // by class
	BytesIn    int64             `json:"bytes_in"`
	BytesOut   int64             `json:"bytes_out"`
	Retries    uint64            `json:"retries"`
}

// decisions are what the policies of one kind have decided.
type decisions struct {
	Policy   string `json:"policy"`
	Passed   uint64 `json:"passed"`
	Answered uint64 `json:"answered"`
	Failed   uint64 `json:"failed"` // there was no decision
	// Of those that have passed: which a dry run has spared.
	WouldAnswer uint64 `json:"would_answer,omitempty"`
}

func decisionsOf(c *policy.Chain) []decisions {
	list := []decisions{}
	c.Kinds(func(name string, made *policy.Counter) {
		list = append(list, decisions{name, made.Passed.Load(), made.Answered.Load(), made.Failed.Load(), made.WouldAnswer.Load()})
	})
	return list
}

func (a *API) getTenants(ctx *fasthttp.RequestCtx) {
	list := []tenant{}
	for t := range a.server.Tenants() {
		list = append(list, describe(&t, 1))
	}
	reply(ctx, fasthttp.StatusOK, struct {
		Tenants []tenant `json:"tenants"`
	}{list})
}

// describe shows a tenant, with at most so many of its scripts' last errors: a
// list of all tenants would be long with all of them.
func describe(t *proxy.TenantView, errors int) tenant {
	d := tenant{
		Name: t.Name, Routing: t.Routing, Domains: orEmpty(t.Domains), PathPrefix: t.Prefix, Policies: decisionsOf(t.Policies), LuaRoutes: orEmpty(t.Scripts), Lua: viewScripts(t, errors),
		Pools: pools(t), Services: targets(t), Responses: make(map[string]uint64, len(t.Stats.Classes)),
		BytesIn: t.Stats.BytesIn.Load(), BytesOut: t.Stats.BytesOut.Load(), Retries: t.Stats.Retries.Load(),
	}
	d.Status, d.Problem = statusOfTenant(t), problemOf(t)
	for class := 1; class < len(t.Stats.Classes); class++ {
		n := t.Stats.Classes[class].Load()
		d.Requests += n
		d.Responses[className(class)] = n
	}
	return d
}

// className words the first digit of a status: "2xx".
func className(digit int) string { return strconv.Itoa(digit) + "xx" }

// orEmpty makes a list that JSON shows as [] rather than null.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
