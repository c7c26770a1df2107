//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

const routeScript = `
chi_route("GET", "/hello", function(request, response)
  response:header("Content-Type", "text/plain")
  response:write("hello\n")
end)
`

// Without content_length, nginx would send chunks.
const routeLocation = `
content_by_lua_block {
    ngx.header.content_type = "text/plain"
    ngx.header.content_length = 6
    ngx.print("hello\n")
}
`

// routeScenario is a script that answers by itself.
func routeScenario() *scenario {
	return &scenario{
		name: "route", title: "a route in Lua that answers with 6 bytes",
		metrics: closedMetrics,
		subjects: []subject{
			{name: ours, run: answerByGateway},
			{name: nginxLua, needsNginx: true, run: answerByNginx},
		},
		promises: []promise{
			{text: "requests a second ÷ nginx content_by_lua", subject: ours, versus: nginxLua, metric: metricRate, must: 0.8, atLeast: true},
			{text: "requests per CPU second ÷ nginx content_by_lua", subject: ours, versus: nginxLua, metric: metricPerCPU, must: 0.8, atLeast: true},
		},
		note: "64 connections in a closed loop. The load generator uses up to one of the processors: requests a second understate whoever is faster.",
	}
}

func answerByGateway(ctx context.Context, l *lab) (sample, error) {
	g, err := l.startGateway(ctx, gatewayConfig{
		tenants: "\n  - {name: shop, domains: [shop.example.com], lua_routes: [route.lua]}\n",
		scripts: map[string]string{"route.lua": routeScript}, host: "shop.example.com", path: "/hello",
	})
	if err != nil {
		return nil, err
	}
	if err := checkRoute(ctx, g.address); err != nil {
		return nil, err
	}
	wait := g.profile(ctx, l, "route")
	measured, err := l.saturate(ctx, g.address, g.process, "/hello")
	return measured, errors.Join(err, wait())
}

func answerByNginx(ctx context.Context, l *lab) (sample, error) {
	n, err := l.startNginx(ctx, nil, routeLocation)
	if err != nil {
		return nil, err
	}
	if err := checkRoute(ctx, n.address); err != nil {
		return nil, err
	}
	return l.saturate(ctx, n.address, n.process, "/hello")
}

func checkRoute(ctx context.Context, address netip.AddrPort) error {
	answer, err := get(ctx, address, "shop.example.com", "/hello")
	if err != nil {
		return err
	}
	if answer.body != "hello\n" || answer.header.Get("Content-Type") != "text/plain" || answer.header.Get("Content-Length") != "6" {
		return fmt.Errorf("got %q with %v, want hello as text/plain with its length", answer.body, answer.header)
	}
	return nil
}
