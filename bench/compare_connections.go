//go:build linux

package main

import (
	"context"
	"errors"
	"slices"
	"time"
)

// connectionComparisons are about connections rather than messages.
func connectionComparisons() []comparison {
	return []comparison{
		{
			scenario: closedScenario("new-connection", "each request on a new connection, 64 at once"),
			takes:    parsingPeers, run: unkept,
			goals: []promise{cpuGoal(peerNginx, 1.2, 1)},
		}, {
			scenario: scenario{
				name: "idle", title: "10,000 connections that are kept open, each after one request",
				metrics:  []metric{{metricIdleEach, "kB", 2}, {metricIdleAll, "MB", 1}, {metricIdleNone, "MB", 1}, {metricIdleCount, "", 0}},
				headline: metricIdleEach, long: true,
				note: "What the resident memory has grown by since the start, 3 s after the last connection was opened; the kernel's memory for sockets isn't in it.",
			},
			takes: parsingPeers, run: idle,
			goals: []promise{{text: "RSS in kB per idle connection", subject: ours, metric: metricIdleEach, must: 12, aim: 6}},
		}, {
			scenario: scenario{
				name: "slow", title: "9,000 requests at once, each of which the upstream answers after 2 s",
				metrics:  slices.Concat([]metric{{metricInFlight, "", 0}}, closedMetrics),
				headline: metricRSS, long: true,
				note: "Each connection sends its next request when its last is answered; they start spread over the 2 s that an answer takes.",
			},
			takes: plainPeers, run: slow,
		}, {
			scenario: scenario{
				name: "lua-waiting", title: "the same in the middle of a script",
				metrics:  slices.Concat([]metric{{metricInFlight, "", 0}}, closedMetrics),
				headline: metricRSS, long: true,
			},
			script: middlewareWork, takes: scriptPeers, run: slow,
			goals: []promise{
				{text: "peak RSS in MB", subject: ours, metric: metricRSS, must: 350},
				{text: "p99 in ms", subject: ours, metric: metricP99, must: 2100},
			},
		},
	}
}

func unkept(ctx context.Context, l *lab, r *running) (sample, error) {
	c := r.loop(l, 64, "/users/7?page=2")
	c.requests.unkept = true
	conn, kept, err := askOnce(ctx, c.address.String(), c.requests.heads()[0])
	if conn != nil {
		_ = conn.Close()
	}
	if err == nil && kept {
		err = errors.New("the answer doesn't end the connection, so that the next request would go on it")
	}
	if err != nil {
		return nil, err
	}
	return c.run(ctx, l)
}

// parsingPeers leave out whoever can't know when a connection is to end, and
// needs one to the upstream for each.
func parsingPeers(p *peer) bool { return plainPeers(p) && p.name != peerForwarder }

// slow has all connections wait for the upstream at once.
func slow(ctx context.Context, l *lab, r *running) (sample, error) {
	c := r.loop(l, l.mostWaiting(), slowPath)
	c.ramp, c.warmup, c.duration = slowness, slowness+time.Second, max(l.options.duration, 2*slowness)
	measured, err := c.run(ctx, l)
	if err == nil {
		measured[metricInFlight] = float64(c.connections)
	}
	return measured, err
}

const (
	// waitingRequests are in flight at once.
	waitingRequests = 9000
	metricInFlight  = "requests in flight"
)

// mostWaiting is fewer where a process may not have as many files open as it
// takes: two for each request in a proxy, with room for what is sure to come.
func (l *lab) mostWaiting() int {
	const spare = 200
	return int(min(waitingRequests, max(int64(l.files)/2-spare, 100))) //nolint:gosec // G115: a limit of files
}
