//go:build linux

package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// wrkTemplate is a script that sends precomputed requests in turn, and prints
// what wrk counts exactly instead of rounded.
const wrkTemplate = `
local before, after = %q, %q
local requests = {}
for host in io.lines(%q) do requests[#requests + 1] = before .. host .. after end
local last, n = 0, #requests

function request()
   last = last %% n + 1
   return requests[last]
end

function done(summary, latency)
   local e = summary.errors
   io.write(string.format("\nsummary: requests %%d elapsed %%d p50 %%d p99 %%d connect %%d read %%d write %%d status %%d timeout %%d\n",
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      e.connect, e.read, e.write, e.status, e.timeout))
end
`

// sendWrk warms up in a run of its own, since wrk knows nothing of warming up,
// and then counts all of the next.
func (c *closedLoop) sendWrk(ctx context.Context, l *lab) (*measuring, error) {
	script, err := c.writeWrk(l)
	if err != nil {
		return nil, err
	}
	if _, err := c.runWrk(ctx, l, script, c.warmup); err != nil {
		return nil, fmt.Errorf("in the warm-up: %w", err)
	}
	processes := tree(c.pid)
	before := cpuOf(processes)
	m, err := c.runWrk(ctx, l, script, c.duration)
	if err != nil {
		return nil, err
	}
	m.used = cpuOf(processes).since(before)
	return m, nil
}

func (c *closedLoop) writeWrk(l *lab) (script string, err error) {
	hosts, err := l.write("wrk/hosts.txt", strings.Join(c.requests.hosts, "\n")+"\n")
	if err != nil {
		return "", err
	}
	before, after := c.requests.parts()
	text := fmt.Sprintf(wrkTemplate, before, after, hosts)
	return l.write("wrk/requests.lua", text)
}

// runWrk runs it once, on one thread for each two processors that it has.
func (c *closedLoop) runWrk(ctx context.Context, l *lab, script string, duration time.Duration) (*measuring, error) {
	seconds := int(math.Ceil(duration.Seconds()))
	threads := min(max(1, len(c.cpus)/2), c.connections)
	p, err := l.startBound("wrk", c.cpus, nil, l.wrk, "-s", script, "-t", strconv.Itoa(threads), "-c", strconv.Itoa(c.connections),
		"-d", strconv.Itoa(max(seconds, 1))+"s", "--timeout", "30s", "http://"+c.address.String()+c.requests.path)
	if err != nil {
		return nil, err
	}
	select {
	case <-p.ended:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l.forget(p)
	output, err := os.ReadFile(p.output)
	if err != nil {
		return nil, err
	}
	m, err := parseWrk(string(output))
	if err != nil {
		return nil, p.failure(err)
	}
	return m, nil
}

var wrkSummary = regexp.MustCompile(`(?m)^summary: requests (\d+) elapsed (\d+) p50 (\d+) p99 (\d+) connect (\d+) read (\d+) write (\d+) status (\d+) timeout (\d+)$`)

// parseWrk reads the line that wrkTemplate prints; times are microseconds.
func parseWrk(output string) (*measuring, error) {
	fields := wrkSummary.FindStringSubmatch(output)
	if fields == nil {
		return nil, fmt.Errorf("cannot find wrk's summary")
	}
	var n []int64
	for _, field := range fields[1:] {
		value, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("cannot read wrk's summary: %w", err)
		}
		n = append(n, value)
	}
	for i, kind := range []string{"connecting", "reading", "writing", "statuses from 400 on", "time-outs"} {
		if count := n[4:][i]; count > 0 {
			return nil, fmt.Errorf("wrk counts %d errors (%s), expected none", count, kind)
		}
	}
	if n[0] == 0 || n[1] == 0 {
		return nil, fmt.Errorf("wrk counts %d requests in %d µs, expected some", n[0], n[1])
	}
	micro := func(v int64) time.Duration { return time.Duration(v) * time.Microsecond }
	return &measuring{answered: float64(n[0]), elapsed: micro(n[1]), p50: micro(n[2]), p99: micro(n[3])}, nil
}
