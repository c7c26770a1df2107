package generator

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// run is one run: its clock starts at 0 with the warm-up, and its window, in
// which requests count, is from the warm-up's end to end.
type run struct {
	options  *Options
	requests []request
	cycle    []uint32
	clients  []*client
	recorder *recorder
	pacer    *pacer // nil in a closed loop

	start   time.Time
	end     time.Duration
	next    atomic.Uint64 // request of the cycle
	stopped atomic.Bool   // nothing is sent any more
	isCut   atomic.Bool   // what was in flight has been ended
	ctx     context.Context
}

// Run sends requests until the time is over or ctx is done, and reports either
// way: then the result says that it was interrupted, and what was in flight is
// cut. Otherwise what is in flight at the end may take until its time-out.
// Failing requests are no error, they are counted.
func Run(ctx context.Context, o Options) (*Result, error) {
	o.Targets = slices.Clone(o.Targets) // whose defaults are filled in
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.sleep == nil {
		o.sleep = sleepPrecisely
	}
	if o.dial == nil {
		o.dial = new(net.Dialer).DialContext
	}
	dialling, stopDialling := context.WithCancel(ctx)
	defer stopDialling()
	r := &run{options: &o, recorder: newRecorder(), end: o.Warmup + o.Duration, ctx: ctx}
	if err := r.prepare(dialling); err != nil {
		return nil, err
	}
	defer r.close()
	return r.measure(), nil
}

// prepare makes the requests, and a client for each address and name.
func (r *run) prepare(ctx context.Context) error {
	o := r.options
	type key struct {
		address, name string
		secure        bool
	}
	known := map[key]*client{}
	for i := range o.Targets {
		t := &o.Targets[i]
		if err := t.check(o); err != nil {
			return err
		}
		k := key{t.address(), t.URL.Hostname(), t.secure()}
		c := known[k]
		if c == nil {
			var err error
			if c, err = newClient(ctx, t, o); err != nil {
				return err
			}
			known[k] = c
			r.clients = append(r.clients, c)
		}
		r.requests = append(r.requests, requestOf(t, o, c))
	}
	most := o.Connections * len(r.clients)
	if most > MaxConnections {
		return fmt.Errorf("%d connections to each of %d addresses are %d, expected at most %d: lower -c", o.Connections, len(r.clients), most, MaxConnections)
	}
	if err := raiseFiles(most); err != nil {
		return err
	}
	var err error
	r.cycle, err = cycleOf(o.Targets)
	return err
}

// measure runs the workers, and gathers what they record.
func (r *run) measure() *Result {
	r.start = time.Now()
	window, closeWindow := context.WithCancel(r.ctx)
	defer closeWindow()
	stopCutting := context.AfterFunc(r.ctx, r.cut)
	defer stopCutting()
	workers := r.startWorkers(window)
	c := &collector{run: r, total: new(tally), interval: new(tally), length: intervalOf(r.options.Duration)}
	c.window(r.ctx)
	r.stopped.Store(true)
	closeWindow()
	c.finish(workers)
	return c.result()
}

// startWorkers returns a channel that is closed when all have ended. In a
// closed loop they begin evenly over the first half of the warm-up.
func (r *run) startWorkers(window context.Context) <-chan struct{} {
	var all sync.WaitGroup
	n := r.options.Connections
	if r.options.Rate > 0 {
		r.pacer = &pacer{rate: r.options.Rate, warmup: r.options.Warmup, tickets: make(chan ticket, n), sleep: r.options.sleep}
		all.Go(func() { r.pacer.run(window, r.now, r.end) })
	}
	for i := range n {
		w := &worker{run: r, shard: r.recorder.shard(i)}
		if r.pacer != nil {
			all.Go(w.serve)
			continue
		}
		begin := time.Duration(float64(r.options.Warmup/2) * float64(i) / float64(n))
		all.Go(func() {
			r.wait(begin)
			w.loop()
		})
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	return done
}

// now is the time since the run's start.
func (r *run) now() time.Duration { return time.Since(r.start) }

// wait waits for a time, or until the run is interrupted.
func (r *run) wait(until time.Duration) {
	d := until - r.now()
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.ctx.Done():
	}
}

// cut ends what is in flight.
func (r *run) cut() {
	r.stopped.Store(true)
	r.isCut.Store(true)
	for _, c := range r.clients {
		c.cutAll()
	}
}

func (r *run) close() {
	for _, c := range r.clients {
		c.close()
	}
}
