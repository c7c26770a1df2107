package admin

import (
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// Values of "status".
const (
	healthy   = "healthy"
	unhealthy = "unhealthy"
	draining  = "draining" // the process is about to stop
	live      = "live"
	// degraded: the gateway is well, and not every tenant is served as the
	// configuration asks for, or memory is short.
	degraded      = "degraded"
	misconfigured = "misconfigured" // of a tenant: its requests are refused
)

// gatewayHealth is the answer to health.
type gatewayHealth struct {
	Status        string       `json:"status"`
	Timestamp     time.Time    `json:"timestamp"`
	Version       string       `json:"version"`
	UptimeSeconds float64      `json:"uptime_seconds"`
	Tenants       tenantCounts `json:"tenants"`
	// Unhealthy names the tenants without a healthy target, Misconfigured those
	// whose requests are refused because they are broken, Outdated those of which
	// the last good generation is served; nil for the public.
	Unhealthy     []string `json:"unhealthy,omitzero"`
	Misconfigured []string `json:"misconfigured,omitzero"`
	Outdated      []string `json:"outdated,omitzero"`
	// Files are those that can't be used as they are; nil for the public.
	Files []string `json:"files_failed,omitzero"`
	// Shedding are those whose requests are refused since memory is short and they
	// hold most of it; nil for the public.
	Shedding []shed `json:"shedding,omitzero"`
}

type tenantCounts struct {
	Total   int `json:"total"`
	Healthy int `json:"healthy"`
}

func (a *API) getHealth(ctx *fasthttp.RequestCtx) {
	health := a.health()
	reply(ctx, statusOf(health.Status), health)
}

// getLive says that the process answers, whatever its targets do: what a load
// balancer in front should ask, since one tenant's trouble is not another's.
func (a *API) getLive(ctx *fasthttp.RequestCtx) {
	answer := a.liveness()
	reply(ctx, statusOf(answer.Status), answer)
}

// liveAnswer is the answer to live.
type liveAnswer struct {
	Status string `json:"status"`
}

func (a *API) liveness() liveAnswer {
	if a.server.Draining() {
		return liveAnswer{draining}
	}
	return liveAnswer{live}
}

// health asks every tenant.
func (a *API) health() gatewayHealth {
	now := time.Now()
	h := gatewayHealth{
		Status: healthy, Timestamp: now.UTC(), Version: a.version, UptimeSeconds: wholeMillis(now.Sub(a.started)),
		Unhealthy: []string{}, Misconfigured: []string{}, Outdated: []string{}, Files: []string{}, Shedding: a.memory().Shedding,
	}
	for t := range a.server.Tenants() {
		h.Tenants.Total++
		switch {
		case t.Refused():
			h.Misconfigured = append(h.Misconfigured, t.Name)
			continue
		case t.Healthy():
			h.Tenants.Healthy++
		default:
			h.Unhealthy = append(h.Unhealthy, t.Name)
		}
		if t.Problem != nil {
			h.Outdated = append(h.Outdated, t.Name)
		}
	}
	for _, f := range a.brokenFiles() {
		h.Files = append(h.Files, f.File)
	}
	switch {
	case a.server.Draining():
		h.Status = draining
	case len(h.Unhealthy) > 0:
		h.Status = unhealthy
	case len(h.Misconfigured)+len(h.Outdated)+len(h.Files)+len(h.Shedding) > 0:
		h.Status = degraded
	}
	return h
}

func wholeMillis(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

func statusOf(status string) int {
	if status == healthy || status == live || status == degraded {
		return fasthttp.StatusOK
	}
	return fasthttp.StatusServiceUnavailable
}

// tenantHealth is the answer to tenants/{name}/health.
type tenantHealth struct {
	Tenant   string   `json:"tenant"`
	Status   string   `json:"status"`
	Services []target `json:"services"`
	Problem  *problem `json:"problem"` // null: it is served as the configuration asks for
}

func (a *API) getTenantHealth(ctx *fasthttp.RequestCtx) {
	name, _ := ctx.UserValue("name").(string)
	t, ok := a.tenant(name)
	if !ok {
		refuse(ctx, unknownTenant(name))
		return
	}
	list := targets(&t)
	status := statusOfTenant(&t)
	reply(ctx, statusOf(status), tenantHealth{t.Name, status, list, problemOf(&t)})
}

func (a *API) tenant(name string) (proxy.TenantView, bool) {
	for t := range a.server.Tenants() {
		if t.Name == name {
			return t, true
		}
	}
	return proxy.TenantView{}, false
}

func unknownTenant(name string) *refusal {
	return &refusal{fasthttp.StatusNotFound, "unknown_tenant", "there is no tenant \"" + name + "\""}
}

// publicHealth keeps the gateway's health for a moment: whoever can reach the
// public listener can ask, and asking 10,000 tenants takes milliseconds.
type publicHealth struct {
	mu     sync.Mutex
	made   time.Time // guarded by mu, as are those below
	status int
	body   []byte // never changed
}

// publicHealthAge is how old the public health may be.
const publicHealthAge = 100 * time.Millisecond

// answerPublic is a proxy.HealthAnswer. Anyone may ask, so it says nothing
// about where targets are and how they fail.
func (a *API) answerPublic(method, path string) (status int, body []byte, ok bool) {
	name, isTenant := tenantOf(path)
	if !isTenant && path != "/health" && path != "/live" {
		return 0, nil, false
	}
	if method != fasthttp.MethodGet && method != fasthttp.MethodHead {
		why := &refusal{fasthttp.StatusMethodNotAllowed, "method_not_allowed", "expected GET or HEAD"}
		return why.status, encode(why.document()), true
	}
	switch {
	case isTenant:
		status, body = a.publicTenant(name)
	case path == "/live":
		answer := a.liveness()
		status, body = statusOf(answer.Status), encode(answer)
	default:
		status, body = a.publicGateway()
	}
	return status, body, true
}

// tenantOf returns the name in "/tenants/{name}/health".
func tenantOf(path string) (name string, ok bool) {
	name, ok = strings.CutPrefix(path, "/tenants/")
	if ok {
		name, ok = strings.CutSuffix(name, "/health")
	}
	return name, ok && name != "" && !strings.Contains(name, "/")
}

func (a *API) publicGateway() (status int, body []byte) {
	a.public.mu.Lock()
	defer a.public.mu.Unlock()
	switch {
	case time.Since(a.public.made) < publicHealthAge:
	case a.server.Compatible():
		h := a.earlierHealth()
		a.public.made, a.public.status, a.public.body = time.Now(), statusOf(h.Status), encode(h)
	default:
		h := a.health()
		h.Unhealthy, h.Misconfigured, h.Outdated, h.Files, h.Shedding = nil, nil, nil, nil, nil
		a.public.made, a.public.status, a.public.body = time.Now(), statusOf(h.Status), encode(h)
	}
	return a.public.status, a.public.body
}

func (a *API) publicTenant(name string) (status int, body []byte) {
	t, ok := a.tenant(name)
	if !ok {
		why := unknownTenant(name)
		return why.status, encode(why.document())
	}
	type publicTarget struct {
		Name   string `json:"name"`
		Status string `json:"status"`
	}
	list := targets(&t)
	shown := make([]publicTarget, 0, len(list))
	for i := range list {
		shown = append(shown, publicTarget{list[i].Name, list[i].Status})
	}
	word := statusOfTenant(&t)
	return statusOf(word), encode(struct {
		Tenant   string         `json:"tenant"`
		Status   string         `json:"status"`
		Services []publicTarget `json:"services"`
	}{t.Name, word, shown})
}
