//go:build linux

package main

import "context"

// closedComparisons are closed loops with small messages.
func closedComparisons() []comparison {
	return []comparison{
		{
			scenario: closedScenario("plain-1", "a GET is passed on, 1 connection"),
			takes:    plainPeers, run: closed(1, "/users/7?page=2"),
		}, {
			scenario: closedScenario("plain-64", "a GET is passed on, 64 connections"),
			takes:    plainPeers, run: closed(64, "/users/7?page=2"),
			goals: []promise{
				cpuGoal(peerNginx, 1, 0.9), cpuGoal(peerHAProxy, 0.95, 0.85), cpuGoal(peerFasthttp, 0.7, 0), cpuGoal(peerCaddy, 0.2, 0.17),
				{text: "p99 at saturation ÷ nginx", subject: ours, versus: peerNginx, metric: metricP99, must: 1.3, aim: 1},
			},
		}, {
			scenario: closedScenario("plain-1000", "a GET is passed on, 1,000 connections"),
			takes:    plainPeers, run: closed(1000, "/users/7?page=2"),
			goals: []promise{cpuGoal(peerNginx, 1.1, 1)},
		}, {
			scenario: closedScenario("lua-middleware", "a script reads one header and sets three, 64 connections"),
			script:   middlewareWork, takes: scriptPeers, run: closed(64, "/users/7?page=2"),
			goals: []promise{cpuGoal(peerNginxLua, 1, 0.9)},
		}, {
			scenario: closedScenario("lua-answer", "a script answers with 6 bytes, 64 connections"),
			script:   scriptAnswerWork, takes: scriptPeers, run: closed(64, scriptAnswerWork.path()),
			goals: []promise{
				{text: "requests a second ÷ nginx + Lua", subject: ours, versus: peerNginxLua, metric: metricRate, must: 0.8, atLeast: true},
				{text: "requests per CPU second ÷ nginx + Lua", subject: ours, versus: peerNginxLua, metric: metricPerCPU, must: 0.8, atLeast: true},
			},
		},
	}
}

func closedScenario(name, title string) scenario {
	return scenario{name: name, title: title, metrics: closedMetrics, headline: metricCPU}
}

// cpuGoal bounds the gateway's CPU time for a request as a multiple of a
// peer's.
func cpuGoal(versus string, must, aim float64) promise {
	return promise{text: "CPU per request ÷ " + versus, subject: ours, versus: versus, metric: metricCPU, must: must, aim: aim}
}

// closed measures a closed loop.
func closed(connections int, path string) func(context.Context, *lab, *running) (sample, error) {
	return func(ctx context.Context, l *lab, r *running) (sample, error) {
		return r.loop(l, connections, path).run(ctx, l)
	}
}

// loop sends to all hosts.
func (r *running) loop(l *lab, connections int, path string) *closedLoop {
	return &closedLoop{
		address: r.address, pid: r.pid(), requests: requestsTo(r.work.hosts, path), connections: connections,
		warmup: l.warmup(), duration: l.options.duration, cpus: r.cpus,
	}
}
