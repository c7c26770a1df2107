//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// comparison is a scenario for whichever peers there are: what is done with
// one of them that is running.
type comparison struct {
	scenario

	script  script
	apart   bool // work.apart
	secure  bool // TLS is spoken besides: work.secure
	http2   bool // HTTP/2 is spoken besides: work.http2
	policed policed
	grpc    int                // messages that a call is answered with; 0: there is no work.grpc
	takes   func(p *peer) bool // who takes part
	run     func(ctx context.Context, l *lab, r *running) (sample, error)
	goals   []promise
}

// running is a peer under measurement.
type running struct {
	*peer
	*target
	work *work
	cpus []int // for the load generator
}

// comparisons makes the scenarios for some peers; each comes once for each
// number of cores. The last are about tenants' scripts, which nobody else keeps
// apart.
func comparisons(o *options, present []*peer) (all []*scenario) {
	list := slices.Concat(closedComparisons(), []comparison{guardComparison()}, bodyComparisons(), tlsComparisons(), http2Comparisons(), connectionComparisons(), reloadComparisons())
	for i := range list {
		c := &list[i]
		if o.smoke && c.long {
			continue
		}
		cores := o.cores
		if o.smoke && i > 0 { // with one core and with two once is enough
			cores = cores[len(cores)-1:]
		}
		for _, cores := range cores {
			all = append(all, c.with(o, cores, present))
		}
	}
	if present == nil || slices.ContainsFunc(present, func(p *peer) bool { return p.name == ours }) {
		for _, cores := range o.cores {
			if !o.smoke || cores == o.cores[len(o.cores)-1] {
				all = append(all, policiesScenario(o, cores))
			}
		}
	}
	if o.smoke || present != nil && !slices.ContainsFunc(present, func(p *peer) bool { return p.name == ours }) {
		return all
	}
	return append(all, tenantsScenario(), isolationScenario(o))
}

// with makes a scenario.
func (c *comparison) with(o *options, cores int, present []*peer) *scenario {
	s := c.scenario
	s.cores, s.promises = cores, c.goals
	for _, p := range present {
		if c.takes(p) {
			s.subjects = append(s.subjects, subject{name: p.name, run: func(ctx context.Context, l *lab) (sample, error) {
				return c.measure(ctx, l, p, &work{hosts: o.hosts, apart: c.apart, script: c.script, policed: c.policed, cores: cores})
			}})
		}
	}
	return &s
}

// measure starts the upstream and the peer, makes sure that the work is done,
// and measures.
func (c *comparison) measure(ctx context.Context, l *lab, p *peer, w *work) (sample, error) {
	_, others := l.cpusFor(w.cores)
	var err error
	if w.upstream, err = l.startUpstreamOn(ctx, others); err != nil {
		return nil, err
	}
	if c.secure {
		if w.secure, err = l.secureFiles(); err != nil {
			return nil, err
		}
	}
	if c.http2 {
		if err := l.prepareHTTP2(ctx, w, c.grpc, others); err != nil {
			return nil, err
		}
	}
	t, err := p.start(ctx, l, w)
	if err != nil {
		return nil, err
	}
	r := &running{peer: p, target: t, work: w, cpus: others}
	started := time.Since(t.began)
	if err := p.check(ctx, t, w); err != nil {
		return nil, t.failure(err)
	}
	profiled := r.profile(ctx, l, fmt.Sprintf("%s-%d", c.name, w.cores))
	measured, err := c.run(ctx, l, r)
	if err = errors.Join(err, profiled()); err != nil {
		return nil, t.failure(err)
	}
	if slices.ContainsFunc(c.metrics, func(m metric) bool { return m.name == metricStart }) {
		measured[metricStart] = milliseconds(started)
	}
	return measured, nil
}

// profile writes a CPU profile of the gateway, if profiles are asked for. The
// returned function waits for it, and adds one of the heap.
func (r *running) profile(ctx context.Context, l *lab, name string) (wait func() error) {
	if r.name != ours {
		return func() error { return nil }
	}
	g := &gateway{process: r.process, address: r.address, admin: r.admin}
	profiled := g.profile(ctx, l, name)
	return func() error { return errors.Join(profiled(), g.keepProfile(ctx, l, name+"-heap", "heap")) }
}

// Who takes part.
func plainPeers(p *peer) bool   { return p.name != peerNginxLua } // it is nginx, with a module that does nothing then
func scriptPeers(p *peer) bool  { return p.scripts }
func routingPeers(p *peer) bool { return plainPeers(p) && !p.bare }
