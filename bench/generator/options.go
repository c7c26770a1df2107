package generator

import (
	"context"
	"crypto/tls"
	"fmt"
	"math"
	"net"
	"strings"
	"time"
)

// Bounds of the options.
const (
	MaxConnections = 65_535
	MaxRate        = 10_000_000 // requests a second
	MaxDuration    = 24 * time.Hour
	MaxBody        = 64 << 20 // bytes of a request's body
)

// Options say what is sent where, and how.
type Options struct {
	// Targets are the requests to send, mixed by their weights. At least one.
	Targets []Target

	// Fields are added to the header of each request, in order.
	Fields []Field

	// Body of each request. Its length is announced unless it is empty.
	Body []byte

	// Host is the field Host of targets without one of their own, and the name
	// that servers' certificates must have. Default: the host of the URL.
	Host string

	// Connections is how many requests are in flight: always, in a closed
	// loop; at most, at a constant rate. From 1 to MaxConnections. As many
	// connections are open to each host and port at most.
	Connections int

	// Rate is how many requests a second are due, at even intervals. 0 is a
	// closed loop.
	Rate float64

	// Duration is how long requests are sent and counted, after Warmup, in
	// which they are sent only. Duration must be above 0; both are at most
	// MaxDuration.
	Duration, Warmup time.Duration

	// Timeout of one request, connecting and the response's body included.
	// Above 0.
	Timeout time.Duration

	// Close has each request sent on a connection of its own.
	Close bool

	// TLS is for targets with https. Default: servers are verified with the
	// system's certificates. Its server name is set for each target.
	TLS *tls.Config

	// Progress, if set, is called a few times a second, never concurrently.
	Progress func(Progress)

	sleep func(time.Duration)                                                  // of the pacer; default: sleepPrecisely
	dial  func(ctx context.Context, network, address string) (net.Conn, error) // default: a net.Dialer's
}

// Progress is how far a run is.
type Progress struct {
	Phase    Phase
	Elapsed  time.Duration // of the phase
	Total    time.Duration // of the phase; 0 if its end isn't known
	Answered int64         // responses so far, without those of the warm-up
	Failed   int64         // requests so far that got no whole response
	Rate     float64       // responses a second, lately
	P99      time.Duration // latency so far
}

// Phase is what a run is doing.
type Phase uint8

// The phases, in order.
const (
	WarmingUp Phase = iota
	Counting
	Finishing // nothing is sent any more; what is in flight may end
)

// check returns what is wrong with the options, in the words of the command
// line.
func (o *Options) check() error {
	switch {
	case len(o.Targets) == 0:
		return fmt.Errorf("there is nothing to send: expected -url or -targets")
	case o.Connections < 1 || o.Connections > MaxConnections:
		return fmt.Errorf("-c is %d, expected 1 to %d connections", o.Connections, MaxConnections)
	case math.IsNaN(o.Rate) || o.Rate < 0 || o.Rate > MaxRate:
		return fmt.Errorf("-rate is %v, expected requests a second up to %d, or 0 for a closed loop", o.Rate, MaxRate)
	case o.Duration <= 0 || o.Duration > MaxDuration:
		return fmt.Errorf("-d is %v, expected a duration above 0 and up to %v", o.Duration, MaxDuration)
	case o.Warmup < 0 || o.Warmup > MaxDuration:
		return fmt.Errorf("-warmup is %v, expected a duration from 0 to %v", o.Warmup, MaxDuration)
	case o.Timeout <= 0 || o.Timeout > MaxDuration:
		return fmt.Errorf("-timeout is %v, expected a duration above 0 and up to %v", o.Timeout, MaxDuration)
	case len(o.Body) > MaxBody:
		return fmt.Errorf("the body has %d bytes, expected at most %d", len(o.Body), MaxBody)
	}
	if o.Host != "" {
		if err := checkHost(o.Host); err != nil {
			return fmt.Errorf("-host: %w", err)
		}
	}
	for _, f := range o.Fields {
		if err := f.check(); err != nil {
			return err
		}
		if strings.EqualFold(f.Name, "Host") {
			return fmt.Errorf("the field Host: expected it as Host %q", f.Value)
		}
	}
	return nil
}
