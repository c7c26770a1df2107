//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

const middlewareScript = `
chi_middleware(function(request, response, next)
  if not request:header("X-Api-Key") then
    request:set_header("X-Anon", "1")
  end
  request:set_header("X-Tenant", "shop")
  next()
  response:header("X-Gateway", "keystone")
end)
`

// The same by nginx. ngx.var reads one field, where ngx.req.get_headers makes
// a table of all: of two usual ways the cheaper one.
const middlewareLocation = `
rewrite_by_lua_block {
    if not ngx.var.http_x_api_key then ngx.req.set_header("X-Anon", "1") end
    ngx.req.set_header("X-Tenant", "shop")
}
header_filter_by_lua_block { ngx.header["X-Gateway"] = "keystone" }
proxy_pass http://pool;
`

const headersLocation = `
rewrite_by_lua_block {
    if not ngx.req.get_headers()["X-Api-Key"] then ngx.req.set_header("X-Anon", "1") end
    ngx.req.set_header("X-Tenant", "shop")
}
header_filter_by_lua_block { ngx.header["X-Gateway"] = "keystone" }
proxy_pass http://pool;
`

// Names of subjects.
const (
	ours        = "gateway"
	oursPlain   = "gateway, no Lua"
	nginxLua    = "nginx + Lua"
	nginxTable  = "nginx + Lua, get_headers"
	nginxNoLua  = "nginx, no Lua"
	shopTenants = `
  - name: shop
    domains: [shop.example.com]
    %s
    connections: {max_per_target: 10000, max_pending: 10000}
    services: [{name: one, url: "http://%s"}, {name: two, url: "http://%s"}]
`
)

// middlewareScenario is the typical middleware in front of an upstream.
func middlewareScenario() *scenario {
	return &scenario{
		name: "middleware", title: "one header read, two set, the upstream, one set on the response",
		metrics: closedMetrics,
		subjects: []subject{
			{name: ours, run: func(ctx context.Context, l *lab) (sample, error) {
				return l.proxyByGateway(ctx, true)
			}},
			{name: nginxLua, needsNginx: true, run: func(ctx context.Context, l *lab) (sample, error) {
				return l.proxyByNginx(ctx, middlewareLocation, true)
			}},
			{name: nginxTable, needsNginx: true, run: func(ctx context.Context, l *lab) (sample, error) {
				return l.proxyByNginx(ctx, headersLocation, true)
			}},
			{name: oursPlain, run: func(ctx context.Context, l *lab) (sample, error) {
				return l.proxyByGateway(ctx, false)
			}},
			{name: nginxNoLua, needsNginx: true, run: func(ctx context.Context, l *lab) (sample, error) {
				return l.proxyByNginx(ctx, "proxy_pass http://pool;", false)
			}},
		},
		promises: []promise{
			{text: "CPU per request ÷ nginx + Lua", subject: ours, versus: nginxLua, metric: metricCPU, must: 1},
		},
		note: "64 connections in a closed loop; proxy, upstream and load generator share the machine, so that requests per CPU second compare proxies and requests a second also what is around them.",
	}
}

// startShop runs the gateway with the tenant shop, with or without a script.
func (l *lab) startShop(ctx context.Context, u *upstream, withLua bool) (*gateway, error) {
	routes := ""
	if withLua {
		routes = "lua_routes: [shop.lua]"
	}
	return l.startGateway(ctx, gatewayConfig{
		tenants: fmt.Sprintf(shopTenants, routes, u.addresses[0], u.addresses[1]),
		scripts: map[string]string{"shop.lua": middlewareScript}, host: "shop.example.com",
	})
}

func (l *lab) proxyByGateway(ctx context.Context, withLua bool) (sample, error) {
	u, err := l.startUpstream(ctx)
	if err != nil {
		return nil, err
	}
	g, err := l.startShop(ctx, u, withLua)
	if err != nil {
		return nil, err
	}
	if err := checkMiddleware(ctx, g.address, withLua); err != nil {
		return nil, err
	}
	wait := g.profile(ctx, l, fmt.Sprintf("middleware-lua-%t", withLua))
	measured, err := l.saturate(ctx, g.address, g.process, "/users/7?page=2")
	return measured, errors.Join(err, wait())
}

func (l *lab) proxyByNginx(ctx context.Context, location string, withLua bool) (sample, error) {
	u, err := l.startUpstream(ctx)
	if err != nil {
		return nil, err
	}
	n, err := l.startNginx(ctx, u, location)
	if err != nil {
		return nil, err
	}
	if err := checkMiddleware(ctx, n.address, withLua); err != nil {
		return nil, err
	}
	return l.saturate(ctx, n.address, n.process, "/users/7?page=2")
}

// checkMiddleware makes sure that the work is done, and the same work.
func checkMiddleware(ctx context.Context, address netip.AddrPort, withLua bool) error {
	answer, err := get(ctx, address, "shop.example.com", "/echo")
	if err != nil {
		return err
	}
	got := strings.ToLower(answer.body)
	wants := []string{"host: shop.example.com\r\n", "x-request-id: ", "x-forwarded-for: 127.0.0.1\r\n", "x-forwarded-proto: http\r\n", "x-forwarded-host: shop.example.com"}
	if withLua {
		wants = append(wants, "x-anon: 1\r\n", "x-tenant: shop\r\n")
	}
	for _, want := range wants {
		if !strings.Contains(got, want) {
			return fmt.Errorf("the upstream did not see %q, but %q", want, got)
		}
	}
	if has := answer.header.Get("X-Gateway") == "keystone"; has != withLua {
		return fmt.Errorf("the response has X-Gateway: %t, want %t", has, withLua)
	}
	if answer.header.Get("X-Request-Id") == "" {
		return errors.New("the response has no X-Request-Id")
	}
	return nil
}
