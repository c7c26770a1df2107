package plot_test

import (
	"math"
	"testing"
	"unicode/utf8"

	"github.com/keystone-gateway/keystone-gateway/bench/plot"
)

// FuzzNames demands a well-formed document whatever names are.
func FuzzNames(f *testing.F) {
	f.Add(hostile, "nginx")
	f.Add("", "")
	f.Add("a.b", "/.(")
	f.Add("…", "日本")
	f.Fuzz(func(t *testing.T, a, b string) {
		one := []plot.Point{{1, 1}}
		lines := &plot.Lines{Title: a, XLabel: b, YLabel: a, XTicks: []plot.Tick{{1, a}}, Series: []plot.Series{{a, one}, {b, nil}}}
		bars := &plot.Bars{Title: a, Unit: b, Groups: []plot.Group{{a, []plot.Bar{{Name: b, Value: 1}}}}}
		for _, svg := range []string{lines.SVG(), bars.SVG(), plot.Flame(a, b, []plot.Stack{{[]string{a, b}, 1}})} {
			if !utf8.ValidString(svg) {
				t.Fatal("the document isn't UTF-8")
			}
			parse(t, svg)
		}
	})
}

// FuzzNumbers demands coordinates within the plot whatever numbers are.
func FuzzNumbers(f *testing.F) {
	f.Add(1.0, 2.0, 3.0)
	f.Add(math.NaN(), math.Inf(1), math.Inf(-1))
	f.Add(math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64)
	f.Add(1e300, -1e300, 1e-300)
	f.Add(1e15, 1e15+1, 1e15+2)
	f.Fuzz(func(t *testing.T, x, y, z float64) {
		points := []plot.Point{{x, y}, {y, z}, {z, x}, {x, x}}
		for i := range 4 {
			lines := &plot.Lines{LogX: i&1 > 0, LogY: i&2 > 0, Series: []plot.Series{{"a", points}, {"b", points[:1]}}}
			parse(t, lines.SVG())
			lines.XTicks = []plot.Tick{{x, "x"}, {y, "y"}}
			parse(t, lines.SVG())
		}
		bars := &plot.Bars{Groups: []plot.Group{{"a", []plot.Bar{{"b", x, y, z, true}, {"c", z, x, y, false}}}, {"d", []plot.Bar{{Value: y}}}}}
		parse(t, bars.SVG())
		bars.OwnScales = true
		parse(t, bars.SVG())
		parse(t, plot.Flame("", "", []plot.Stack{{[]string{"a", "b"}, x}, {[]string{"b"}, y}, {[]string{"a"}, z}}))
	})
}
