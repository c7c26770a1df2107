//go:build linux

package main

import "context"

// bodyComparisons are closed loops with large messages.
func bodyComparisons() []comparison {
	return []comparison{
		{
			scenario: closedScenario("10k-down", "responses of 10 KiB, 64 connections"),
			takes:    plainPeers, run: closed(64, middlePath),
			goals: []promise{cpuGoal(peerNginx, 1, 0.6)},
		}, {
			scenario: closedScenario("1m-down", "responses of 1 MiB, 16 connections"),
			takes:    plainPeers, run: download,
			goals: []promise{cpuGoal(peerHAProxy, 1, 0.6)},
		}, {
			scenario: closedScenario("1m-up", "requests of 1 MiB, 16 connections"),
			takes:    plainPeers, run: upload,
			goals: []promise{cpuGoal(peerNginx, 1, 0.6)},
		},
	}
}

func download(ctx context.Context, l *lab, r *running) (sample, error) {
	c := r.loop(l, 16, largePath)
	c.bulk = true
	return c.run(ctx, l)
}

func upload(ctx context.Context, l *lab, r *running) (sample, error) {
	c := r.loop(l, 16, "/upload")
	c.requests.upload = make([]byte, largeBody)
	return c.run(ctx, l)
}
