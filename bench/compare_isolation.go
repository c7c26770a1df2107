//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/load"
)

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
func isolationScenario(o *options) *scenario {
	const on, off = "quarantine on", "quarantine off"
	s := &scenario{
		name: "isolation", title: "tenant A attacks, at 200 requests/s or with up to 3,000 slow clients, while tenant B (Lua, upstream) has 1,000/s; GOMEMLIMIT=512MiB",
		metrics: []metric{{metricQuiet, "ms", 2}},
		subjects: []subject{
			{name: on, run: func(ctx context.Context, l *lab) (sample, error) { return l.attackAll(ctx, true) }},
			{name: off, run: func(ctx context.Context, l *lab) (sample, error) { return l.attackAll(ctx, false) }},
		},
		note: "p99 of B, by when its requests were due. B's clients and the upstream are processes of their own with a real-time priority, and the attackers one with the lowest, on the processors that the gateway uses: it is what clients on another machine would see, but for the time that their work in the system takes from the gateway.",
	}
	for _, a := range chosenAttacks(o) {
		s.metrics = append(s.metrics, metric{metricAttacked + a.name, "ms", 2})
	}
	s.metrics = append(s.metrics, metric{metricWorst, "", 2}, metric{metricLost, "", 0}, metric{metricHeap, "MB", 1}, metric{metricRSS, "MB", 1}, metric{metricLeft, "", 0})
	for _, subject := range []string{on, off} {
		s.promises = append(s.promises,
			promise{text: "B's p99 ÷ quiet, " + subject, subject: subject, metric: metricWorst, must: 2},
			promise{text: "B's failed requests, " + subject, subject: subject, metric: metricLost, must: 0},
			promise{text: "memory in MB at GOMEMLIMIT=512MiB, " + subject, subject: subject, metric: metricRSS, must: 600},
			promise{text: "goroutines left, " + subject, subject: subject, metric: metricLeft, must: 10},
		)
	}
	return s
}

func (l *lab) attackAll(ctx context.Context, quarantine bool) (sample, error) {
	u, err := l.startUpstreamFirst(ctx)
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
	p99 := milliseconds(quiet.P99)
	s := sample{metricQuiet: p99, metricLost: float64(quiet.Bad + quiet.Unsent)}
	l.progress(fmt.Sprintf("isolation: quarantine %t: quiet: %v", quarantine, quiet))
	for _, a := range chosenAttacks(l.options) {
		l.progress(fmt.Sprintf("isolation: quarantine %t: %s", quarantine, a.name))
		result, err := l.besiege(ctx, g, a)
		if err != nil {
			watch.stop()
			return nil, fmt.Errorf("%s: %w", a.name, g.failure(err))
		}
		now := milliseconds(result.P99)
		s[metricAttacked+a.name] = now
		s[metricWorst] = max(s[metricWorst], now/p99)
		s[metricLost] += float64(result.Bad + result.Unsent)
		_, peak := memoryOf([]int{g.pid()})
		l.progress(fmt.Sprintf("isolation: %s: %v, %.1f × quiet, memory so far %.0f MB", a.name, result, now/p99, peak/1e6))
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
	scripts := map[string]string{"victim.lua": gatewayScripts[middlewareWork], "sieged.lua": sieged}
	names := []string{"sieged.lua"}
	for i, a := range attacks {
		if a.clients != nil {
			continue
		}
		names = append(names, fmt.Sprintf("attack%d.lua", i))
		scripts[names[len(names)-1]] = fmt.Sprintf("chi_route(\"GET\", \"/attack%d\", function(request, response)\n%s\nend)\n", i, a.body)
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
	return l.startGateway(ctx, gatewayConfig{tenants: tenants, scripts: scripts, host: "shop.example.com", env: []string{"GOMEMLIMIT=512MiB"}})
}

// besiege measures tenant B while tenant A attacks; nil is in peace.
func (l *lab) besiege(ctx context.Context, g *gateway, a *attack) (*seen, error) {
	warmup, duration := l.warmup(), max(l.options.duration, leastSiege)
	end := func() error { return nil }
	if a != nil {
		if a.clients != nil {
			duration = max(duration, siegeTime)
		}
		var err error
		if end, err = l.startAttack(ctx, a, g.address, warmup+duration); err != nil {
			return nil, err
		}
	}
	result, err := l.asClients(ctx, load.Options{
		Address: g.address, Requests: [][]byte{request("shop.example.com", "/users/7")}, Connections: 256, Rate: victimRate,
		Warmup: warmup, Duration: duration, Timeout: 5 * time.Second,
	})
	return result, errors.Join(err, end())
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
			pause(ctx, time.Second)
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
