package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/plot"
)

// Fleets are what docs/fleet.md shows, each so long.
func Fleets(duration time.Duration) []*Fleet {
	all := []*Fleet{
		{Name: "20,000/s of 1,000 clients, 10/s each", Gateways: 10, Offered: 20_000, Keys: 1000, Rate: 10},
		{Name: "100,000/s of 10,000 clients, some much more than others, 100/s each", Gateways: 10, Offered: 100_000, Keys: 10_000, Skewed: true, Rate: 100},
		{Name: "1,000,000/s of 100,000 clients, 5/s each", Gateways: 10, Offered: 1e6, Keys: 100_000, Rate: 5},
		{Name: "1,000,000/s of 1,000 clients, 500/s each", Gateways: 10, Offered: 1e6, Keys: 1000, Rate: 500},
		{Name: "1,000,000/s of 1,000 clients, 2,000/s each", Gateways: 10, Offered: 1e6, Keys: 1000, Rate: 2000},
		{Name: "1,000,000/s, 100,000/s of all together", Gateways: 10, Offered: 1e6, Keys: 1, Rate: 100_000},
		{Name: "the same with `local_share: 0`", Gateways: 10, Offered: 1e6, Keys: 1, Rate: 100_000, Share: -1},
		{Name: "the same by 100 gateways, `local_share: 0.0001`", Gateways: 100, Offered: 1e6, Keys: 1, Rate: 100_000, Share: 0.0001},
	}
	for _, f := range all {
		f.fill(duration)
	}
	return all
}

func (f *Fleet) fill(duration time.Duration) {
	f.Burst, f.RoundTrip, f.Timeout, f.Duration = f.Rate, 500*time.Microsecond, 20*time.Millisecond, duration
	switch {
	case f.Share == 0:
		f.Share = 0.001
	case f.Share < 0:
		f.Share = 0
	}
}

// Failover is a store that hangs for two seconds of six, and is empty afterwards.
func Failover(offered float64) *Fleet {
	f := &Fleet{Name: "failover", Gateways: 10, Offered: offered, Keys: 1000, Rate: int64(offered / 2000)}
	f.fill(6 * time.Second)
	f.Hangs, f.Forgets, f.Step = [2]time.Duration{2 * time.Second, 4 * time.Second}, true, 50*time.Millisecond
	return f
}

// Table has a line for each, in Markdown. cost is of one decision at the server's processor.
func Table(all []*Fleet, cost time.Duration) (string, error) {
	var b strings.Builder
	b.WriteString("| requests, and the limit | one limit lets pass | passed | wrong by | asked of the store a second | of the requests | its processor |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, f := range all {
		r, err := f.Run()
		if err != nil {
			return "", fmt.Errorf("%s: %w", f.Name, err)
		}
		asked := float64(r.Asked) / f.Duration.Seconds()
		fmt.Fprintf(&b, "| %s | %d | %d | %+.2f %% | %.0f | %.1f %% | %.0f %% |\n",
			f.Name, r.Exact, r.Passed, 100*r.Error(), asked, 100*float64(r.Asked)/float64(r.Requests), 100*asked*cost.Seconds())
	}
	return b.String(), nil
}

// Plot draws what passes of a failover beside what may, and how often the store is asked,
// as shares of what is offered.
func (f *Fleet) Plot(r *Result) string {
	passed, may, asked := plot.Series{Name: "passed"}, plot.Series{Name: "the limit"}, plot.Series{Name: "asked of the store"}
	for i, m := range r.Steps {
		at := (float64(i) + 0.5) * f.Step.Seconds()
		share := func(n int64) plot.Point { return plot.Point{X: at, Y: 100 * float64(n) / float64(max(1, m.Requests))} }
		passed.Points, asked.Points = append(passed.Points, share(m.Passed)), append(asked.Points, share(m.Asked))
		may.Points = append(may.Points, plot.Point{X: at, Y: min(100, 100*float64(f.Rate)*float64(f.Keys)/f.Offered)})
	}
	l := plot.Lines{
		Title:  fmt.Sprintf("A store that hangs from %v to %v, and has lost everything then", f.Hangs[0], f.Hangs[1]),
		XLabel: "seconds", YLabel: "% of the requests", Series: []plot.Series{passed, may, asked},
	}
	return l.SVG()
}
