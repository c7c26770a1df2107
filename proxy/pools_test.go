package proxy_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// TestPools: which pool a request goes to: that of its route, the one that a script has
// chosen, or the default one.
func TestPools(t *testing.T) {
	t.Parallel()
	one, api, blue := naming(t, "one"), naming(t, "api"), naming(t, "blue")
	w := newWorkshop(t,
		"scripts/choose.lua", `chi_middleware(function(request, response, next)
			local pool, target = request:header("X-Pool"), request:header("X-Target")
			if pool then
				local ok, why = pcall(request.pool, request, pool)
				if not ok then response:status(400) response:write(why) return end
			end
			if target then request:upstream(target) end
			next()
		end)`,
		"c.yaml", `tenants:
  - name: shop
    domains: [shop.example.com]
    services: [{url: "http://`+one+`", name: one}]
    pools:
      api: {services: [{url: "http://`+api+`", name: api-1}]}
      blue.1-x_y: {services: [{url: "http://`+blue+`", name: blue-1}]}
    routes: &routes
      - {path: "/api/*", pool: api, rewrite: "/v1/{*}", policies: [{headers: {response: {set: {X-Route: api}}}}]}
      - {path: /guarded, pool: api, policies: [{ip: {deny: 127.0.0.1}}]}
      - {path: /small, pool: api, max_body_size: 2B}
      - {path: /blue, pool: blue.1-x_y}
      - {path: /default, pool: default}
  - name: scripted
    domains: [scripted.example.com]
    lua_routes: choose.lua
    lua: {timeout: 20s}
    services: [{url: "http://`+one+`", name: one}]
    pools:
      api: {services: [{url: "http://`+api+`", name: api-1}]}
      blue.1-x_y: {services: [{url: "http://`+blue+`", name: blue-1}]}
    routes: *routes
  - name: bare
    domains: [bare.example.com]
    pools: {api: {services: [{url: "http://`+api+`"}]}}
    routes: [{path: /api, methods: GET, pool: api}]
  - name: inside
    domains: [inside.example.com]
    pools: {default: {services: [{url: "http://`+blue+`"}]}}
`)
	w.strict = true
	w.run()
	for _, tenant := range []string{"shop", "scripted"} {
		for _, c := range [][3]string{
			{"GET /", "", "200 one"},
			{"GET /api/x", "", "200 api"},
			{"GET /guarded", "", "403 ip_denied"},
			{"POST /small", "Content-Length: 3\r\n\r\nabc", "413 body_too_large"},
			{"POST /small", "Content-Length: 2\r\n\r\nab", "200 api"},
			{"GET /blue", "", "200 blue"},
			{"GET /default", "", "200 one"},
		} {
			w.tell(tenant, c)
		}
		answer, body := w.speak("GET /api/a/b?q HTTP/1.1\r\nHost: " + tenant + ".example.com\r\n\r\n")
		if !strings.HasPrefix(body, "api\nGET /v1/a/b?q ") || answer.Header.Get("X-Route") != "api" {
			t.Errorf("%s: what the route says is lost: %v %.60q", tenant, answer.Header, body)
		}
	}
	for _, c := range [][3]string{
		{"GET /", "X-Pool: api", "200 api"},
		{"GET /blue", "X-Pool: api", "200 api"}, // before the route
		{"GET /blue", "X-Pool: default", "200 one"},
		{"GET /", "X-Target: blue-1", "200 blue"},
		{"GET /blue", "X-Target: one", "200 one"},
		{"GET /blue", "X-Target: scripted", "200 blue"},
		{"GET /", "X-Pool: api\r\nX-Target: blue-1", "200 blue"},
		{"GET /", "X-Pool: apl", `400 there is no pool "apl", expected one of default, api, blue.1-x_y; did you mean "api"?`},
		{"GET /", "X-Pool: one", `400 there is no pool "one", expected one of default, api, blue.1-x_y`},
	} {
		w.tell("scripted", c)
	}
	w.tell("bare", [3]string{"GET /api", "", "200 api"})
	w.tell("bare", [3]string{"POST /api", "", "405 method_not_allowed"})
	w.tell("bare", [3]string{"GET /", "", "404 no_route"})
	w.tell("inside", [3]string{"GET /", "", "200 blue"})
}

