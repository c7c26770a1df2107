package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"runtime/debug"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/pprofhandler"

	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// routes returns the handler of all requests. The error is that
// admin_base_path collides with a fixed path.
func (a *API) routes() (handler fasthttp.RequestHandler, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("cannot serve the admin API under admin_base_path %q: %v", a.base, cause)
		}
	}()
	r := router.New()
	r.RedirectTrailingSlash, r.RedirectFixedPath = false, false
	r.NotFound = func(ctx *fasthttp.RequestCtx) {
		refuse(ctx, &refusal{fasthttp.StatusNotFound, "not_found", "no such path, expected one of docs/admin.md below " + a.base})
	}
	r.MethodNotAllowed = func(ctx *fasthttp.RequestCtx) { // the router has set Allow
		refuse(ctx, &refusal{fasthttp.StatusMethodNotAllowed, "method_not_allowed", "the path exists, but not with this method"})
	}
	r.GlobalOPTIONS = func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(fasthttp.StatusNoContent) }
	read := func(path string, h fasthttp.RequestHandler) {
		r.GET(path, h)
		r.HEAD(path, h) // fasthttp leaves the body out
	}
	read(a.base+"/live", a.getLive)
	read(a.base+"/health", a.getHealth)
	read(a.base+"/tenants", a.getTenants)
	read(a.base+"/tenants/{name}", a.getTenant)
	read(a.base+"/tenants/{name}/health", a.getTenantHealth)
	read(a.base+"/tenants/{name}/maintenance", a.getMaintenance)
	r.POST(a.base+"/tenants/{name}/maintenance", a.postMaintenance)
	for what, do := range map[string]func(*upstream.Target){"drain": (*upstream.Target).Drain, "undrain": (*upstream.Target).Undrain, "eject": (*upstream.Target).Eject} {
		r.POST(a.base+"/tenants/{name}/targets/{target}/"+what, a.postTarget(what, do))
	}
	read(a.base+"/config", a.getConfig)
	read(a.base+"/snapshot", a.getSnapshot)
	read(a.base+"/certificates", a.getCertificates)
	read(a.base+"/listeners", a.getListeners)
	r.POST(a.base+"/reload", a.postReload)
	read(a.base+"/metrics", a.getMetrics)
	read("/metrics", a.getMetrics)
	read("/debug/pprof", a.getProfile)
	read("/debug/pprof/{profile}", a.getProfile)
	return a.admit(r.Handler), nil
}

// admit is what happens around every request: who may ask, what no cache and
// no browser may do with the answer, and that a panic costs that request only.
func (a *API) admit(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		defer a.recovered(ctx)
		if why := a.judge(ctx); why != nil {
			if why.status == fasthttp.StatusUnauthorized {
				ctx.Response.Header.Set(fasthttp.HeaderWWWAuthenticate, `Bearer realm="keystone-gateway"`)
			}
			refuse(ctx, why)
			ctx.SetConnectionClose() // who may not ask holds no connection
		} else {
			next(ctx)
		}
		seal(ctx)
	}
}

// recovered is deferred: it answers a panic.
func (a *API) recovered(ctx *fasthttp.RequestCtx) {
	cause := recover()
	if cause == nil {
		return
	}
	a.log.Error().Str("panic", fmt.Sprint(cause)).Bytes("path", ctx.Path()).Bytes("stack", debug.Stack()).Msg("BUG: a request to the admin API was answered 500, it has panicked")
	ctx.Response.Reset()
	refuse(ctx, &refusal{fasthttp.StatusInternalServerError, "internal_error", "the gateway failed to answer, its log says why"})
	seal(ctx)
}

// seal forbids to keep an answer, and to take it for something else.
func seal(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	ctx.Response.Header.Set(fasthttp.HeaderXContentTypeOptions, "nosniff")
}

// malformed answers what fasthttp couldn't read.
func malformed(ctx *fasthttp.RequestCtx, err error) {
	var timeout net.Error
	why := &refusal{fasthttp.StatusBadRequest, "bad_request", "the request is malformed"}
	switch {
	case errors.As(err, new(*fasthttp.ErrSmallBuffer)):
		why = &refusal{fasthttp.StatusRequestHeaderFieldsTooLarge, "header_too_large", fmt.Sprintf("the request's header section is too large, expected at most %d bytes", maxHead)}
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		why = &refusal{fasthttp.StatusRequestEntityTooLarge, "body_too_large", fmt.Sprintf("the request's body is too large, expected at most %d bytes", maxBody)}
	case errors.As(err, &timeout) && timeout.Timeout():
		why = &refusal{fasthttp.StatusRequestTimeout, "timeout", fmt.Sprintf("the request took longer than %v", readTimeout)}
	}
	refuse(ctx, why)
	seal(ctx)
}

func refuse(ctx *fasthttp.RequestCtx, why *refusal) {
	reply(ctx, why.status, why.document())
}

// document is the form of every error.
func (r *refusal) document() any {
	type errorBody struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	return struct {
		Error errorBody `json:"error"`
	}{errorBody{r.code, r.message}}
}

func reply(ctx *fasthttp.RequestCtx, status int, document any) {
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	ctx.Response.SetBodyRaw(encode(document)) // raw: no pool keeps the list of 10,000 tenants
}

// encode writes a document for machines and people.
func encode(document any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(document); err != nil {
		panic(fmt.Sprintf("BUG: %T can't be JSON: %v", document, err))
	}
	return b.Bytes()
}

// maxProfile bounds a profile or trace, in seconds.
const maxProfile = 120

// getProfile serves net/http/pprof, which shows too much of the process, and
// costs it too much, for anyone without a token.
func (a *API) getProfile(ctx *fasthttp.RequestCtx) {
	if a.server.Config().Admin.Token == "" {
		refuse(ctx, &refusal{fasthttp.StatusNotFound, "pprof_off", "profiles are off, expected admin.token to be set"})
		return
	}
	if ctx.QueryArgs().GetUintOrZero("seconds") > maxProfile {
		refuse(ctx, &refusal{fasthttp.StatusBadRequest, "bad_request", fmt.Sprintf("seconds is too large, expected at most %d", maxProfile)})
		return
	}
	pprofhandler.PprofHandler(ctx)
}
