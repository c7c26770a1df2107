package admin

import (
	"time"

	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// scripts are the Lua scripts of a tenant. All keys are always present.
type scripts struct {
	Scripts     []script      `json:"scripts"` // in the order of loading
	VMs         int           `json:"vms"`
	Runs        uint64        `json:"runs"`
	Failures    uint64        `json:"failures"`
	Exhausted   uint64        `json:"exhausted"`   // failures for want of instructions, time or memory
	Quarantined uint64        `json:"quarantined"` // requests refused
	Recycled    uint64        `json:"recycled"`    // VMs replaced
	LogDropped  uint64        `json:"log_dropped"` // lines that were not logged for want of lua.log_rate
	LastErrors  []scriptError `json:"last_errors"` // the newest first
}

type script struct {
	Name               string     `json:"name"`
	QuarantinedUntil   *time.Time `json:"quarantined_until"`   // null: not in quarantine
	QuarantinedForAll  bool       `json:"quarantined_for_all"` // else for some clients
	QuarantinedClients int        `json:"quarantined_clients"`
}

type scriptError struct {
	RequestID string    `json:"request_id"` // empty: of no request
	At        time.Time `json:"at"`
	Script    string    `json:"script"`
	Kind      string    `json:"kind"`
	Message   string    `json:"message"`
	Stack     string    `json:"stack"`
}

// describeScripts shows a tenant's scripts, and at most so many of their last
// errors; nil where there are no scripts.
func describeScripts(t *proxy.TenantView, most int) *scripts {
	if t.Lua == nil {
		return nil
	}
	v := t.Lua.View()
	d := &scripts{
		Scripts: []script{}, VMs: v.VMs, Runs: v.Runs, Failures: v.Failures, Exhausted: v.Exhausted,
		Quarantined: v.Quarantined, Recycled: v.Recycled, LogDropped: v.LogDropped, LastErrors: []scriptError{},
	}
	for _, s := range v.Scripts {
		d.Scripts = append(d.Scripts, script{s.Name, s.QuarantinedUntil, s.QuarantinedForAll, s.QuarantinedClients})
	}
	for _, e := range v.LastErrors[:min(most, len(v.LastErrors))] {
		d.LastErrors = append(d.LastErrors, scriptError{e.ID, e.At.UTC(), e.Script, e.Kind, e.Message, e.Stack})
	}
	return d
}

// allErrors is more than are kept.
const allErrors = 1000

func (a *API) getTenant(ctx *fasthttp.RequestCtx) {
	name, _ := ctx.UserValue("name").(string)
	t, ok := a.tenant(name)
	if !ok {
		refuse(ctx, unknownTenant(name))
		return
	}
	reply(ctx, fasthttp.StatusOK, describe(&t, allErrors))
}
