package generator

import (
	"context"
	"sync/atomic"
	"time"
)

// ticket is the order to send one request.
type ticket struct {
	due  time.Duration // since the run's start
	free bool          // a worker was free when it was issued, and those before it
}

// pacer issues tickets at a constant rate. When all workers are busy it falls
// behind, and makes up for it as soon as it can: each ticket keeps the time at
// which it was due.
type pacer struct {
	rate    float64       // a second
	warmup  time.Duration // at its end, what was due in it and isn't sent is dropped
	tickets chan ticket
	idle    atomic.Int64 // workers without a request
	sleep   func(time.Duration)
}

// slice bounds how long a pacer sleeps, so that it notices the end.
const slice = 20 * time.Millisecond

// run issues the tickets that are due before end.
func (p *pacer) run(ctx context.Context, now func() time.Duration, end time.Duration) {
	defer close(p.tickets)
	behind := false
	for n := int64(0); ctx.Err() == nil; n++ {
		due := p.due(n)
		if due < p.warmup && now() >= p.warmup {
			n = p.before(p.warmup)
			due = p.due(n)
		}
		if due >= end {
			return
		}
		for early := due - now(); early > 0 && ctx.Err() == nil; early = due - now() {
			behind = false
			p.sleep(min(early, slice))
		}
		behind = behind || p.idle.Load() <= int64(len(p.tickets))
		select {
		case p.tickets <- ticket{due: due, free: !behind}:
		case <-ctx.Done():
		}
	}
}

// due is when ticket n is.
func (p *pacer) due(n int64) time.Duration {
	return time.Duration(float64(n) / p.rate * float64(time.Second))
}

// scheduled is how many tickets are due from one time to another, that one left
// out.
func (p *pacer) scheduled(from, to time.Duration) int64 { return p.before(to) - p.before(from) }

// before is how many tickets are due before a time.
func (p *pacer) before(t time.Duration) int64 {
	n := int64(t.Seconds() * p.rate)
	for n > 0 && p.due(n-1) >= t {
		n--
	}
	for p.due(n) < t {
		n++
	}
	return n
}
