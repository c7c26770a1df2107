package generator

import (
	"context"
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/load"
)

// Intervals of the plots over time.
const (
	shortestInterval = time.Second
	maxIntervals     = 600
)

// tick is how often what was recorded is gathered, and progress told.
const tick = 250 * time.Millisecond

// intervalOf is how long intervals are: whole seconds, and not too many.
func intervalOf(d time.Duration) time.Duration {
	each := d / maxIntervals
	return max(each+shortestInterval-1, shortestInterval).Truncate(shortestInterval)
}

// collector gathers what the workers record while a run lasts.
type collector struct {
	run      *run
	total    *tally
	interval *tally
	length   time.Duration // of an interval
	began    time.Duration // when the current interval did

	opened    time.Duration // when the window was
	processor time.Duration // time of the process then; later, in the window
	closed    time.Duration
	inWindow  struct{ answered, received, sent int64 }
	intervals []Interval
}

// window gathers until the window ends or ctx is done.
func (c *collector) window(ctx context.Context) {
	c.until(ctx, c.run.options.Warmup, WarmingUp)
	c.run.recorder.drain(c.interval)
	// Requests that were due in the window may have been answered by now, and
	// stay; others were not recorded.
	c.opened = max(c.run.now(), 0)
	c.began, c.processor = c.opened, processorTime()
	c.until(ctx, c.run.end, Counting)
	c.closed = c.run.now()
	c.processor = processorTime() - c.processor
	c.closeInterval()
	c.inWindow.answered, c.inWindow.received, c.inWindow.sent = c.total.answered, c.total.received, c.total.sent
}

// until gathers in ticks, up to a time.
func (c *collector) until(ctx context.Context, end time.Duration, phase Phase) {
	for now := c.run.now(); now < end && ctx.Err() == nil; now = c.run.now() {
		next := min(now+tick, end)
		if phase == Counting {
			next = min(next, c.began+c.length)
		}
		c.run.wait(next)
		if phase == Counting {
			c.run.recorder.drain(c.interval)
			if c.run.now() >= c.began+c.length {
				c.closeInterval()
			}
		}
		c.tell(phase, end)
	}
}

// closeInterval adds the current interval to the total, and begins another.
func (c *collector) closeInterval() {
	c.run.recorder.drain(c.interval)
	now := c.run.now()
	if lasted := now - c.began; lasted >= c.length/10 || len(c.intervals) == 0 {
		c.intervals = append(c.intervals, Interval{
			Begin: c.began - c.opened, Length: lasted,
			Answered: c.interval.answered, Failed: c.interval.failed(),
			P50: c.interval.latency.Quantile(0.5), P99: c.interval.latency.Quantile(0.99), Max: c.interval.latency.Max(),
		})
	}
	c.total.merge(c.interval)
	*c.interval = tally{}
	c.began = now
}

// finish waits for what is in flight.
func (c *collector) finish(done <-chan struct{}) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			c.run.recorder.drain(c.total)
			return
		case <-ticker.C:
			c.tell(Finishing, c.run.end)
		}
	}
}

func (c *collector) tell(phase Phase, end time.Duration) {
	if c.run.options.Progress == nil {
		return
	}
	p := Progress{Phase: phase, Elapsed: c.run.now(), Total: end}
	if phase == Counting {
		p.Elapsed, p.Total = p.Elapsed-c.run.options.Warmup, p.Total-c.run.options.Warmup
	}
	if phase == Finishing {
		p.Elapsed, p.Total = c.run.now()-c.run.end, 0
	}
	p.Answered = c.total.latency.Count() + c.interval.latency.Count()
	p.Failed = c.total.failed() + c.interval.failed()
	latency := new(load.Histogram)
	latency.Merge(&c.total.latency)
	latency.Merge(&c.interval.latency)
	p.P99 = latency.Quantile(0.99)
	p.Rate = c.lately()
	c.run.options.Progress(p)
}

// lately is the rate of the current interval, or of the last one while the
// current one is young.
func (c *collector) lately() float64 {
	lasted, answered := c.run.now()-c.began, c.interval.answered
	if n := len(c.intervals); lasted < c.length/2 && n > 0 {
		last := c.intervals[n-1]
		lasted, answered = lasted+last.Length, answered+last.Answered
	}
	if lasted <= 0 {
		return 0
	}
	return float64(answered) / lasted.Seconds()
}

func (c *collector) result() *Result {
	r := c.run
	result := &Result{
		Options: r.options, Started: r.start, Elapsed: c.closed - c.opened, Interrupted: r.isCut.Load(),
		Latency: &c.total.latency, Service: &c.total.latency,
		Statuses: map[int]int64{}, Failures: c.failures(),
		Answered: c.inWindow.answered, Received: c.inWindow.received, Sent: c.inWindow.sent,
		Cut: c.total.cut, LateBusy: c.total.lateBusy, LateOwn: c.total.lateOwn,
		Processor: c.processor, Intervals: c.intervals,
	}
	for status, n := range c.total.statuses {
		if n > 0 {
			result.Statuses[status] = n
		}
	}
	for _, client := range r.clients {
		result.Opened += client.opened.Load()
	}
	if r.pacer != nil {
		result.Service = &c.total.service
		due := r.pacer.scheduled(r.options.Warmup, min(c.closed, r.end))
		result.Unsent = max(0, due-result.Requests())
	}
	return result
}

func (c *collector) failures() (list []Failure) {
	for kind, n := range c.total.failures {
		if n == 0 {
			continue
		}
		f := Failure{Kind: Kind(kind), Count: n}
		if first := c.run.recorder.first[kind].Load(); first != nil {
			f.First = *first
		}
		list = append(list, f)
	}
	return list
}
