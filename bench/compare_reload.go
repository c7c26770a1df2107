//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/load"
)

// How often configuration is read again, and how many requests a second are
// due meanwhile.
const (
	stormEvery = 200 * time.Millisecond
	stormRate  = 1000
)

// The figures of a reload storm; metricStart is another.
const (
	metricReloadMedian = "a reload, median"
	metricReloadWorst  = "a reload, slowest"
	metricReloads      = "reloads"
	metricStorm        = "p99 during"
	metricStormRatio   = "p99 during ÷ quiet"
	metricStormLost    = "requests that failed"
)

// reloadComparisons are about many tenants, each with a pool of its own.
func reloadComparisons() []comparison {
	return []comparison{{
		scenario: scenario{
			name: "reload-storm", title: "10,000 tenants, a reload every 200 ms, 1,000 requests/s",
			metrics: []metric{
				{metricStart, "ms", 0}, {metricReloadMedian, "ms", 1}, {metricReloadWorst, "ms", 1}, {metricReloads, "", 0},
				{metricQuiet, "ms", 2}, {metricStorm, "ms", 2}, {metricStormRatio, "", 2}, {metricStormLost, "", 0}, {metricRSS, "MB", 1},
			},
			headline: metricStorm,
			note: "p99 counts from when a request was due. Where a proxy reloads by starting new processes, its reload is only asked for: how long it took can't be known. " +
				"A reload that takes longer than 200 ms delays the next.",
		},
		apart: true, takes: routingPeers, run: reloadStorm,
		goals: []promise{
			{text: "start in ms with 10,000 tenants", subject: ours, metric: metricStart, must: 1000},
			{text: "reload in ms with 10,000 tenants", subject: ours, metric: metricReloadMedian, must: 1000},
			{text: "p99 during reloads ÷ quiet", subject: ours, metric: metricStormRatio, must: 1.5},
			{text: "requests that failed during reloads", subject: ours, metric: metricStormLost, must: 0},
		},
	}}
}

// reloadStorm measures in peace, and then while the configuration is read
// again and again.
func reloadStorm(ctx context.Context, l *lab, r *running) (sample, error) {
	quiet, err := r.steady(ctx, l)
	if err != nil {
		return nil, err
	}
	if err := quiet.Err(); err != nil {
		return nil, fmt.Errorf("before any reload: %w", err)
	}
	storming, stop := context.WithCancel(ctx)
	type ended struct {
		times []time.Duration
		err   error
	}
	done := make(chan ended, 1)
	go func() {
		times, err := r.storm(storming)
		done <- ended{times, err}
	}()
	during, err := r.steady(ctx, l)
	stop()
	reloads := <-done
	if err == nil {
		err = reloads.err
	}
	if err != nil {
		return nil, err
	}
	if lost := during.Bad() + during.Unsent; lost > 0 {
		l.remark("%s: %d requests failed during reloads: statuses by first digit %v, %d without an answer (%v), %d not sent in time",
			r.name, lost, during.Statuses, during.Failed, during.Reason, during.Unsent)
	}
	_, peak := memoryOf(tree(r.pid()))
	slices.Sort(reloads.times)
	before, now := quiet.Latency.Quantile(0.99), during.Latency.Quantile(0.99)
	return sample{
		metricReloadMedian: milliseconds(reloads.times[len(reloads.times)/2]),
		metricReloadWorst:  milliseconds(reloads.times[len(reloads.times)-1]),
		metricReloads:      float64(len(reloads.times)),
		metricQuiet:        milliseconds(before), metricStorm: milliseconds(now),
		metricStormRatio: float64(now) / float64(max(before, 1)),
		metricStormLost:  float64(during.Bad() + during.Unsent),
		metricRSS:        peak / 1e6,
	}, nil
}

// steady sends at a constant rate. Few connections, since each of 10,000 pools
// keeps some of its own.
func (r *running) steady(ctx context.Context, l *lab) (*load.Result, error) {
	all := requestsTo(r.work.hosts, "/users/7?page=2")
	all.hosts = all.hosts[:min(len(all.hosts), stormHosts)]
	return sendFrom(ctx, r.cpus, load.Options{
		Address: r.address, Requests: all.heads(), Connections: 64, Rate: stormRate,
		Warmup: l.warmup(), Duration: l.options.duration, Timeout: 5 * time.Second,
	})
}

// stormHosts are asked: with all of 10,000, a measurement would not reach each
// even once, and it would count connecting.
const stormHosts = 1000

// storm reloads until ctx is done, at least once.
func (r *running) storm(ctx context.Context) (times []time.Duration, err error) {
	for {
		began := time.Now()
		if err := r.reload(context.WithoutCancel(ctx)); err != nil {
			return nil, err
		}
		times = append(times, time.Since(began))
		pause(ctx, stormEvery-time.Since(began))
		select {
		case <-ctx.Done():
			return times, nil
		default:
		}
	}
}
