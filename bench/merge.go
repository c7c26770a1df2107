//go:build linux

package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// laterRun says when and how a scenario was measured that has replaced one of
// the kept run's.
type laterRun struct {
	At      time.Time `json:"at"`
	Gateway string    `json:"gateway"` // its version
	Rounds  int       `json:"rounds"`
	Seconds float64   `json:"seconds"`
}

func (l *laterRun) String() string {
	return fmt.Sprintf("Measured after the others, on %s, with %s, %d rounds of %g s", l.At.Format("2 January 2006, 15:04"), l.Gateway, l.Rounds, l.Seconds)
}

// mergeInto returns the results that a directory has, with the scenarios of
// this run in place of the same ones there. Each compares what was measured in
// one run; only the run is another.
func (r *results) mergeInto(directory string) (*results, error) {
	all, err := readResults(filepath.Join(directory, resultsFile))
	if err != nil {
		return nil, fmt.Errorf("-merge: %w", err)
	}
	if all.Machine != r.Machine || all.Options.Hosts != r.Options.Hosts {
		return nil, fmt.Errorf("-merge: %s has results of %s with %d hosts, expected those of %s with %d",
			directory, all.Machine, all.Options.Hosts, r.Machine, r.Options.Hosts)
	}
	later := &laterRun{At: r.At, Rounds: r.Options.Rounds, Seconds: r.Options.Seconds}
	for _, p := range r.Peers {
		if p.Name == ours {
			later.Gateway = p.Version
		}
	}
	for _, s := range r.Scenarios {
		s.Later = later
		i := slices.IndexFunc(all.Scenarios, func(old *scenarioResult) bool { return old.Name == s.Name && old.Cores == s.Cores })
		if i < 0 {
			return nil, fmt.Errorf("-merge: %s has no scenario %s, expected one to replace", directory, labelOf(s.Name, s.Cores))
		}
		all.Scenarios[i] = s
	}
	var goals []goal
	for _, s := range all.Scenarios { // in their order
		from := all.Goals
		if s.Later == later {
			from = r.Goals
		}
		for i := range from {
			if from[i].Scenario == s.Name && from[i].Cores == s.Cores {
				goals = append(goals, from[i])
			}
		}
	}
	all.Goals = goals
	return all, nil
}
