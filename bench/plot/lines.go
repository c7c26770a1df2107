package plot

import (
	"fmt"
	"strings"
)

// The measures of a plot of lines.
const (
	linesWidth  = 800.0
	linesHeight = 300.0 // of the room between the axes
	legendRow   = 18.0
	// mostSeries are drawn; a note says how many more there are.
	mostSeries = 24
	// fewPoints are marked one by one.
	fewPoints = 24
)

// Lines draws one or several series over a shared axis. At most 24 series are
// drawn.
type Lines struct {
	Title          string
	XLabel, YLabel string
	// LogX and LogY make an axis logarithmic: it has no place for points at 0 or
	// below. A linear Y axis includes 0, an X axis ends where the points do.
	LogX, LogY bool
	// XTicks are drawn in place of the X axis's own, as far as they lie within
	// it; nil means its own. See PercentileTicks.
	XTicks []Tick
	Series []Series
}

// Tick is a labelled place of an axis.
type Tick struct {
	At    float64
	Label string
}

// Series is a line with a name. Its points are drawn in the order of X. A point
// whose X has no place on the axis is left out; one whose Y has none is a gap.
type Series struct {
	Name   string
	Points []Point
}

// Point is a value Y at X.
type Point struct{ X, Y float64 }

// PercentileTicks are those of a latency plot: LogX set, and a quantile q at
// X = 1/(1-q), so that each further nine takes the same room.
func PercentileTicks() []Tick {
	return []Tick{
		{1, "0 %"}, {2, "50 %"}, {4, "75 %"}, {10, "90 %"}, {100, "99 %"},
		{1e3, "99.9 %"}, {1e4, "99.99 %"}, {1e5, "99.999 %"}, {1e6, "99.9999 %"},
	}
}

// SVG is the plot as a document of its own, 800 pixels wide, or to be put into
// HTML as it is.
func (l *Lines) SVG() string {
	p := &linesPlot{Lines: l, series: l.Series[:min(len(l.Series), mostSeries)]}
	p.measure()
	c := newCanvas(linesWidth, p.height, shorten(l.Title), p.describe())
	c.header(linesWidth, l.Title, "")
	p.drawLegend(c)
	p.drawY(c)
	p.drawX(c)
	for i := range p.series {
		p.drawSeries(c, i)
	}
	return c.String()
}

// linesPlot is a plot on its way.
type linesPlot struct {
	*Lines
	series []Series // those that are drawn
	x, y   *scale
	yTicks []Tick
	legend []entry
	height float64
}

// entry is a name in the legend.
type entry struct {
	x, y float64
	name string
}

func (p *linesPlot) measure() {
	var xs, ys []float64
	for i := range p.series {
		for _, point := range p.series[i].Points {
			xs = append(xs, point.X)
		}
	}
	p.x = newScale(xs, p.LogX, false)
	for i := range p.series {
		for _, point := range p.series[i].Points {
			if p.x.shows(point.X) {
				ys = append(ys, point.Y)
			}
		}
	}
	p.y = newScale(ys, p.LogY, true)
	p.y.round(6)
	p.yTicks = p.y.ticks(6)
	p.place()
}

// place finds the pixels.
func (p *linesPlot) place() {
	widest := 0.0
	for _, tick := range p.yTicks {
		widest = max(widest, textWidth(tick.Label, 11))
	}
	p.x.from, p.x.to = margin+widest+8, linesWidth-margin-12
	top := p.placeLegend((&canvas{}).header(linesWidth, p.Title, "")) + 12
	if p.YLabel != "" {
		top += 16
	}
	p.y.from, p.y.to = top+linesHeight, top
	p.height = p.y.from + 20 + margin
	if p.XLabel != "" {
		p.height += 14
	}
}

// placeLegend sets the names into rows from y on, and returns where these end.
func (p *linesPlot) placeLegend(y float64) float64 {
	const swatch, gap = 28.0, 18.0
	longest := linesWidth/2 - margin - swatch - gap
	x := margin
	for i := range p.series {
		name := clip(p.series[i].Name, longest, 12)
		width := swatch + textWidth(name, 12)
		if x > margin && x+width > linesWidth-margin {
			x, y = margin, y+legendRow
		}
		p.legend = append(p.legend, entry{x, y + 14, name})
		x += width + gap
	}
	if len(p.series) > 0 {
		y += legendRow
	}
	if p.note() != "" {
		y += legendRow
	}
	return y
}

