//go:build linux

package main

import (
	"context"
	"net/netip"
	"time"
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
	requests    requests
	connections int
	ramp        time.Duration // over which connections are opened
	warmup      time.Duration
	duration    time.Duration
	cpus        []int // the load generator's
	bulk        bool  // responses are large
}

// measuring is what a load generator saw while it was counting.
type measuring struct {
	answered float64
	elapsed  time.Duration
	p50, p99 time.Duration
	used     usage // CPU time of the proxy meanwhile
}

// run fails if any request does: figures of failures are worth nothing.
func (c *closedLoop) run(ctx context.Context, l *lab) (sample, error) {
	send := c.sendOwn
	if l.usesWrk(c) {
		send = func(ctx context.Context) (*measuring, error) { return c.sendWrk(ctx, l) }
	}
	m, err := send(ctx)
	if err != nil {
		return nil, err
	}
	return m.sample(c.pid), nil
}

// sample is what a loop has seen of a process.
func (m *measuring) sample(pid int) sample {
	_, peak := memoryOf(tree(pid))
	return sample{
		metricCPU:    microseconds(m.used.total()) / m.answered,
		metricUser:   microseconds(m.used.user) / m.answered,
		metricRate:   m.answered / m.elapsed.Seconds(),
		metricPerCPU: m.answered / max(m.used.total(), tick).Seconds(),
		metricP50:    milliseconds(m.p50),
		metricP99:    milliseconds(m.p99),
		metricRSS:    peak / 1e6,
	}
}

// warmup isn't counted.
func (l *lab) warmup() time.Duration { return min(time.Second, l.options.duration) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
