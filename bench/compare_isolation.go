//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/load"
)

// attack is a script that does harm to whoever lets it.
type attack struct{ name, body string }

var attacks = []attack{
	{"endless loop", `while true do end`},
	{"string.rep", `local s = string.rep("x", 2^30) response:write(#s)`},
	{"doubling", `local s = "x" while true do s = s .. s end`},
	{"growing table", `local t = {} for i = 1, 1e9 do t[i] = { i } end`},
	{"many strings", `local t = {} for i = 1, 1e9 do t[i] = "string " .. i end`},
	{"pattern", `string.find(string.rep("a", 50000), string.rep("a-", 30) .. "b")`},
	{"recursion", `local function f() return 1 + f() end f()`},
	{"coroutines", `local t = {} for i = 1, 10000 do t[i] = coroutine.create(function() coroutine.yield() end) coroutine.resume(t[i]) end`},
	{"table index", `local t = {} t[2^26] = 1 for i = 1, 1e9 do t[2^26 + i * 1000] = i end`},
	{"errors", `error("no")`},
}

// Rates of the attacked and of the attacking tenant, a second.
const (
	victimRate   = 1000
	attackerRate = 200
)

// leastSiege is how long each attack lasts at least: a p99 of fewer requests is
// that of a single moment.
const leastSiege = 3 * time.Second

// Its metrics.
const (
	metricQuiet    = "p99, quiet"
	metricWorst    = "p99 ÷ quiet, worst attack"
	metricLost     = "requests of B that failed"
	metricHeap     = "peak heap"
	metricLeft     = "goroutines left"
	metricAttacked = "p99, "
)

// isolationScenario is one tenant under attack from another.
func isolationScenario() *scenario {
	const on, off = "quarantine on", "quarantine off"
	s := &scenario{
		name: "isolation", title: "tenant A attacks at 200 requests/s while tenant B (Lua, upstream) has 1,000/s",
		metrics: []metric{{metricQuiet, "ms", 2}},
		subjects: []subject{
			{name: on, run: func(ctx context.Context, l *lab) (sample, error) { return l.attackAll(ctx, true) }},
			{name: off, run: func(ctx context.Context, l *lab) (sample, error) { return l.attackAll(ctx, false) }},
		},
		note: "p99 of B, by when its requests were due. The load generator and the upstream share the processors with the attacks, which costs B's figures more than the gateway does.",
	}
	for _, a := range attacks {
		s.metrics = append(s.metrics, metric{metricAttacked + a.name, "ms", 2})
	}
	s.metrics = append(s.metrics, metric{metricWorst, "", 2}, metric{metricLost, "", 0}, metric{metricHeap, "MB", 1}, metric{metricRSS, "MB", 1}, metric{metricLeft, "", 0})
	for _, subject := range []string{on, off} {
		s.promises = append(s.promises,
			promise{text: "B's p99 ÷ quiet, " + subject, subject: subject, metric: metricWorst, must: 2},
			promise{text: "B's failed requests, " + subject, subject: subject, metric: metricLost, must: 0},
			promise{text: "heap in MB, " + subject, subject: subject, metric: metricHeap, must: 268},
			promise{text: "goroutines left, " + subject, subject: subject, metric: metricLeft, must: 10},
		)
	}
	return s
}

func (l *lab) attackAll(ctx context.Context, quarantine bool) (sample, error) {
	u, err := l.startUpstream(ctx)
	if err != nil {
		return nil, err
	}
	g, err := l.startVictim(ctx, u, quarantine)
	if err != nil {
		return nil, err
	}
	watch := watchHeap(ctx, g) // from the start: looking costs latency too
	quiet, err := l.besiege(ctx, g, nil)
	if err != nil {
		watch.stop()
		return nil, err
	}
	pause(ctx, 300*time.Millisecond)
	goroutines, err := g.metric(ctx, "go_goroutines")
	if err != nil {
		watch.stop()
		return nil, err
	}
	p99 := milliseconds(quiet.Latency.Quantile(0.99))
	s := sample{metricQuiet: p99, metricLost: float64(quiet.Bad() + quiet.Unsent)}
	for i := range attacks {
		l.progress(fmt.Sprintf("isolation: quarantine %t: %s", quarantine, attacks[i].name))
		result, err := l.besiege(ctx, g, &attacks[i])
		if err != nil {
			watch.stop()
			return nil, fmt.Errorf("%s: %w", attacks[i].name, g.failure(err))
		}
		now := milliseconds(result.Latency.Quantile(0.99))
		s[metricAttacked+attacks[i].name] = now
		s[metricWorst] = max(s[metricWorst], now/p99)
		s[metricLost] += float64(result.Bad() + result.Unsent)
		pause(ctx, time.Second)
	}
	s[metricHeap] = watch.stop() / 1e6
	_, peak := memoryOf([]int{g.pid()})
	s[metricRSS] = peak / 1e6
	pause(ctx, 3*time.Second)
	left, err := g.metric(ctx, "go_goroutines")
	s[metricLeft] = max(0, left-goroutines)
	return s, err
}

