//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/fleet"
	"github.com/keystone-gateway/keystone-gateway/bench/load"
)

// fleetOptions are the flags of fleet.
type fleetOptions struct {
	*options
	gateways, keys int
	rate, limit    int
}

// Its metrics.
const (
	metricError    = "wrong by"
	metricAlone    = "p99 without the store"
	metricAdded    = "p99 added"
	metricAsked    = "asked of the store a second"
	metricAhead    = "decided without asking"
	metricStoreCPU = "the store's processor"
	metricRefused  = "answered with 429"
)

// runFleet measures gateways that have a store in common.
func runFleet(ctx context.Context, args []string) error {
	flags := newFlags("fleet", 3)
	o := &fleetOptions{options: flags.options}
	flags.IntVar(&o.gateways, "gateways", 10, "gateways that have the store in common")
	flags.IntVar(&o.keys, "keys", 1000, "clients")
	flags.IntVar(&o.rate, "rate", 20_000, "requests a second, of all gateways; over HTTP a quarter of it, where all processes share the machine")
	flags.IntVar(&o.limit, "limit", 10, "requests a second that each client may send, and its burst")
	flags.BoolVar(&o.smoke, "smoke", false, "one short round")
	if err := flags.parse(args); err != nil {
		return err
	}
	if o.smoke {
		o.rounds, o.duration, o.gateways, o.keys, o.rate = 1, time.Second, 3, 20, 400
	}
	chosen, err := flags.choose([]*scenario{o.decisions(), o.overHTTP()})
	if err != nil {
		return err
	}
	l, err := openLab(ctx, o.options)
	if err != nil {
		return err
	}
	defer l.close()
	r, err := l.measure(ctx, chosen)
	if err == nil && o.strict && r.missed() {
		err = errMissed
	}
	return err
}

// startRedis runs an empty one that keeps nothing.
func (l *lab) startRedis(ctx context.Context) (*process, netip.AddrPort, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, address, err
	}
	var program string
	for _, name := range []string{"redis-server", "valkey-server"} {
		if program, err = exec.LookPath(name); err == nil {
			break
		}
	}
	if err != nil {
		return nil, address, fmt.Errorf("cannot find a store, Debian's package is redis-server: %w", err)
	}
	host, port, _ := net.SplitHostPort(address.String())
	p, err := l.start("the store", nil, program, "--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--dir", l.directory, "--loglevel", "warning")
	if err != nil {
		return nil, address, err
	}
	return p, address, p.listens(ctx, address)
}

// decisions is what the policy costs, without HTTP.
func (o *fleetOptions) decisions() *scenario {
	name := fmt.Sprintf("%d gateways", o.gateways)
	s := &scenario{
		name: "fleet", title: fmt.Sprintf("%d gateways, one Redis, %d requests/s of %d clients, each of which may send %d/s: decisions of rate_limit, without HTTP", o.gateways, o.rate, o.keys, o.limit),
		metrics: []metric{
			{metricRate, "", 0}, {metricError, "%", 2}, {metricP50, "ms", 3}, {metricP99, "ms", 3}, {metricAlone, "ms", 3}, {metricAdded, "ms", 3},
			{metricAsked, "", 0}, {metricAhead, "%", 1}, {metricStoreCPU, "%", 1},
		},
		subjects: []subject{{name: name, run: o.decide}},
		note:     "The policy and the client of the store are the gateway's own; all gateways are in one process, each with connections of its own. How much is wrong is what has passed beside what one limit would have let pass, asked about the same requests at the same times.",
	}
	if !o.smoke {
		s.promises = []promise{
			{text: "what has passed is wrong by, in %", subject: name, metric: metricError, must: 1},
			{text: "p99 added, in ms", subject: name, metric: metricAdded, must: 1},
		}
	}
	return s
}

func (o *fleetOptions) decide(ctx context.Context, l *lab) (sample, error) {
	store, address, err := l.startRedis(ctx)
	if err != nil {
		return nil, err
	}
	options := fleet.Options{Gateways: o.gateways, Keys: o.keys, Offered: float64(o.rate), Rate: int64(o.limit), Burst: int64(o.limit), Duration: o.duration}
	alone, err := fleet.Run(ctx, options)
	if err != nil {
		return nil, err
	}
	options.Address = address.String()
	before := cpuOf(tree(store.pid()))
	r, err := fleet.Run(ctx, options)
	if err != nil {
		return nil, err
	}
	used := cpuOf(tree(store.pid())).since(before).total()
	if r.Failed > 0 {
		l.remark("the store has failed to decide about %d of %d requests", r.Failed, r.Requests)
	}
	if float64(r.Requests) < 0.95*float64(o.rate)*o.duration.Seconds() {
		return nil, fmt.Errorf("only %d requests were sent in %v, which is too few for %d a second", r.Requests, r.Elapsed, o.rate)
	}
	return sample{
		metricRate: float64(r.Requests) / r.Elapsed.Seconds(), metricError: 100 * math.Abs(r.Error()),
		metricP50: milliseconds(r.Latency.Quantile(0.5)), metricP99: milliseconds(r.Latency.Quantile(0.99)), metricAlone: milliseconds(alone.Latency.Quantile(0.99)),
		metricAdded: milliseconds(r.Latency.Quantile(0.99) - alone.Latency.Quantile(0.99)),
		metricAsked: float64(r.Asked) / r.Elapsed.Seconds(), metricAhead: 100 * float64(r.Ahead) / float64(r.Requests),
		metricStoreCPU: 100 * used.Seconds() / r.Elapsed.Seconds(),
	}, nil
}

