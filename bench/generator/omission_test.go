package generator_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/generator"
)

// TestCoordinatedOmission demands that a stall shows in the latency of all
// requests that it kept from being sent, in a time that stands still but for
// sleeping: 400 requests are due in 4 s, and the one that is due after 490 ms
// takes a second. 99 others wait for it, 10 ms less each.
func TestCoordinatedOmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(t, "http://127.0.0.1:1/")
		o.Connections, o.Rate, o.Duration = 1, 100, 4*time.Second
		served := 0
		r := run(t, pretend(o, func() int {
			if served++; served == 50 {
				time.Sleep(time.Second)
			}
			return http.StatusOK
		}))
		only(t, r, 200, 0)
		if r.Requests() != 400 || r.Unsent != 0 {
			t.Errorf("%d requests and %d unsent ones, want 400 and 0", r.Requests(), r.Unsent)
		}
		for _, c := range []struct {
			name      string
			got, want time.Duration
		}{
			{"latency, p50", r.Latency.Quantile(0.50), 0},
			{"latency, p80", r.Latency.Quantile(0.80), 200 * time.Millisecond},
			{"latency, p90", r.Latency.Quantile(0.90), 600 * time.Millisecond},
			{"latency, max", r.Latency.Max(), time.Second},
			{"latency, mean", r.Latency.Mean(), 126250 * time.Microsecond}, // (10 + 20 + … + 1000) / 400
			{"service time, p99", r.Service.Quantile(0.99), 0},
			{"service time, max", r.Service.Max(), time.Second},
		} {
			if c.got < c.want || c.got > c.want+c.want/50 {
				t.Errorf("%s is %v, want %v and at most 2 %% more", c.name, c.got, c.want)
			}
		}
		if r.LateBusy != 99 || r.LateOwn != 0 {
			t.Errorf("%d requests were late since the connection was busy, %d because of the generator, want 99 and 0", r.LateBusy, r.LateOwn)
		}
		time.Sleep(time.Minute) // until fasthttp has noticed that its connections are closed
	})
}

// servePipe answers requests one after the other, with what status returns.
func servePipe(c net.Conn, status func() int) {
	defer c.Close() //nolint:errcheck // the test is over
	for r := bufio.NewReader(c); ; {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		if _, err := fmt.Fprintf(c, "HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n", status()); err != nil {
			return
		}
	}
}

// pretend has a run's connections served by status, in a time that stands still
// but for sleeping.
func pretend(o generator.Options, status func() int) generator.Options {
	return o.WithNetwork(func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go servePipe(theirs, status)
		return ours, nil
	})
}

// TestWarmup demands that nothing is counted that was due before the window: in
// 300 ms at 100/s, the first 30 requests on the only connection.
func TestWarmup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(t, "http://127.0.0.1:1/")
		o.Connections, o.Rate, o.Duration, o.Warmup = 1, 100, 300*time.Millisecond, 300*time.Millisecond
		o.Progress = func(p generator.Progress) {
			if p.Phase == generator.WarmingUp && p.Answered > 0 {
				t.Error("progress counts requests of the warm-up")
			}
		}
		served := 0
		r := run(t, pretend(o, func() int {
			if served++; served <= 30 {
				return http.StatusInternalServerError
			}
			return http.StatusOK
		}))
		only(t, r, 200, 0)
		if r.Requests() != 30 || r.Unsent != 0 || served != 60 {
			t.Errorf("%d requests and %d unsent ones in the window, %d in all, want 30, 0 and 60", r.Requests(), r.Unsent, served)
		}
		time.Sleep(time.Minute) // until fasthttp has noticed that its connections are closed
	})
}

// TestUnsent demands that requests that a server kept from being sent until the
// end are told: it holds the first one until then.
func TestUnsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		o := options(t, "http://127.0.0.1:1/")
		o.Connections, o.Rate = 2, 1000
		var once sync.Once
		o.Progress = func(p generator.Progress) {
			if p.Phase == generator.Finishing {
				once.Do(func() { close(release) })
			}
		}
		r := run(t, pretend(o, func() int { <-release; return http.StatusOK }))
		if r.Statuses[200] != 2 || r.Requests() != 2 {
			t.Fatalf("got statuses %v and failures %v, want two answers", r.Statuses, r.Failures)
		}
		if due := r.Requests() + r.Unsent; due != 150 {
			t.Errorf("%d requests were due in 150 ms at 1,000/s, want 150", due)
		}
		if r.Answered != 0 {
			t.Errorf("%d answers in the window, want 0: they came after it", r.Answered)
		}
		time.Sleep(time.Minute) // as above
	})
}

// TestOverloadedWarmup demands that what a warm-up has left unsent is dropped:
// the window's own requests are sent, and counted.
func TestOverloadedWarmup(t *testing.T) {
	t.Parallel()
	url := serveHTTP(t, func(http.ResponseWriter, *http.Request) {})
	o := options(t, url)
	o.Connections, o.Rate, o.Warmup = 1, 1e6, 100*time.Millisecond
	r := run(t, o)
	if r.Requests() == 0 || r.Statuses[200] != r.Requests() {
		t.Errorf("%d requests count, with the statuses %v: want some of those that were due in the window", r.Requests(), r.Statuses)
	}
}
