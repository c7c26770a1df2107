//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keystone-gateway/keystone-gateway/bench/load"
)

// loader says who sends closed loops.
type loader string

const (
	autoLoader loader = "auto" // wrk if it is there and can
	wrkLoader  loader = "wrk"
	ownLoader  loader = "own" // bench/load
)

// usesWrk: wrk counts whole seconds, opens all connections at once, and keeps
// a copy of a body for each host. It reads 8 KiB at a time, which makes large
// responses a measurement of wrk: it gets those only if it was asked for.
func (l *lab) usesWrk(c *closedLoop) bool {
	can := c.duration >= time.Second && c.ramp == 0 && len(c.requests.upload) == 0
	wanted := l.options.loader == wrkLoader || l.options.loader == autoLoader && !c.bulk
	return can && wanted && l.wrk != ""
}

// sendOwn sends with bench/load.
func (c *closedLoop) sendOwn(ctx context.Context) (*measuring, error) {
	var before, after usage
	processes := tree(c.pid)
	result, err := sendFrom(ctx, c.cpus, load.Options{
		Address: c.address, Requests: c.requests.heads(), Body: c.requests.upload, Connections: c.connections,
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
	return &measuring{
		answered: float64(result.Answered()), elapsed: result.Elapsed, used: after.since(before),
		p50: result.Latency.Quantile(0.5), p99: result.Latency.Quantile(0.99),
	}, nil
}

// sendFrom runs bench/load on some processors only. The thread is kept
// afterwards: with it, all processes that it has started would be told to end
// (Pdeathsig).
func sendFrom(ctx context.Context, cpus []int, o load.Options) (*load.Result, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, during unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, fmt.Errorf("cannot read the processors of this thread: %w", err)
	}
	for _, cpu := range cpus {
		during.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &during); err != nil {
		return nil, fmt.Errorf("cannot bind the load generator to processors %v: %w", cpus, err)
	}
	result, err := load.Run(ctx, o)
	if undo := unix.SchedSetaffinity(0, &before); undo != nil {
		err = errors.Join(err, fmt.Errorf("cannot release the load generator from processors %v: %w", cpus, undo))
	}
	return result, err
}