// TestPoolsInherit: what a pool leaves out of a section is the tenant's, key by key.
func TestPoolsInherit(t *testing.T) {
	t.Parallel()
	config, err := proxy.Parse("c.yaml", []byte(`tenants:
  - name: a
    domains: [a.example]
    health: {path: /health, interval: 7s, headers: {X-Probe: a}}
    timeouts: {connect: 3s, total: 9m}
    connections: {max_per_target: 7, max_pending: 8}
    target_tls: {server_name: a.internal, insecure_skip_verify: true}
    grpc: {retry_on: [unavailable]}
    services: [{url: "https://10.0.0.1"}]
    pools:
      all: {services: [{url: "https://10.0.0.2"}]}
      own:
        services: [{url: "https://10.0.0.3", tls: {server_name: three.internal}}, {url: "https://10.0.0.4"}]
        health: {interval: 1m}
        timeouts: {connect: 1s}
        connections: {max_pending: 0}
        target_tls: {server_name: own.internal}
        grpc: {retry_on: []}
`))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		"default /health 7s a 3s 9m0s 7 8 [unavailable] a.internal true",
		"all /health 7s a 3s 9m0s 7 8 [unavailable] a.internal true",
		"own /health 1m0s a 1s 9m0s 7 0 [] three.internal true own.internal true",
	} {
		p := config.Tenants[0].AllPools()[i]
		got := fmt.Sprint(p.Name, " ", p.Health.Path, " ", p.Health.Interval.Std(), " ", p.Health.Headers["X-Probe"], " ", p.Timeouts.Connect.Std(), " ", p.Timeouts.Total.Std(), " ",
			p.Connections.MaxPerTarget, " ", p.Connections.MaxPending, " ", p.GRPC.RetryOn)
		for _, s := range p.Services {
			got += fmt.Sprint(" ", s.TLS.ServerName, " ", s.TLS.InsecureSkipVerify)
		}
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// TestWrongPools: what is wrong with pools is told with its place.
func TestWrongPools(t *testing.T) {
	t.Parallel()
	const services = "services: [{url: 'http://10.0.0.1'}]"
	for _, c := range []struct{ section, want string }{
		{services + ", pools: {default: @{" + services + "}}", "services and pools.default, which are the same pool, expected one of them"},
		{services + ", pools: {'a b': @{services: [{url: 'http://10.0.0.2'}]}}", "other than letters, digits, dots, hyphens and underscores"},
		{services + ", pools: {'': @{services: [{url: 'http://10.0.0.2'}]}}", "expected 1 to 64"},
		{services + ", pools: {" + strings.Repeat("x", 65) + ": @{services: [{url: 'http://10.0.0.2'}]}}", "65 bytes, expected 1 to 64"},
		{services + ", pools: {api: @{}}", "pools.api: the pool has no services"},
		{services + ", pools: {@api: }", "pools.api: the pool has no services"},
		{services + ", pools: @[api]", "expected a mapping"},
		{services + ", pools: {api: {services: [{url: @'ftp://x'}]}}", "pools.api"},
		{services + ", pools: {api: {services: [{url: 'http://10.0.0.2'}, {url: @'http://10.0.0.2:80'}]}}", "already services[0]"},
		{services + ", pools: {api: {services: [{url: 'http://10.0.0.2'}], health: {interval: @1ms}}}", "interval 1ms is too short"},
		{services + ", pools: {api: {services: [{url: 'http://10.0.0.2'}], timeouts: {connect: @0}}}", "connect 0s is not positive"},
		{services + ", pools: {api: {services: [{url: 'http://10.0.0.2'}], connections: {max_per_target: @0}}}", "out of range"},
		{services + ", pools: {api: {services: [{url: 'http://10.0.0.2'}], grpc: {retry_on: [@never]}}}", `"never"`},
		{services + ", pools: {api: {services: [{url: 'http://10.0.0.2'}], @service: []}}", `unknown key "service"`},
		{services + ", pools: {api: {services: [{url: 'http://127.0.0.1:8080'}]}}", "the gateway's own address"},
		{services + ", pools: {api: {services: [{url: 'http://10.0.0.2', tls: @{server_name: x}}]}}", "doesn't speak it"},
		{services + ", pools: {api: {services: [{url: @'http://10.0.0.1', name: x}]}}", `in the pools "default" and "api" with another name`},
		{services + ", pools: {api: {services: [{url: @'http://10.0.0.1'}], health: {path: /x}}}", "with another health"},
		{services + ", pools: {api: {services: [{url: @'http://10.0.0.1'}], connections: {max_pending: 1}}}", "with another connections"},
		{services + ", pools: {api: {services: [{url: @'http://10.0.0.1'}], timeouts: {connect: 1s}}}", "with another timeouts.connect"},
		{services + ", pools: {api: {services: [{url: 'http://10.0.0.2'}]}}, routes: [{pool: @apl}]", `routes[0]: there is no pool "apl", expected one of default, api; did you mean "api"?`},
		{services + ", routes: [{pool: @api}]", `there is no pool "api", expected one of default`},
		{"routes: [{pool: @api}]", `there is no pool "api": the tenant has none`},
		{services + ", pools: {api: {services: [{url: 'http://10.0.0.2'}]}}, routes: [@{pool: api, respond: {}}]", "the route has respond and pool or split, expected one of them"},
		{"pools: {api: {services: [{url: 'http://10.0.0.2'}]}}, routes: [@{path: /x}]", "the tenant has no services to answer, expected redirect, respond, files or pool"},
		{"pools: {api: {services: [{url: 'http://10.0.0.2'}]}}", "has neither services nor lua_routes nor routes"},
	} {
		tellsWrong(t, c.section, c.want)
	}
}

// tellsWrong demands that a tenant's section is refused at the place of "@", which is
// taken away.
func tellsWrong(t *testing.T, section, want string) {
	t.Helper()
	text := "tenants: [{name: a, domains: [a.example], " + section + "}]"
	_, err := proxy.Parse(filepath.Join(t.TempDir(), "c.yaml"), []byte(strings.Replace(text, "@", "", 1)))
	list, _ := errors.AsType[settings.Errors](err)
	at := strings.IndexByte(text, '@')
	for _, e := range list {
		if strings.Contains(e.Error(), want) && (at < 0 || e.Line == 1 && e.Column == at+1) {
			return
		}
	}
	t.Errorf("%s\ngot %v, want %s", text, err, want)
}

// TestPoolsInUse: pools come, go and change their targets by reloads, and no request
// fails; what stays keeps its counters, in whatever pool it is.
func TestPoolsInUse(t *testing.T) {
	t.Parallel()
	a, b := naming(t, "a"), naming(t, "b")
	config := func(pools, route string) string {
		return "tenants:\n- {name: shop, domains: [shop.example.com], pools: {" + pools + "}, routes: [" + route + "]}\n"
	}
	w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", config("one: {services: [{url: 'http://"+a+"'}]}", "{pool: one}"))
	w.run()
	var failed, asked atomic.Int64
	var stop atomic.Bool
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for !stop.Load() {
				if status, code := w.serve("shop", "/"); status != 200 {
					failed.Add(1)
					t.Errorf("got %d %s", status, code)
				}
				asked.Add(1)
			}
		})
	}
	first := firstTarget(w.server)
	for i, step := range []string{
		config("one: {services: [{url: 'http://"+a+"'}]}, two: {services: [{url: 'http://"+b+"'}]}", "{path: /x, pool: two}, {pool: one}"),
		config("one: {services: [{url: 'http://"+a+"'}]}, two: {services: [{url: 'http://"+b+"'}, {url: 'http://"+a+"', weight: 0}]}", "{pool: two}"),
		config("two: {services: [{url: 'http://"+a+"'}]}", "{pool: two}"),
		config("default: {services: [{url: 'http://"+a+"'}]}", ""),
		config("default: {services: [{url: 'http://"+a+"'}]}, one: {services: [{url: 'http://"+a+"', weight: 3}]}", "{pool: one}"),
	} {
		before := asked.Load()
		eventually(t, "requests are under way", func() bool { return asked.Load() > before+20 })
		w.write("c.yaml", step)
		if result := w.server.Reload(); !result.OK {
			t.Fatalf("step %d: %+v", i, result)
		}
		if got := firstTarget(w.server); got != first || got.Requests.Load() == 0 {
			t.Errorf("step %d: the target is another one, with %d requests", i, got.Requests.Load())
		}
	}
	stop.Store(true)
	clients.Wait()
	if failed.Load() > 0 || asked.Load() < 100 {
		t.Errorf("%d of %d requests failed", failed.Load(), asked.Load())
	}
	for tenant := range w.server.Tenants() {
		if len(tenant.Pools) != 2 || tenant.Pools[0].States()[0].Weight != 1 || tenant.Pools[1].States()[0].Weight != 3 {
			t.Errorf("the pools are %+v and %+v", tenant.Pools[0].States(), tenant.Pools[1].States())
		}
		n := 0
		for range tenant.Targets() {
			n++
		}
		if n != 1 {
			t.Errorf("one target of two pools is counted %d times", n)
		}
	}
}

