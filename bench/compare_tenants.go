//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/load"
)

// tenantCount is how many tenants have a script.
const tenantCount = 1000

// Its metrics.
const (
	metricStart    = "start until requests are answered"
	metricStartRSS = "RSS after the start"
	metricUsedRSS  = "RSS after a request to each tenant"
	metricReload   = "reload of one changed script"
	metricSame     = "reload with nothing changed"
)

// tenantsScenario is many tenants, each with a script of its own.
func tenantsScenario() *scenario {
	return &scenario{
		name: "lua-tenants", title: "1,000 tenants with a script each",
		metrics: []metric{
			{metricStart, "ms", 0}, {metricStartRSS, "MB", 1}, {metricUsedRSS, "MB", 1}, {metricReload, "ms", 1}, {metricSame, "ms", 1},
		},
		subjects: []subject{{name: ours, run: measureTenants}},
		promises: []promise{
			{text: "start in ms", subject: ours, metric: metricStart, must: 3000},
			{text: "RSS in MB after the start", subject: ours, metric: metricStartRSS, must: 100},
			{text: "reload in ms", subject: ours, metric: metricReload, must: 50},
		},
		note: "No nginx beside it: it compiles a block of Lua when the first request runs it, and reloads by starting new workers.",
	}
}

// tenantScript differs for each tenant, so that none is compiled only once.
func tenantScript(i, version int) string {
	return fmt.Sprintf(`-- Script of tenant %[1]d.
local limits = { free = %[1]d, paid = 10 * %[1]d }
local names = {}
for i = 1, 20 do names[i] = "name-" .. i end

local function plan(request)
  if request:header("X-Api-Key") then return "paid" end
  return "free"
end

chi_middleware(function(request, response, next)
  request:set_header("X-Plan", plan(request))
  request:set_header("X-Limit", tostring(limits[plan(request)]))
  next()
  response:header("X-Gateway", "keystone")
end)

chi_middleware("/admin/*", function(request, response, next)
  if request:header("Authorization") ~= "Bearer %[1]d" then
    response:status(401)
    response:write("no")
    return
  end
  next()
end)

chi_route("GET", "/hello/{name}", function(request, response)
  response:header("Content-Type", "text/plain")
  response:write("hello " .. request:param("name") .. " from tenant %[1]d, version %[2]d\n")
end)

chi_group("/v1", function()
  chi_route("GET", "/names/{id:[0-9]+}", function(request, response)
    local name = names[tonumber(request:param("id"))]
    if not name then response:status(404) return end
    response:json({ name = name })
  end)
  chi_route("POST", "/names", function(request, response) response:status(201) end)
end)
`, i, version)
}

func tenantHost(i int) string { return fmt.Sprintf("t%d.example.com", i) }

func measureTenants(ctx context.Context, l *lab) (sample, error) {
	tenants := strings.Builder{}
	scripts := map[string]string{}
	requests := make([][]byte, tenantCount)
	for i := range tenantCount {
		fmt.Fprintf(&tenants, "  - {name: t%d, domains: [%s], lua_routes: [t%d.lua], services: [{url: \"http://127.0.0.1:9\"}]}\n", i, tenantHost(i), i)
		scripts[fmt.Sprintf("t%d.lua", i)] = tenantScript(i, 1)
		requests[i] = request(tenantHost(i), "/hello/world")
	}
	last := tenantCount - 1
	g, err := l.startGateway(ctx, gatewayConfig{tenants: tenants.String(), scripts: scripts, host: tenantHost(last), path: "/hello/world"})
	if err != nil {
		return nil, err
	}
	s := sample{metricStart: milliseconds(time.Since(g.began))}
	memory, _ := memoryOf([]int{g.pid()})
	s[metricStartRSS] = memory / 1e6
	if err := g.keepProfile(ctx, l, "tenants-heap", "heap?gc=1"); err != nil {
		return nil, err
	}

	result, err := load.Run(ctx, load.Options{Address: g.address, Requests: requests, Connections: 16, Duration: time.Second})
	if err != nil {
		return nil, err
	}
	if err := result.Err(); err != nil {
		return nil, err
	}
	if n := result.Answered(); n < tenantCount {
		return nil, fmt.Errorf("only %d requests were answered, expected one of each tenant's", n)
	}
	memory, _ = memoryOf([]int{g.pid()})
	s[metricUsedRSS] = memory / 1e6

	if s[metricSame], err = timeReload(ctx, g); err != nil {
		return nil, err
	}
	if _, err := l.write(fmt.Sprintf("scripts/t%d.lua", last), tenantScript(last, 2)); err != nil {
		return nil, err
	}
	if s[metricReload], err = timeReload(ctx, g); err != nil {
		return nil, err
	}
	answer, err := get(ctx, g.address, tenantHost(last), "/hello/world")
	if err != nil {
		return nil, err
	}
	if answer.status != http.StatusOK || !strings.HasSuffix(answer.body, "version 2\n") {
		return nil, fmt.Errorf("after the reload got %d, %q, want the changed script's answer", answer.status, answer.body)
	}
	return s, nil
}

func timeReload(ctx context.Context, g *gateway) (float64, error) {
	began := time.Now()
	err := g.reload(ctx)
	return milliseconds(time.Since(began)), err
}
