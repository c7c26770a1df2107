//go:build linux

package main

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// waitingRequests are in flight at once.
const waitingRequests = 9000

// waitingScenario is many requests in the middle of a middleware, all of them
// waiting for the upstream.
func waitingScenario() *scenario {
	return &scenario{
		name: "waiting", title: "9,000 requests at once that wait 2 s for the upstream, within Lua middleware",
		metrics: append([]metric{{metricInFlight, "", 0}}, closedMetrics...),
		subjects: []subject{
			{name: ours, run: waitAtGateway},
			{name: nginxLua, needsNginx: true, run: waitAtNginx},
		},
		promises: []promise{
			{text: "peak RSS in MB", subject: ours, metric: metricRSS, must: 350},
			{text: "p99 in ms", subject: ours, metric: metricP99, must: 2100},
		},
		note: "Each connection sends its next request when its last is answered; they start spread over the 2 s that an answer takes.",
	}
}

const metricInFlight = "requests in flight"

func waitAtGateway(ctx context.Context, l *lab) (sample, error) {
	u, err := l.startUpstream(ctx)
	if err != nil {
		return nil, err
	}
	g, err := l.startShop(ctx, u, true)
	if err != nil {
		return nil, err
	}
	wait := g.profile(ctx, l, "waiting")
	measured, err := l.waitAt(ctx, waitingLoop(g.address, g.process))
	if err = errors.Join(err, wait()); err != nil {
		return nil, err
	}
	return measured, g.keepProfile(ctx, l, "waiting-heap", "heap") // of the last collection: all were there
}

func waitAtNginx(ctx context.Context, l *lab) (sample, error) {
	u, err := l.startUpstream(ctx)
	if err != nil {
		return nil, err
	}
	n, err := l.startNginx(ctx, u, middlewareLocation)
	if err != nil {
		return nil, err
	}
	return l.waitAt(ctx, waitingLoop(n.address, n.process))
}

func waitingLoop(address netip.AddrPort, p *process) closedLoop {
	return closedLoop{address: address, pid: p.pid(), requests: requests{hosts: []string{"shop.example.com"}, path: slowPath}, cpus: allowedCPUs()}
}

// waitAt adds what makes many requests wait to a closed loop.
func (l *lab) waitAt(ctx context.Context, c closedLoop) (sample, error) {
	c.connections = l.mostWaiting()
	c.ramp, c.warmup, c.duration = slowness, slowness+time.Second, max(l.options.duration, 2*slowness)
	measured, err := c.run(ctx, l)
	if err == nil {
		measured[metricInFlight] = float64(c.connections)
	}
	return measured, err
}

// mostWaiting is fewer where a process may not have as many files open as it
// takes: two for each request in a proxy, with room for what is sure to come.
func (l *lab) mostWaiting() int {
	const spare = 200
	return int(min(waitingRequests, max(int64(l.files)/2-spare, 100))) //nolint:gosec // G115: a limit of files
}
