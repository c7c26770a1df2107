package plot

import (
	"fmt"
	"strings"
)

// mostBars is how many bars are drawn; a note says how many more there are.
const mostBars = 500

// The measures of a plot of bars.
const (
	barsWidth   = 800.0
	groupHeight = 24.0
	rowHeight   = 19.0
	barHeight   = 13.0
	groupGap    = 10.0
	axisHeight  = 18.0
	// longestLabel is how wide a bar's name may be.
	longestLabel = 220.0
	tallPlot     = 480.0
)

// Bars draws groups of horizontal bars with their ranges: a group is a
// scenario, a bar a proxy. At most 500 bars are drawn.
type Bars struct {
	Title string
	// Unit of all values; it stands below the title.
	Unit   string
	Groups []Group
	// OwnScales gives each group a scale of its own, from 0 to its longest bar,
	// in place of a common axis: for groups whose values lie far apart.
	OwnScales bool
}

// Group is some bars that are compared with each other.
type Group struct {
	Name string
	Bars []Bar
}

// Bar is one value. One that is NaN, infinite or beyond 1e300 is shown as n/a.
type Bar struct {
	Name  string
	Value float64
	// Least and Most are drawn as a whisker if Most > Least and both are finite.
	Least, Most float64
	// Highlight sets the bar off by its colour.
	Highlight bool
}

// SVG is the plot as a document of its own, 800 pixels wide, or to be put into
// HTML as it is.
func (b *Bars) SVG() string {
	p := &barsPlot{Bars: b}
	p.bound()
	p.measure()
	c := newCanvas(barsWidth, p.height(), shorten(b.Title), p.describe())
	y := c.header(barsWidth, b.Title, b.Unit)
	if !b.OwnScales && len(p.groups) > 0 {
		y = p.drawAxis(c, y)
	}
	for i := range p.groups {
		y = p.drawGroup(c, y, &p.groups[i])
	}
	p.drawNote(c, y)
	return c.String()
}

// barsPlot is a plot on its way.
type barsPlot struct {
	*Bars
	groups  []Group // those that are drawn
	left    int     // the bars that aren't
	scale   *scale
	x0, x1  float64 // the room of the bars
	twoAxes bool    // one below too
}

func (p *barsPlot) bound() {
	room := mostBars
	for _, group := range p.Groups {
		fits := min(len(group.Bars), room)
		room, p.left = room-fits, p.left+len(group.Bars)-fits
		if fits > 0 {
			p.groups = append(p.groups, Group{group.Name, group.Bars[:fits]})
		}
	}
}

func (p *barsPlot) measure() {
	names, values := 0.0, 0.0
	for _, group := range p.groups {
		for i := range group.Bars {
			names = max(names, textWidth(group.Bars[i].Name, 12))
			values = max(values, textWidth(format(group.Bars[i].Value), 12))
		}
	}
	p.x0 = 2*margin + min(names, longestLabel) + 8
	p.x1 = barsWidth - margin - values - 8
	p.scale = p.scaleOf(p.groups)
	p.twoAxes = !p.OwnScales && p.rowsHeight() > tallPlot
}

// scaleOf spans the bars of groups and their whiskers, and 0.
func (p *barsPlot) scaleOf(groups []Group) *scale {
	values := []float64{}
	for _, group := range groups {
		for i := range group.Bars {
			bar := &group.Bars[i]
			values = append(values, bar.Value)
			if bar.ranged() {
				values = append(values, bar.Least, bar.Most)
			}
		}
	}
	s := newScale(values, false, true)
	s.from, s.to = p.x0, p.x1
	return s
}

func (bar *Bar) ranged() bool {
	return bar.Most > bar.Least && finite(bar.Value) && finite(bar.Least) && finite(bar.Most)
}

func (p *barsPlot) rowsHeight() float64 {
	height := 0.0
	for _, group := range p.groups {
		height += groupGap + float64(len(group.Bars))*rowHeight
		if group.Name != "" {
			height += groupHeight
		}
	}
	return height
}

