//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// compareHosts is how many hosts every proxy serves.
const compareHosts = 10_000

// keptResults are those that the READMEs show; a part of a run must not replace
// them.
const keptResults = "bench/results"

// runCompare measures the gateway beside every peer that is installed.
func runCompare(ctx context.Context, args []string) error {
	flags := compareFlags()
	o := flags.options
	if err := flags.parse(args); err != nil {
		return err
	}
	if o.smoke {
		o.smokeRun()
	}
	if o.output == "" && !o.smoke && flags.only == "" && o.peers == nil {
		o.output = keptResults
	}
	if o.merge && o.output == "" {
		return errors.New("-merge: expected -out too, the directory with the results")
	}
	if _, err := flags.choose(comparisons(o, nil)); err != nil {
		return err // before anything is built
	}
	l, err := openLab(ctx, o)
	if err != nil {
		return err
	}
	defer l.close()
	present := l.findPeers(ctx)
	if len(present) == 0 {
		return errors.New("none of the peers that were asked for is there")
	}
	chosen, err := flags.choose(comparisons(o, present))
	if err != nil {
		return err
	}
	return l.measureAndKeep(ctx, chosen)
}

// smokeRun makes the run short. Peers that were not named and take a second to
// start are left out.
func (o *options) smokeRun() {
	o.rounds, o.duration, o.hosts = 1, 200*time.Millisecond, 1000
	if o.peers == nil {
		o.peers = []string{peerGateway, peerNginx, peerNginxLua, peerHAProxy, peerFasthttp, peerForwarder}
	}
}

func compareFlags() *flagSet {
	flags := newFlags("compare", 6)
	o := flags.options
	o.cores, o.hosts = []int{1, 2}, compareHosts
	flags.StringVar(&o.output, "out", "", "write what was measured into this `directory`: results.json, results.md and plots; default: "+keptResults+", or nothing with -smoke, -only or -peers")
	flags.BoolVar(&o.merge, "merge", false, "replace only the scenarios that are measured, in the results that -out has")
	flags.BoolVar(&o.smoke, "smoke", false, "one short round of all scenarios that need no more than a second each, and a check that all figures are there")
	flags.BoolVar(&o.buildPeers, "build-peers", false, "build peers that are Go modules and have not been built yet, which takes minutes")
	flags.Func("cores", "processors that a proxy may use: 1, 2 or both, separated by a comma (default 1,2)", func(text string) (err error) {
		o.cores, err = parseCores(text)
		return err
	})
	flags.Func("attacks", "of isolation, only these `attacks`, separated by commas (default all)", func(text string) (err error) {
		o.attacks, err = attackNames(text)
		return err
	})
	flags.Func("peers", "measure only these `peers`, separated by commas, besides the gateway (default all that are installed)", func(text string) (err error) {
		o.peers, err = peerNames(text)
		return err
	})
	return flags
}

// peerNames finds peers by what was asked for; case doesn't matter.
func peerNames(asked string) (names []string, err error) {
	var all []string
	for _, p := range peers() {
		all = append(all, p.name)
	}
	for name := range strings.SplitSeq(asked, ",") {
		i := slices.IndexFunc(all, func(known string) bool { return strings.EqualFold(known, strings.TrimSpace(name)) })
		if i < 0 {
			return nil, fmt.Errorf("unknown peer %q, expected some of %s", name, strings.Join(all, ", "))
		}
		names = append(names, all[i])
	}
	return names, nil
}

// findPeers finds out who takes part.
func (l *lab) findPeers(ctx context.Context) (present []*peer) {
	for _, p := range peers() {
		if p.name != ours && l.options.peers != nil && !slices.Contains(l.options.peers, p.name) {
			continue
		}
		version, err := p.find(ctx, l)
		if err != nil {
			l.missing = append(l.missing, missingPeer{p.name, l.oneLine(err.Error())})
			continue
		}
		l.found = append(l.found, peerVersion{p.name, version})
		present = append(present, p)
	}
	return present
}

// newResults describes the run; measure adds to it.
func (l *lab) newResults() *results {
	o := l.options
	loader := string(ownLoader)
	if l.wrk != "" && o.loader != ownLoader && o.duration >= time.Second {
		loader = string(wrkLoader)
	}
	return &results{
		Machine: l.machine, At: time.Now().UTC().Truncate(time.Second), Peers: l.found, Missing: l.missing,
		Options: resultOptions{Rounds: o.rounds, Seconds: o.duration.Seconds(), Hosts: o.hosts, Loader: loader, Smoke: o.smoke},
	}
}