func (p *linesPlot) drawLegend(c *canvas) {
	y := (&canvas{}).header(linesWidth, p.Title, "") + 14
	for i, e := range p.legend {
		c.line(seriesClass(i), e.x+1, e.y-4, e.x+21, e.y-4)
		c.text("", e.x+28, e.y, e.name)
		y = e.y + legendRow
	}
	c.text("m", margin, y, p.note())
}

func (p *linesPlot) drawY(c *canvas) {
	c.text("m", margin, p.y.to-10, clip(p.YLabel, linesWidth-2*margin, 12))
	for _, tick := range p.yTicks {
		y := p.y.at(tick.At)
		c.line("grid", p.x.from, y, p.x.to, y)
		c.text("k e", p.x.from-6, y+4, tick.Label)
	}
}

func (p *linesPlot) drawX(c *canvas) {
	ticks := p.XTicks
	if ticks == nil {
		ticks = p.x.ticks(8)
	}
	right := 0.0
	for _, tick := range ticks {
		if !p.x.within(tick.At) {
			continue
		}
		label := clip(tick.Label, longestLabel, 11)
		x, half := p.x.at(tick.At), textWidth(label, 11)/2
		c.line("grid", x, p.y.to, x, p.y.from)
		// A label may move inwards, but never onto the one before.
		middle := max(min(x, linesWidth-margin/2-half), margin/2+half)
		if middle-half < right {
			continue
		}
		right = middle + half + 6
		c.text("k c", middle, p.y.from+16, label)
	}
	c.line("axis", p.x.from, p.y.from, p.x.to, p.y.from)
	c.text("m c", (p.x.from+p.x.to)/2, p.y.from+34, clip(p.XLabel, linesWidth-2*margin, 12))
}

func (p *linesPlot) drawSeries(c *canvas, i int) {
	series := &p.series[i]
	name := shorten(series.Name)
	few := len(series.Points) <= fewPoints
	for _, run := range p.runs(series) {
		c.path(seriesClass(i), polyline(run), name)
		if !few && len(run) > 1 {
			continue
		}
		for _, at := range run {
			c.path(fmt.Sprintf("l s%d p", i%colours), "M"+pixels(at.X)+" "+pixels(at.Y)+"h0", at.tooltip(name))
		}
	}
}

// colours is how many there are; then come dashes, then dots.
const colours = 8

func seriesClass(i int) string {
	class := fmt.Sprintf("l s%d", i%colours)
	if dash := i / colours % 3; dash > 0 {
		class += fmt.Sprintf(" d%d", dash)
	}
	return class
}

func (p *linesPlot) describe() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s over %s.", or(shorten(p.YLabel), "Y"), or(shorten(p.XLabel), "X"))
	for i := range p.series {
		series := &p.series[i]
		out.WriteString(" " + or(shorten(series.Name), "A series") + ": ")
		out.WriteString(p.summary(series) + ".")
	}
	if note := p.note(); note != "" {
		out.WriteString(" " + note)
	}
	return out.String()
}

// summary is a series in words: its ends and its extremes.
func (p *linesPlot) summary(series *Series) string {
	points := p.visible(series)
	if len(points) == 0 {
		return "no values"
	}
	first, last := points[0], points[len(points)-1]
	least, most := first.Y, first.Y
	for _, point := range points {
		least, most = min(least, point.Y), max(most, point.Y)
	}
	return fmt.Sprintf("from %s at %s to %s at %s, least %s, most %s", format(first.Y), p.xName(first.X),
		format(last.Y), p.xName(last.X), format(least), format(most))
}

// xName is the label of a tick there, or the value.
func (p *linesPlot) xName(x float64) string {
	for _, tick := range p.XTicks {
		if tick.At == x {
			return shorten(tick.Label)
		}
	}
	return format(x)
}

func (p *linesPlot) note() string {
	switch left := len(p.Series) - len(p.series); {
	case left > 0:
		return fmt.Sprintf("%d more are not shown.", left)
	case len(p.series) == 0:
		return "No values."
	}
	return ""
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
