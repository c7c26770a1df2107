//go:build linux

package main

import (
	"fmt"
	"slices"

	"github.com/keystone-gateway/keystone-gateway/bench/plot"
)

// plots are the SVGs, by file name: one for each figure and number of cores.
func (r *results) plots() map[string]string {
	files := map[string]string{}
	for _, cores := range r.coreCounts() {
		for _, p := range []struct{ name, title, metric, unit string }{
			{"cpu", "CPU time for a request", metricCPU, "µs, less is better; the line is the range of all rounds"},
			{"p99", "Latency, 99th percentile", metricP99, "ms, less is better; the line is the range of all rounds"},
			{"idle", "Memory for an idle connection", metricIdleEach, "kB, less is better"},
		} {
			bars := plot.Bars{Title: fmt.Sprintf("%s, %s", p.title, coreWords(cores)), Unit: p.unit, OwnScales: true}
			for _, s := range r.Scenarios {
				if s.Cores == cores {
					bars.Groups = append(bars.Groups, s.group(p.metric)...)
				}
			}
			if len(bars.Groups) > 0 {
				files[plotName(p.name, cores)] = bars.SVG()
			}
		}
	}
	return files
}

func coreWords(cores int) string {
	if cores == 1 {
		return "1 core"
	}
	return fmt.Sprintf("%d cores", cores)
}

func plotName(figure string, cores int) string { return fmt.Sprintf("%s-%d.svg", figure, cores) }

// coreCounts leaves out scenarios that use whatever there is.
func (r *results) coreCounts() (counts []int) {
	for _, s := range r.Scenarios {
		if s.Cores > 0 && !slices.Contains(counts, s.Cores) {
			counts = append(counts, s.Cores)
		}
	}
	return counts
}

// group is at most one group of bars: a metric of the scenario's.
func (r *scenarioResult) group(metric string) []plot.Group {
	g := plot.Group{Name: r.Name + ": " + r.Title}
	for _, name := range r.measured() {
		value, ok := r.spread(name, metric)
		if !ok {
			continue
		}
		g.Bars = append(g.Bars, plot.Bar{Name: name, Value: value.median, Least: value.least, Most: value.most, Highlight: name == ours})
	}
	if len(g.Bars) == 0 {
		return nil
	}
	return []plot.Group{g}
}
