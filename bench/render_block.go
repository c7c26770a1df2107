//go:build linux

package main

import (
	"bytes"
	"fmt"
	"slices"
)

// noise is how far two runs of the same may lie apart; bench/README.md has it
// too.
const noise = 0.08

// block is the short form for READMEs: CPU time of each closed loop, where we
// lose, and the goals that were missed. to leads to the results.
func (r *results) block(to string) string {
	text := &bytes.Buffer{}
	cores := r.shownCores()
	fmt.Fprintf(text, "CPU time for a request in µs, and in parentheses ours ÷ theirs (below 1 we need less), on %d core", cores)
	if cores > 1 {
		fmt.Fprint(text, "s")
	}
	fmt.Fprintf(text, ": medians of %d rounds, %s, %s.\n\n", r.Options.Rounds, r.Machine, r.At.Format("2 January 2006"))
	printTable(text, r.shortRows(cores))
	fmt.Fprintf(text, "\n![CPU time for a request](%s/%s)\n\n", to, plotName("cpu", cores))
	fmt.Fprint(text, "Where we lose, by more than what is noise:\n\n")
	losses := r.losses()
	for _, loss := range losses {
		fmt.Fprintf(text, "- %s\n", loss)
	}
	if len(losses) == 0 {
		fmt.Fprint(text, "- nowhere in this run\n")
	}
	fmt.Fprintf(text, "\nEverything: [results.md](%s/results.md), [%s](%s/%[2]s).\n", to, resultsFile, to)
	return text.String()
}

// shownCores is 1 if that was measured: a core of the proxy's own disturbs it
// least.
func (r *results) shownCores() int {
	most := 0
	for _, s := range r.Scenarios {
		if s.Headline == metricCPU && s.Cores == 1 {
			return 1
		}
		most = max(most, s.Cores)
	}
	return most
}

// shortRows are the closed loops on so many cores.
func (r *results) shortRows(cores int) [][]string {
	var names []string
	for _, p := range r.Peers {
		if p.Name != peerNginxLua {
			names = append(names, p.Name)
		}
	}
	rows := [][]string{append([]string{""}, names...)}
	for _, s := range r.Scenarios {
		if s.Headline != metricCPU || s.Cores != cores {
			continue
		}
		row := []string{s.Name}
		for _, name := range names {
			if name == peerNginx && !s.has(peerNginx) {
				name = peerNginxLua // the same nginx, where there is a script
			}
			row = append(row, s.shortCell(name))
		}
		rows = append(rows, row)
	}
	return rows
}

func (r *scenarioResult) shortCell(name string) string {
	value, ok := r.spread(name, r.Headline)
	if !ok {
		return "–"
	}
	text := fmt.Sprintf("%.1f", value.median)
	if ratio, ok := r.ratio(r.Headline, name); ok && name != ours {
		text += fmt.Sprintf(" (%.2f)", ratio)
	}
	return text
}

// losses are sentences about every headline in which a peer that does the same
// work needs less than the gateway does, and about every goal missed.
func (r *results) losses() (list []string) {
	for _, s := range r.Scenarios {
		if s.Headline == "" {
			continue
		}
		for _, name := range s.measured() {
			ratio, ok := s.ratio(s.Headline, name)
			if !ok || name == ours || ratio <= 1+noise || slices.Contains(lessWork, name) {
				continue
			}
			list = append(list, fmt.Sprintf("%s: %s is %.2f × that of %s", labelOf(s.Name, s.Cores), s.Headline, ratio, name))
		}
	}
	for i := range r.Goals {
		if g := &r.Goals[i]; g.Verdict == missed {
			list = append(list, fmt.Sprintf("goal of %s missed: %s is %.4g, must be %s %.4g", labelOf(g.Scenario, g.Cores), g.Text, g.Value, g.sign(), g.Must))
		}
	}
	return list
}

// lessWork are the peers that are bare.
var lessWork = []string{peerFasthttp, peerForwarder}
