package generator

import (
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/load"
)

// Result is what a run has seen. Requests count that were due in the window,
// the time from the warm-up's end to the last moment at which one was sent.
type Result struct {
	Options     *Options // with defaults filled in
	Started     time.Time
	Elapsed     time.Duration // of the window
	Interrupted bool

	// Latency is how long whole responses took from when their request was
	// due, Service from when it was sent. In a closed loop they are the same.
	Latency, Service *load.Histogram

	Statuses map[int]int64 // whole responses
	Failures []Failure     // by kind

	// Answered are the whole responses that arrived in the window, whenever
	// their request was sent; Received and Sent the bytes of HTTP of all that
	// ended in it.
	Answered, Received, Sent int64

	Opened int64 // connections, in the whole run
	Unsent int64 // requests that were due in the window and never sent
	Cut    int64 // requests in flight when the run was interrupted

	// Requests that were sent more than a millisecond after they were due,
	// since all connections were busy, or because of the generator itself.
	LateBusy, LateOwn int64

	Processor time.Duration // that the generator used in the window
	Intervals []Interval    // of the window, in order
}

// Failure counts requests that got no whole response, for one reason.
type Failure struct {
	Kind  Kind
	Count int64
	First string // message of the first one, fit to be shown; warm-up included
}

// Interval is a part of the window.
type Interval struct {
	Begin, Length time.Duration // since the window's begin
	Answered      int64         // whole responses that arrived in it
	Failed        int64
	P50, P99, Max time.Duration // latency of those; 0 if there are none
}

// Failed is how many requests got no whole response; those that were cut don't
// count.
func (r *Result) Failed() (n int64) {
	for _, f := range r.Failures {
		n += f.Count
	}
	return n
}

// Requests is how many were sent in the window.
func (r *Result) Requests() int64 { return r.Latency.Count() + r.Failed() + r.Cut }

// PerSecond is the rate of whole responses.
func (r *Result) PerSecond() float64 { return perSecond(r.Answered, r.Elapsed) }

// Errors is how many requests failed or got a status of 400 or above.
func (r *Result) Errors() int64 {
	n := r.Failed()
	for status, count := range r.Statuses {
		if status >= 400 {
			n += count
		}
	}
	return n
}

func perSecond(n int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}
