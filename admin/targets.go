package admin

import (
	"net/url"

	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// operated is the answer to tenants/{name}/targets/{target}/….
type operated struct {
	Tenant   string `json:"tenant"`
	Target   string `json:"target"`
	Standing string `json:"standing"`
}

// postTarget returns what drains a target, ejects it, or ends both, until the next
// reload.
func (a *API) postTarget(what string, do func(*upstream.Target)) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		t, ok := a.tenantNamed(ctx)
		if !ok {
			return
		}
		name, _ := ctx.UserValue("target").(string)
		if plain, err := url.PathUnescape(name); err == nil {
			name = plain
		}
		var found *upstream.Target
		for _, p := range t.Pools {
			for _, target := range p.Targets() {
				if target.Name() == name && found == nil {
					found = target
				}
			}
		}
		if found == nil {
			refuse(ctx, &refusal{fasthttp.StatusNotFound, "unknown_target", "tenant " + t.Name + " has no target " + name + ", expected the name of one of its services"})
			return
		}
		do(found)
		a.log.Warn().Str("tenant", t.Name).Str("target", name).Str("action", what).Msg("an operator has changed what requests a target gets, until the next reload")
		reply(ctx, fasthttp.StatusOK, operated{t.Name, name, found.State().Standing})
	}
}
