package generator

import (
	"maps"
	"slices"

	"github.com/keystone-gateway/keystone-gateway/bench/plot"
)

// plots draws the curves.
func (p *page) plots(r *Report) {
	p.add("<section>\n<h2>Plots</h2>\n")
	if len(r.Percentiles) > 0 {
		p.figure(r.byPercentile())
	}
	if len(r.Intervals) > 1 {
		p.figure(r.rateOverTime())
		p.figure(r.latencyOverTime())
	}
	p.figure(r.byStatus())
	p.add("</section>\n")
}

func (p *page) figure(svg string) { p.add("<figure>\n" + svg + "</figure>\n") }

// byPercentile is the latency by percentile, with as much room for each further
// nine.
func (r *Report) byPercentile() string {
	latency, service := plot.Series{Name: "latency"}, plot.Series{Name: "service time"}
	for _, point := range r.Percentiles {
		x := 100 / (100 - point.Percentile)
		latency.Points = append(latency.Points, plot.Point{X: x, Y: point.Latency})
		service.Points = append(service.Points, plot.Point{X: x, Y: point.Service})
	}
	l := plot.Lines{
		Title: "Latency by percentile", XLabel: "percentile of the responses", YLabel: "ms",
		LogX: true, XTicks: plot.PercentileTicks(), Series: []plot.Series{latency},
	}
	if r.ServiceTime != nil {
		l.Series = append(l.Series, service)
	}
	return l.SVG()
}

func (r *Report) rateOverTime() string {
	answered := plot.Series{Name: "responses"}
	failed := plot.Series{Name: "failed requests"}
	for _, i := range r.Intervals {
		middle := i.Begin + i.Length/2
		answered.Points = append(answered.Points, plot.Point{X: middle, Y: i.PerSecond})
		failed.Points = append(failed.Points, plot.Point{X: middle, Y: float64(i.Failed) / i.Length})
	}
	l := plot.Lines{Title: "Rate over time", XLabel: "seconds", YLabel: "per second", Series: []plot.Series{answered}}
	if r.Failed > 0 {
		l.Series = append(l.Series, failed)
	}
	return l.SVG()
}

func (r *Report) latencyOverTime() string {
	p50, p99, longest := plot.Series{Name: "p50"}, plot.Series{Name: "p99"}, plot.Series{Name: "max"}
	for _, i := range r.Intervals {
		if i.Max == 0 {
			continue // nothing was answered
		}
		middle := i.Begin + i.Length/2
		p50.Points = append(p50.Points, plot.Point{X: middle, Y: i.P50})
		p99.Points = append(p99.Points, plot.Point{X: middle, Y: i.P99})
		longest.Points = append(longest.Points, plot.Point{X: middle, Y: i.Max})
	}
	l := plot.Lines{
		Title: "Latency over time", XLabel: "seconds", YLabel: "ms", LogY: true,
		Series: []plot.Series{p50, p99, longest},
	}
	return l.SVG()
}

func (r *Report) byStatus() string {
	group := plot.Group{}
	for _, status := range slices.Sorted(maps.Keys(r.Statuses)) {
		group.Bars = append(group.Bars, plot.Bar{Name: status, Value: float64(r.Statuses[status]), Highlight: status >= "4"})
	}
	for _, f := range r.byCount() {
		group.Bars = append(group.Bars, plot.Bar{Name: "failed: " + f.Kind, Value: float64(f.Count), Highlight: true})
	}
	b := plot.Bars{Title: "Responses and failures", Unit: "requests", Groups: []plot.Group{group}}
	return b.SVG()
}
