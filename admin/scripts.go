package admin

import (
	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// viewScripts shows a tenant's scripts, and at most so many of their last errors;
// nil where there are no scripts.
func viewScripts(t *proxy.TenantView, most int) *lua.View {
	if t.Lua == nil {
		return nil
	}
	v := t.Lua.View()
	v.LastErrors = v.LastErrors[:min(most, len(v.LastErrors))]
	return &v
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
