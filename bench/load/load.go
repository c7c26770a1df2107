//go:build linux

package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Options say what is sent where.
type Options struct {
	// Address of the server: an IPv4 address with its port.
	Address netip.AddrPort

	// Requests are whole requests without surprises for HTTP/1.1's framing:
	// neither HEAD nor CONNECT. They are sent in turn.
	Requests [][]byte

	// Body is sent after each of them. It is one for all, so that many requests
	// with a large body take no room; their heads must give its length.
	Body []byte

	// Connections that are open at most.
	Connections int

	// Rate is how many requests a second are due, at even intervals. One that
	// finds no free connection is sent late. 0 is a closed loop.
	Rate float64

	// Ramp is the time over which a closed loop opens its connections, evenly.
	Ramp time.Duration

	// Warmup comes first and isn't counted; Duration is.
	Warmup, Duration time.Duration

	// Timeout of one request from the moment it was sent, connecting included;
	// it is looked at every 100 ms. At a constant rate answers are waited for
	// so long after the end, too. Default: 30s.
	Timeout time.Duration

	// Begin and End, if set, are called when counting begins and ends, by the
	// goroutine that sends: they should be quick.
	Begin, End func() `json:"-"`
}

// Result is what has been seen between warm-up and end.
type Result struct {
	Elapsed  time.Duration
	Statuses [6]int64 // whole responses, by the first digit of their status
	Failed   int64    // requests without a whole response
	Reason   error    // of the first failure
	Latency  Histogram

	// Unsent is how many requests were due and found no free connection, not
	// even within the time-out after the end.
	Unsent int64
}

// Answered is the number of whole responses.
func (r *Result) Answered() int64 { return r.Latency.Count() }

// Bad counts requests that failed or got a status other than 2xx.
func (r *Result) Bad() int64 { return r.Failed + r.Answered() - r.Statuses[2] }

// Run sends until the time is over or ctx is done, which is an error. So is
// what keeps it from sending at all; failing requests are not, they count.
func Run(ctx context.Context, o Options) (*Result, error) {
	if len(o.Requests) == 0 || o.Connections < 1 || !o.Address.Addr().Is4() {
		return nil, fmt.Errorf("cannot send to %v: expected an IPv4 address, requests and connections", o.Address)
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	l := &loop{options: o, events: make([]unix.EpollEvent, 256), buffer: make([]byte, 64<<10)}
	if err := l.open(); err != nil {
		l.close()
		return nil, err
	}
	defer l.close()
	if err := l.run(ctx); err != nil {
		return nil, err
	}
	return &l.result, nil
}

// Err is what keeps the figures from meaning anything: a request without an
// answer, one answered with another status than 2xx, or no answers at all.
func (r *Result) Err() error {
	switch {
	case r.Reason != nil:
		return fmt.Errorf("%d requests failed, the first: %w", r.Failed, r.Reason)
	case r.Bad() > 0:
		return fmt.Errorf("statuses by first digit %v, expected 2xx only", r.Statuses)
	case r.Answered() == 0:
		return errors.New("no request was answered")
	}
	return nil
}
