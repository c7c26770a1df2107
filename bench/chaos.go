//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	chaosTargets = 5
	chaosChanges = 2 * time.Second // how often other targets fail
)

// chaosOptions are the flags of bench chaos.
type chaosOptions struct {
	duration   time.Duration // of each of the two parts
	rate       int           // requests a second
	takes      time.Duration // for a request, at a good target
	resilience string        // the tenant's keys
	strict     bool
}

// runChaos sends requests at a constant rate to a gateway with five targets, first to
// good ones, then with two of them failing at any time, and says what clients have
// seen.
func runChaos(ctx context.Context, args []string) error {
	var o chaosOptions
	var binary string
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.DurationVar(&o.duration, "duration", 60*time.Second, "of the chaos, and of a third of the quiet before it")
	flags.IntVar(&o.rate, "rate", 1000, "requests a second")
	flags.DurationVar(&o.takes, "takes", 20*time.Millisecond, "what a good target takes for a request")
	flags.StringVar(&o.resilience, "tenant", "resilience: standard", "further `keys` of the tenant, as YAML in braces has them")
	flags.BoolVar(&o.strict, "strict", false, "fail unless 99.95 % succeed and p99 is at most three times as long as in quiet")
	flags.StringVar(&binary, "gateway", "", "the gateway's `program`; default: built from the checkout")
	smoke := flags.Bool("smoke", false, "a short run, which fails only if it measures nothing")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *smoke {
		o.duration, o.rate, o.strict = 3*time.Second, 100, false
	}
	l, err := openLab(ctx, &options{binary: binary})
	if err != nil {
		return err
	}
	defer l.close()
	return l.chaos(ctx, &o)
}

func (l *lab) chaos(ctx context.Context, o *chaosOptions) error {
	targets, services := make([]*chaosTarget, chaosTargets), make([]string, chaosTargets)
	defer func() {
		for _, t := range targets {
			if t != nil {
				t.close(true)
			}
		}
	}()
	for i := range targets {
		var err error
		if targets[i], err = newChaosTarget(o.takes); err != nil {
			return err
		}
		services[i] = fmt.Sprintf("{name: t%d, url: %q}", i, "http://"+targets[i].address)
	}
	g, err := l.startGateway(ctx, gatewayConfig{host: "a", tenants: fmt.Sprintf("  - {name: a, path_prefix: /, services: [%s], %s}\n", strings.Join(services, ", "), o.resilience)})
	if err != nil {
		return err
	}
	url := "http://" + g.address.String() + "/"
	quiet := loadConstantly(ctx, url, o.rate, max(time.Second, o.duration/3))
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			if err := upset(targets); err != nil {
				done <- err
				return
			}
			select {
			case <-stop:
				done <- nil
				return
			case <-time.After(chaosChanges):
			}
		}
	}()
	upset := loadConstantly(ctx, url, o.rate, o.duration)
	close(stop)
	if err := errors.Join(<-done, ctx.Err()); err != nil {
		return err
	}
	if quiet.good == 0 || upset.good == 0 {
		return fmt.Errorf("no request has succeeded: %s", upset.failures())
	}
	ratio := float64(upset.quantile(.99)) / float64(quiet.quantile(.99))
	fmt.Printf("quiet: %s\nchaos: %s\np99 of chaos is %.2f times that of quiet\n%s", quiet, upset, ratio, upset.failures())
	if o.strict && (upset.success() < .9995 || ratio > 3) {
		return errMissed
	}
	return nil
}

// constantLoad is what came of requests at a constant rate.
type constantLoad struct {
	mu     sync.Mutex
	good   int
	took   []time.Duration // of all, from when they were due
	failed map[string]int
}

// loadConstantly sends requests when they are due, whatever became of those before.
func loadConstantly(ctx context.Context, url string, rate int, duration time.Duration) *constantLoad {
	l := &constantLoad{failed: map[string]int{}}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 10_000, DisableCompression: true}}
	defer client.CloseIdleConnections()
	var wait sync.WaitGroup
	begun, every := time.Now(), time.Second/time.Duration(rate)
	for n := 0; ctx.Err() == nil; n++ {
		due := begun.Add(time.Duration(n) * every)
		if due.Sub(begun) >= duration {
			break
		}
		time.Sleep(time.Until(due))
		wait.Go(func() { l.add(due, ask(ctx, client, url)) })
	}
	wait.Wait()
	slices.Sort(l.took)
	return l
}

// ask sends one request; "" is that all of a good answer has come.
func ask(ctx context.Context, client *http.Client, url string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err.Error()
	}
	response, err := client.Do(request)
	if err != nil {
		return "no answer"
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return "a cut answer"
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Sprintf("%d %s", response.StatusCode, response.Header.Get("X-Gateway-Error"))
	}
	return ""
}

func (l *constantLoad) add(due time.Time, failed string) {
	took := time.Since(due)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = append(l.took, took)
	if failed == "" {
		l.good++
	} else {
		l.failed[failed]++
	}
}

func (l *constantLoad) quantile(q float64) time.Duration {
	return l.took[min(len(l.took)-1, int(q*float64(len(l.took))))]
}

func (l *constantLoad) success() float64 { return float64(l.good) / float64(max(1, len(l.took))) }

func (l *constantLoad) String() string {
	return fmt.Sprintf("%d requests, %.3f %% good, p50 %.1f ms, p99 %.1f ms", len(l.took), 100*l.success(), milliseconds(l.quantile(.5)), milliseconds(l.quantile(.99)))
}

// failures lists what has failed.
func (l *constantLoad) failures() string {
	var b strings.Builder
	for why, n := range l.failed {
		fmt.Fprintf(&b, "%6d × %s\n", n, why)
	}
	return b.String()
}
