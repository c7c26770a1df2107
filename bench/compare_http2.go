//go:build linux

package main

import (
	"context"
	"errors"
	"net/netip"
	"slices"
)

// The gRPC methods that are asked for, which lead to a pool of their own.
const (
	grpcPrefix   = "/bench.Bench/"
	grpcMessages = 100 // that a stream is answered with
)

// http2Comparisons are HTTP/2 without TLS, to which the connections of clients are
// few and their requests many; and gRPC, which is HTTP/2 on both sides.
func http2Comparisons() []comparison {
	list := []comparison{
		{
			scenario: closedScenario("h2-64", "a GET over HTTP/2, 16 connections of 100 streams"),
			run:      overHTTP2(16, 100, "/users/7?page=2"), goals: []promise{cpuGoal(peerNginx, 1, 0.8)},
		}, {
			scenario: closedScenario("h2-1m", "responses of 1 MiB over HTTP/2, 16 connections"),
			run:      overHTTP2(16, 1, largePath), goals: []promise{cpuGoal(peerNginx, 1.1, 1)},
		}, {
			scenario: closedScenario("grpc-unary", "a call of gRPC with 128 bytes each way, 16 connections of 100 streams"),
			grpc:     1, run: overHTTP2(16, 100, grpcPrefix+"Get"), goals: []promise{cpuGoal(peerNginx, 1, 0.8)},
		}, {
			scenario: closedScenario("grpc-stream", "a call of gRPC that is answered with 100 messages of 128 bytes, 16 connections of 10 streams"),
			grpc:     grpcMessages, run: overHTTP2(16, 10, grpcPrefix+"List"), goals: []promise{cpuGoal(peerNginx, 1, 0.8)},
		},
	}
	for i := range list {
		list[i].http2 = true
		list[i].metrics = clientMetrics()
		list[i].takes = func(p *peer) bool { return slices.Contains([]string{ours, peerNginx, peerHAProxy}, p.name) }
	}
	return list
}

// clientMetrics are those of loops that clients in Go make.
func clientMetrics() []metric {
	return slices.DeleteFunc(slices.Clone(closedMetrics), func(m metric) bool { return m.name == metricP50 || m.name == metricP99 })
}

// overHTTP2 measures a closed loop on so many connections, each with so many streams.
func overHTTP2(connections, streams int, path string) func(context.Context, *lab, *running) (sample, error) {
	return func(ctx context.Context, l *lab, r *running) (sample, error) {
		hosts := requestsTo(r.work.hosts, path).hosts
		restore, err := bindProcess(r.cpus)
		if err != nil {
			return nil, err
		}
		loop := clientLoop{clients: connections, warmup: l.warmup(), duration: l.options.duration}
		m, err := loop.run(ctx, r.pid(), func(ctx context.Context, client int, answered func(int)) error {
			c := &http2Client{address: r.work.http2, hosts: hosts, next: client * len(hosts) / connections, path: path, grpc: r.work.grpc != nil, answered: answered}
			return c.run(ctx, streams)
		})
		if err = errors.Join(err, restore()); err != nil {
			return nil, err
		}
		return m.sample(r.pid()), nil
	}
}

// prepareHTTP2 finds an address for HTTP/2, and starts what calls of gRPC lead to.
func (l *lab) prepareHTTP2(ctx context.Context, w *work, messages int, cpus []int) (err error) {
	if w.http2, err = freeAddress(); err != nil || messages == 0 {
		return err
	}
	w.grpc = new([2]netip.AddrPort)
	return l.startGRPCUpstream(ctx, w.grpc, messages, cpus)
}