func (p *barsPlot) height() float64 {
	height := (&canvas{}).header(barsWidth, p.Title, p.Unit) + p.rowsHeight() + margin
	if !p.OwnScales && len(p.groups) > 0 {
		height += axisHeight
	}
	if p.twoAxes {
		height += axisHeight
	}
	if p.note() != "" {
		height += rowHeight
	}
	return height
}

// drawAxis draws the common axis with lines through all groups, and returns
// where the groups begin.
func (p *barsPlot) drawAxis(c *canvas, y float64) float64 {
	top, bottom := y+axisHeight, y+axisHeight+p.rowsHeight()
	used := 0.0
	for _, tick := range p.scale.ticks(6) {
		x := p.scale.at(tick.At)
		c.line("grid", x, top, x, bottom)
		half := textWidth(tick.Label, 11) / 2
		if x-half < used {
			continue
		}
		used = x + half + 6
		c.text("k c", x, top-4, tick.Label)
		if p.twoAxes {
			c.text("k c", x, bottom+13, tick.Label)
		}
	}
	return top
}

func (p *barsPlot) drawGroup(c *canvas, y float64, group *Group) float64 {
	s := p.scale
	if p.OwnScales {
		s = p.scaleOf([]Group{*group})
	}
	y += groupGap
	if group.Name != "" {
		c.text("g", margin, y+15, clip(group.Name, barsWidth-2*margin, 12.5))
		y += groupHeight
	}
	zero := s.at(0)
	bottom := y + float64(len(group.Bars))*rowHeight
	for i := range group.Bars {
		drawBar(c, y, s, &group.Bars[i])
		y += rowHeight
	}
	c.line("axis", zero, bottom-float64(len(group.Bars))*rowHeight, zero, bottom)
	return bottom
}

func drawBar(c *canvas, y float64, s *scale, bar *Bar) {
	middle := y + rowHeight/2
	c.text("e", s.from-8, middle+4, clip(bar.Name, longestLabel, 12))
	if !finite(bar.Value) {
		c.text("m v", s.at(0)+6, middle+4, format(bar.Value))
		return
	}
	class := "bar"
	if bar.Highlight {
		class = "hot"
	}
	zero, end := s.at(0), s.at(bar.Value)
	c.rect(class, min(zero, end), middle-barHeight/2, max(zero, end)-min(zero, end), barHeight, bar.String())
	after := max(zero, end)
	if bar.ranged() {
		least, most := s.at(bar.Least), s.at(bar.Most)
		c.path("w", whisker(least, most, middle), "")
		after = max(after, most)
	}
	c.text("v", after+6, middle+4, format(bar.Value))
}

func whisker(least, most, y float64) string {
	upright := func(x float64) string {
		return "M" + pixels(x) + " " + pixels(y-3) + "V" + pixels(y+3)
	}
	return "M" + pixels(least) + " " + pixels(y) + "H" + pixels(most) + upright(least) + upright(most)
}

// String is a bar in words.
func (bar *Bar) String() string {
	s := shorten(bar.Name) + " " + format(bar.Value)
	if bar.ranged() {
		s += " (" + format(bar.Least) + " to " + format(bar.Most) + ")"
	}
	return s
}

func (p *barsPlot) describe() string {
	var out strings.Builder
	if p.Unit != "" {
		out.WriteString(shorten(p.Unit) + ". ")
	}
	for _, group := range p.groups {
		if group.Name != "" {
			out.WriteString(shorten(group.Name) + ": ")
		}
		for i := range group.Bars {
			if i > 0 {
				out.WriteString(", ")
			}
			out.WriteString(group.Bars[i].String())
		}
		out.WriteString(". ")
	}
	return strings.TrimSpace(out.String() + p.note())
}

func (p *barsPlot) note() string {
	switch {
	case len(p.groups) == 0:
		return "No values."
	case p.left > 0:
		return fmt.Sprintf("%d more are not shown.", p.left)
	}
	return ""
}

func (p *barsPlot) drawNote(c *canvas, y float64) {
	if p.twoAxes {
		y += axisHeight
	}
	c.text("m", margin, y+rowHeight-2, p.note())
}
