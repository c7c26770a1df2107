//go:build linux

package main

import (
	"context"
	"errors"
	"slices"
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

func slow(ctx context.Context, l *lab, r *running) (sample, error) {
	return l.waitAt(ctx, closedLoop{address: r.address, pid: r.pid(), requests: requestsTo(r.work.hosts, slowPath), cpus: r.cpus})
}

// noisyTenant is the gateway's alone: no peer isolates tenants' scripts.
func noisyTenant(o *options, present []*peer) []*scenario {
	if o.smoke || present != nil && !slices.ContainsFunc(present, func(p *peer) bool { return p.name == ours }) {
		return nil
	}
	return []*scenario{isolationScenario()}
}