// firstTarget is the one of the first pool that has been asked most.
func firstTarget(s *proxy.Server) (most *upstream.Target) {
	for tenant := range s.Tenants() {
		for _, target := range tenant.Targets() {
			if most == nil || target.Requests.Load() > most.Requests.Load() {
				most = target
			}
		}
	}
	return most
}

// TestPoolsFail: a pool whose targets are down fails by itself, with its name, and the
// log says which pool requests went to.
func TestPoolsFail(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", `tenants:
  - name: shop
    domains: [shop.example.com]
    services: [{url: "http://`+naming(t, "one")+`"}]
    pools:
      gone: {services: [{url: "unix:///nowhere/app.sock", name: away}, {url: "unix:///nowhere/other.sock", name: also}]}
      half: {services: [{url: "unix:///nowhere/half.sock"}, {url: "http://`+naming(t, "half")+`"}]}
      none: {services: [{url: "unix:///nowhere/none.sock", weight: 0}]}
      slow: {services: [{url: "http://`+answering(t, "")+`"}], timeouts: {total: 50ms}}
    routes:
      - {path: /gone, pool: gone}
      - {path: /half, pool: half}
      - {path: /none, pool: none}
      - {path: /slow, pool: slow}
`)
	log := filepath.Join(w.dir, "access.log")
	w.replace("c.yaml", "access_log: {enabled: false}", "access_log: {output: '"+log+"'}")
	w.run()
	w.tell("shop", [3]string{"GET /gone", "", "502 upstream_connect_failed"})
	w.tell("shop", [3]string{"GET /gone", "", "503 no_healthy_target"})
	w.tell("shop", [3]string{"GET /none", "", "503 no_healthy_target"})
	w.tell("shop", [3]string{"GET /slow", "", "504 upstream_timeout"})
	for range 4 {
		w.tell("shop", [3]string{"GET /half", "", "200 half"})
	}
	w.tell("shop", [3]string{"GET /", "", "200 one"})
	for tenant := range w.server.Tenants() {
		if tenant.Healthy() {
			t.Error("the tenant is healthy, and one of its pools has no healthy target")
		}
	}
	var text string
	eventually(t, "the last line is there", func() bool {
		content, _ := os.ReadFile(log)
		text = string(content)
		return strings.Contains(text, `"pool":"default"`)
	})
	for _, want := range []string{`"pool":"gone","target":"a`, `no target of the pool \"gone\" is healthy: \"away\" is down`, `"pool":"half"`, `"pool":"none"`, "pools.slow.timeouts.total"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log has no %s:\n%s", want, text)
		}
	}
}

// TestDefaultPoolHasItsOwn: what pools.default says holds for requests that nothing leads
// elsewhere.
func TestDefaultPoolHasItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", `tenants:
  - name: shop
    domains: [shop.example.com]
    timeouts: {response_header: 1h}
    pools: {default: {services: [{url: "http://`+answering(t, "")+`"}], timeouts: {response_header: 50ms}}}
`)
	w.run()
	w.tell("shop", [3]string{"GET /", "", "504 upstream_timeout"})
}
