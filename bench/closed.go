//go:build linux

package main

import (
	"context"
	"net/netip"
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/load"
)

// The figures of a closed loop.
const (
	metricCPU    = "CPU per request"
	metricUser   = "of it user time"
	metricRate   = "requests a second"
	metricPerCPU = "requests per CPU second"
	metricP50    = "p50"
	metricP99    = "p99"
	metricRSS    = "peak RSS"
)

var closedMetrics = []metric{
	{metricCPU, "µs", 2}, {metricUser, "µs", 2}, {metricRate, "", 0}, {metricPerCPU, "", 0},
	{metricP50, "ms", 2}, {metricP99, "ms", 2}, {metricRSS, "MB", 1},
}

// closedLoop is one measurement of a proxy that is running.
type closedLoop struct {
	address     netip.AddrPort
	pid         int
	path        string
	connections int
	ramp        time.Duration
	warmup      time.Duration
	duration    time.Duration
}

// run fails if any request does: figures of failures are worth nothing.
func (c *closedLoop) run(ctx context.Context) (sample, error) {
	processes := tree(c.pid)
	var before, after usage
	result, err := load.Run(ctx, load.Options{
		Address: c.address, Requests: [][]byte{request("shop.example.com", c.path)}, Connections: c.connections,
		Ramp: c.ramp, Warmup: c.warmup, Duration: c.duration,
		Begin: func() { before = cpuOf(processes) },
		End:   func() { after = cpuOf(processes) },
	})
	if err != nil {
		return nil, err
	}
	if err := result.Err(); err != nil {
		return nil, err
	}
	used, n := after.since(before), float64(result.Answered())
	_, peak := memoryOf(processes)
	return sample{
		metricCPU:    float64(used.total().Microseconds()) / n,
		metricUser:   float64(used.user.Microseconds()) / n,
		metricRate:   result.PerSecond(),
		metricPerCPU: n / used.total().Seconds(),
		metricP50:    milliseconds(result.Latency.Quantile(0.5)),
		metricP99:    milliseconds(result.Latency.Quantile(0.99)),
		metricRSS:    peak / 1e6,
	}, nil
}

// saturate is a closed loop of 64 connections.
func (l *lab) saturate(ctx context.Context, address netip.AddrPort, p *process, path string) (sample, error) {
	c := closedLoop{
		address: address, pid: p.pid(), path: path, connections: 64,
		warmup: min(time.Second, l.options.duration), duration: l.options.duration,
	}
	return c.run(ctx)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