// overHTTP is the same with whole gateways, which are processes of their own.
func (o *fleetOptions) overHTTP() *scenario {
	rate := o.rate / 4
	s := &scenario{
		name: "fleet-http", title: fmt.Sprintf("%d gateways, one Redis, %d requests/s of %d clients, each of which may send %d/s, over HTTP", o.gateways, rate, o.keys, max(1, o.limit/4)),
		metrics: []metric{{metricRate, "", 0}, {metricRefused, "%", 1}, {metricError, "%", 2}, {metricP50, "ms", 3}, {metricP99, "ms", 3}},
		note:    "Times are from when each request was due. What may pass is the limit's burst and its rate times the time.",
	}
	for _, where := range []string{"redis", "local"} {
		s.subjects = append(s.subjects, subject{name: "store: " + where, run: func(ctx context.Context, l *lab) (sample, error) {
			return o.serve(ctx, l, where, float64(rate))
		}})
	}
	return s
}

func (o *fleetOptions) serve(ctx context.Context, l *lab, where string, rate float64) (sample, error) {
	_, address, err := l.startRedis(ctx)
	if err != nil {
		return nil, err
	}
	limit := max(1, o.limit/4)
	var gateways []*gateway
	for i := range o.gateways {
		g, err := l.startGateway(ctx, gatewayConfig{
			file: fmt.Sprintf("gateway-%d.yaml", i), head: fmt.Sprintf("store: {redis: {address: %q}}", address), host: "ready.example.com",
			tenants: fmt.Sprintf(`  - name: ready
    domains: [ready.example.com]
    routes: [{path: /*, respond: {status: 200}}]
  - name: fleet
    domains: [fleet.example.com]
    policies: [{rate_limit: {rate: %d/s, by: "header:X-Client", store: %s}}]
    routes: [{path: /*, respond: {status: 200}}]
`, limit, where),
		})
		if err != nil {
			return nil, err
		}
		gateways = append(gateways, g)
	}
	requests := o.requests()
	results, err := sendToAll(ctx, gateways, func(i int, address netip.AddrPort) load.Options {
		first := i * len(requests) / len(gateways)
		own := slices.Concat(requests[first:], requests[:first])
		return load.Options{Address: address, Requests: own, Connections: 64, Rate: rate / float64(len(gateways)), Duration: o.duration}
	})
	if err != nil {
		return nil, err
	}
	var all load.Histogram
	passed, refused := 0.0, 0.0
	for _, r := range results {
		all.Merge(&r.Latency)
		passed += float64(r.Statuses[2])
		refused += float64(r.Statuses[4])
	}
	if all.Count() == 0 {
		return nil, errors.New("nothing was answered")
	}
	may := min(float64(o.keys*limit)*(1+o.duration.Seconds()), passed+refused)
	return sample{
		metricRate: (passed + refused) / o.duration.Seconds(), metricRefused: 100 * refused / (passed + refused), metricError: 100 * math.Abs(passed-may) / may,
		metricP50: milliseconds(all.Quantile(0.5)), metricP99: milliseconds(all.Quantile(0.99)),
	}, nil
}

// requests are one of each client.
func (o *fleetOptions) requests() (all [][]byte) {
	for i := range o.keys {
		r := requests{hosts: []string{"fleet.example.com"}, path: "/", fields: []string{fmt.Sprintf("X-Client: client-%d", i)}}
		all = append(all, r.heads()...)
	}
	return all
}

// sendToAll sends to all gateways at once.
func sendToAll(ctx context.Context, gateways []*gateway, options func(i int, address netip.AddrPort) load.Options) ([]*load.Result, error) {
	results, failures := make([]*load.Result, len(gateways)), make([]error, len(gateways))
	var wait sync.WaitGroup
	for i, g := range gateways {
		wait.Go(func() {
			if results[i], failures[i] = load.Run(ctx, options(i, g.address)); failures[i] == nil && results[i].Reason != nil {
				failures[i] = fmt.Errorf("%d requests failed, the first: %w", results[i].Failed, results[i].Reason)
			}
		})
	}
	wait.Wait()
	if err := errors.Join(failures...); err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return results, nil
}
