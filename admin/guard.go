package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/netip"
	"net/url"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

// refusal is an answer to a request that may not or can't be served.
type refusal struct {
	status        int
	code, message string
}

// changeField is what a request that changes something carries where there is
// no token: a page in a browser can't send it to another origin without asking
// first, which nobody answers, a form can't at all, and scripts may not.
const changeField = "X-Gateway-Admin"

// judge decides who may ask. Never a tenant's script, of this gateway or of
// another. With a token, whoever presents it. Without one, whoever reaches a
// loopback address or a Unix socket, except for pages in a browser on that
// machine: a name of theirs may be made to resolve to 127.0.0.1, and they may
// send a POST anywhere. nil admits.
func (a *API) judge(ctx *fasthttp.RequestCtx) *refusal {
	token := a.server.Config().Admin.Token
	switch {
	case len(ctx.Request.Header.PeekAll(exchange.HopsField)) > 0:
		return &refusal{fasthttp.StatusForbidden, "script_refused", "a tenant's script may not ask the admin API"}
	case token != "" && !presents(ctx, token):
		return &refusal{fasthttp.StatusUnauthorized, "unauthorized", "expected admin.token as \"Authorization: Bearer TOKEN\""}
	case token == "" && a.exposed:
		// A reload that moves admin.address to a loopback one may drop the
		// token, but the listener stays where it is until the next start.
		return &refusal{fasthttp.StatusForbidden, "token_missing", "admin.token has been removed while this listener can be reached from other machines, expected it to be set, or a restart"}
	case token == "" && !a.local && !isLoopback(ctx.Request.Header.Peek(fasthttp.HeaderHost)):
		return &refusal{fasthttp.StatusForbidden, "host_refused", "expected Host to be localhost or a loopback address, since admin.token is not set"}
	case changes(ctx) && fromElsewhere(ctx):
		return &refusal{fasthttp.StatusForbidden, "cross_site", "a page of another site may not send this request"}
	case token == "" && changes(ctx) && string(ctx.Request.Header.Peek(changeField)) != "1":
		return &refusal{fasthttp.StatusForbidden, "header_missing", "expected the header \"" + changeField + ": 1\", since admin.token is not set"}
	}
	return nil
}

// presents reports whether the request carries the token, in a time that
// doesn't depend on how much of it is right.
func presents(ctx *fasthttp.RequestCtx, token string) bool {
	scheme, given, _ := strings.Cut(string(ctx.Request.Header.Peek(fasthttp.HeaderAuthorization)), " ")
	want, got := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(strings.TrimLeft(given, " ")))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

// isLoopback reports whether a Host names this machine by something that no
// DNS server can redefine.
func isLoopback(host []byte) bool {
	var buf [256]byte
	name, err := route.CanonicalHost(buf[:0], host)
	if err != nil {
		return false
	}
	if string(name) == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(string(name), "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}

func changes(ctx *fasthttp.RequestCtx) bool {
	return !ctx.IsGet() && !ctx.IsHead() && !ctx.IsOptions()
}

// fromElsewhere reports whether a browser sent the request for a page of
// another origin. What isn't a browser sends neither field.
func fromElsewhere(ctx *fasthttp.RequestCtx) bool {
	switch string(ctx.Request.Header.Peek("Sec-Fetch-Site")) {
	case "", "same-origin", "none":
	default:
		return true
	}
	origins := ctx.Request.Header.PeekAll(fasthttp.HeaderOrigin)
	if len(origins) == 0 {
		return false
	}
	u, err := url.Parse(string(origins[0]))
	return len(origins) > 1 || err != nil || !strings.EqualFold(u.Host, string(ctx.Request.Header.Peek(fasthttp.HeaderHost)))
}
