package admin

import (
	"time"

	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

// getConfig answers with the configuration in use, defaults included, secrets
// masked.
func (a *API) getConfig(ctx *fasthttp.RequestCtx) {
	reply(ctx, fasthttp.StatusOK, settings.Effective(a.server.Config()))
}

// reload is the outcome of a reload, or of the start. All keys are always
// present.
type reload struct {
	OK         bool      `json:"ok"`         // all is in use
	Applied    bool      `json:"applied"`    // all is, but for tenants_failed; if not, nothing has changed
	Generation uint64    `json:"generation"` // the one in use after it
	At         time.Time `json:"at"`
	Changes    []string  `json:"changes"`
	Warnings   []string  `json:"warnings"` // what takes effect only at the next start
	Errors     []string  `json:"errors"`   // "file:line:column: …"
	Failed     []problem `json:"tenants_failed"`
}

// problem says why a tenant isn't served as the configuration asks for. All
// keys are always present.
type problem struct {
	Tenant string    `json:"tenant"`
	State  string    `json:"state"` // "outdated", "misconfigured", "loading" or "unloadable"
	Since  time.Time `json:"since"`
	Errors []string  `json:"errors"`
}

func describeProblem(p *proxy.Problem) problem {
	return problem{p.Tenant, p.State, p.Since.UTC(), orEmpty(p.Errors)}
}

func describeReload(r proxy.ReloadResult) reload {
	d := reload{
		OK: r.OK, Applied: r.Applied, Generation: r.Generation, At: r.At.UTC(),
		Changes: orEmpty(r.Changes), Warnings: orEmpty(r.Warnings), Errors: orEmpty(r.Errors), Failed: []problem{},
	}
	for _, p := range r.Failed {
		d.Failed = append(d.Failed, describeProblem(p))
	}
	return d
}

// postReload does what SIGHUP does. It has succeeded when there is a new
// generation, although some tenants may be missing in it.
func (a *API) postReload(ctx *fasthttp.RequestCtx) {
	result := describeReload(a.server.Reload())
	status := fasthttp.StatusOK
	if !result.Applied {
		status = fasthttp.StatusUnprocessableEntity
	}
	reply(ctx, status, result)
}

// snapshot is the answer to snapshot.
type snapshot struct {
	Generation uint64       `json:"generation"`
	Made       time.Time    `json:"made"`
	Tenants    int          `json:"tenants"`
	Pools      int          `json:"pools"`
	Targets    int          `json:"targets"`
	Failed     []problem    `json:"tenants_failed"` // now
	Files      []brokenFile `json:"files_failed"`   // now
	Reloads    reloadCount  `json:"reloads"`
	LastReload reload       `json:"last_reload"`
	Memory     memory       `json:"memory"`
	Store      *sharedStore `json:"store"` // null: there is none
}

// memory is what the process holds, in bytes.
type memory struct {
	Ceiling  int64  `json:"ceiling"` // server.max_memory, resolved; 0: none
	Requests int64  `json:"requests"`
	Scripts  int64  `json:"scripts"`
	Live     int64  `json:"live"`     // what the last garbage collection found alive
	Shedding []shed `json:"shedding"` // tenants that are relieved of what they hold
}

// shed says that a tenant is relieved of memory.
type shed struct {
	Tenant      string    `json:"tenant"` // "" is connections that belong to none
	Since       time.Time `json:"since"`
	Reason      string    `json:"reason"`
	Connections bool      `json:"connections"` // some were cut for it
}

func (a *API) memory() memory {
	v := a.server.Memory()
	m := memory{v.Ceiling, v.Held, v.Scripts, v.Live, []shed{}}
	for _, s := range v.Shedding {
		m.Shedding = append(m.Shedding, shed{s.Tenant, s.Since.UTC(), s.Reason, s.Connections})
	}
	return m
}

type reloadCount struct {
	Total   uint64 `json:"total"`
	Failed  uint64 `json:"failed"`  // nothing has changed
	Partial uint64 `json:"partial"` // some tenants were missing
}

func (a *API) getSnapshot(ctx *fasthttp.RequestCtx) {
	view, counters := a.server.Snapshot(), a.server.Counters()
	s := snapshot{
		Generation: view.Generation, Made: view.Made.UTC(), Tenants: len(view.Tenants),
		Failed: []problem{}, Files: a.brokenFiles(),
		Reloads:    reloadCount{counters.Reloads, counters.ReloadsFailed, counters.ReloadsPartial},
		LastReload: describeReload(a.server.LastReload()),
		Memory:     a.memory(),
		Store:      a.sharedStore(),
	}
	for i := range view.Tenants {
		if p := view.Tenants[i].Problem; p != nil {
			s.Failed = append(s.Failed, describeProblem(p))
		}
		s.Pools += len(view.Tenants[i].Pools)
		for range view.Tenants[i].Targets() {
			s.Targets++
		}
	}
	reply(ctx, fasthttp.StatusOK, s)
}
