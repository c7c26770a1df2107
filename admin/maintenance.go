package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// maintenancePolicy is the policy that maintenance is about.
const maintenancePolicy = "maintenance"

// maintenance is the answer to tenants/{name}/maintenance, and what is sent there.
type maintenance struct {
	Tenant  string `json:"tenant,omitempty"`
	Enabled *bool  `json:"enabled"`
}

// getMaintenance tells whether a tenant is in maintenance.
func (a *API) getMaintenance(ctx *fasthttp.RequestCtx) {
	t, ok := a.tenantNamed(ctx)
	if !ok {
		return
	}
	on, found := t.Policies.Switched(maintenancePolicy)
	if !found {
		refuse(ctx, noMaintenance(t.Name))
		return
	}
	reply(ctx, fasthttp.StatusOK, maintenance{t.Name, &on})
}

// postMaintenance puts a tenant into maintenance, or ends it, until the next reload
// makes a new generation.
func (a *API) postMaintenance(ctx *fasthttp.RequestCtx) {
	t, ok := a.tenantNamed(ctx)
	if !ok {
		return
	}
	var wanted maintenance
	decoder := json.NewDecoder(bytes.NewReader(ctx.PostBody()))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&wanted)
	if err == nil && decoder.Decode(&struct{}{}) != io.EOF {
		err = errors.New("more than one document")
	}
	switch {
	case err != nil || wanted.Enabled == nil || wanted.Tenant != "":
		refuse(ctx, &refusal{fasthttp.StatusBadRequest, "bad_request", `expected a body of {"enabled": true} or {"enabled": false}`})
	case !t.Policies.Switch(maintenancePolicy, *wanted.Enabled):
		refuse(ctx, noMaintenance(t.Name))
	default:
		a.log.Warn().Str("tenant", t.Name).Bool("enabled", *wanted.Enabled).Msg("maintenance has been switched, until the next reload")
		reply(ctx, fasthttp.StatusOK, maintenance{t.Name, wanted.Enabled})
	}
}

func noMaintenance(tenant string) *refusal {
	return &refusal{fasthttp.StatusConflict, "no_policy", "tenant " + tenant + " has no policy maintenance to switch, expected one in its policies, perhaps with enabled: false"}
}

// tenantNamed finds the tenant of the path, or answers that there is none.
func (a *API) tenantNamed(ctx *fasthttp.RequestCtx) (t proxy.TenantView, ok bool) {
	name, _ := ctx.UserValue("name").(string)
	if t, ok = a.tenant(name); !ok {
		refuse(ctx, unknownTenant(name))
	}
	return t, ok
}