// startVictim runs a gateway with both tenants. Each attack is a script of its
// own, since quarantine is a script's.
func (l *lab) startVictim(ctx context.Context, u *upstream, quarantine bool) (*gateway, error) {
	scripts := map[string]string{"victim.lua": gatewayScripts[middlewareWork]}
	names := make([]string, len(attacks))
	for i, a := range attacks {
		names[i] = fmt.Sprintf("attack%d.lua", i)
		scripts[names[i]] = fmt.Sprintf("chi_route(\"GET\", \"/attack%d\", function(request, response)\n%s\nend)\n", i, a.body)
	}
	limits := ""
	if !quarantine {
		limits = "lua: {quarantine_after: 0}"
	}
	tenants := fmt.Sprintf(`
  - name: shop
    domains: [shop.example.com]
    lua_routes: [victim.lua]
    connections: {max_per_target: 10000, max_pending: 10000}
    services: [{name: one, url: "http://%s"}, {name: two, url: "http://%s"}]
  - name: attacker
    domains: [attacker.example.com]
    lua_routes: [%s]
    %s
`, u.addresses[0], u.addresses[1], strings.Join(names, ", "), limits)
	return l.startGateway(ctx, gatewayConfig{tenants: tenants, scripts: scripts, host: "shop.example.com"})
}

// besiege measures tenant B while tenant A attacks; nil is in peace.
func (l *lab) besiege(ctx context.Context, g *gateway, a *attack) (*load.Result, error) {
	warmup, duration := l.warmup(), max(l.options.duration, leastSiege)
	type ended struct {
		result *load.Result
		err    error
	}
	done := make(chan ended, 1)
	if a != nil {
		path := ""
		for i := range attacks {
			if &attacks[i] == a {
				path = fmt.Sprintf("/attack%d", i)
			}
		}
		go func() {
			result, err := load.Run(ctx, load.Options{
				Address: g.address, Requests: [][]byte{request("attacker.example.com", path)}, Connections: 400, Rate: attackerRate,
				Warmup: warmup, Duration: duration, Timeout: 5 * time.Second,
			})
			done <- ended{result, err}
		}()
	} else {
		done <- ended{}
	}
	result, err := load.Run(ctx, load.Options{
		Address: g.address, Requests: [][]byte{request("shop.example.com", "/users/7")}, Connections: 256, Rate: victimRate,
		Warmup: warmup, Duration: duration, Timeout: 5 * time.Second,
	})
	attacker := <-done
	if err == nil {
		err = attacker.err
	}
	if err == nil && attacker.result != nil && attacker.result.Statuses[2] > 0 {
		err = fmt.Errorf("%d attacks were answered with 2xx: they are none", attacker.result.Statuses[2])
	}
	return result, err
}

// heapWatch looks at the gateway's heap now and then.
type heapWatch struct {
	cancel context.CancelFunc
	most   chan float64
}

func watchHeap(ctx context.Context, g *gateway) *heapWatch {
	ctx, cancel := context.WithCancel(ctx)
	w := &heapWatch{cancel: cancel, most: make(chan float64, 1)}
	go func() {
		most := 0.0
		for ctx.Err() == nil {
			if bytes, err := g.metric(ctx, "go_memstats_heap_inuse_bytes"); err == nil {
				most = max(most, bytes)
			}
			pause(ctx, 100*time.Millisecond)
		}
		w.most <- most
	}()
	return w
}

// stop returns the most that was seen, in bytes.
func (w *heapWatch) stop() float64 {
	w.cancel()
	return <-w.most
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
