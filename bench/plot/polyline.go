package plot

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// spot is a point in pixels, and what it stands for.
type spot struct {
	X, Y float64
	x, y string
}

func (s *spot) tooltip(name string) string {
	if name != "" {
		name += ": "
	}
	return name + s.y + " at " + s.x
}

// visible are the points that have a place on both axes, in the order of X.
func (p *linesPlot) visible(series *Series) []Point {
	return slices.DeleteFunc(p.ordered(series), func(point Point) bool { return !p.y.shows(point.Y) })
}

// ordered are the points that have a place on the X axis, in its order.
func (p *linesPlot) ordered(series *Series) []Point {
	points := slices.DeleteFunc(slices.Clone(series.Points), func(point Point) bool { return !p.x.shows(point.X) })
	slices.SortStableFunc(points, func(a, b Point) int { return cmp.Compare(a.X, b.X) })
	return points
}

// runs are the parts of a line between its gaps.
func (p *linesPlot) runs(series *Series) (runs [][]spot) {
	var run []spot
	end := func() {
		if len(run) > 0 {
			runs = append(runs, thin(run))
		}
		run = nil
	}
	few := len(series.Points) <= fewPoints
	for _, point := range p.ordered(series) {
		if !p.y.shows(point.Y) {
			end()
			continue
		}
		at := spot{X: p.x.at(point.X), Y: p.y.at(point.Y)}
		if few {
			at.x, at.y = p.xName(point.X), format(point.Y)
		}
		run = append(run, at)
	}
	end()
	return runs
}

// thin keeps of each column of pixels the first, lowest, highest and last spot:
// the line looks the same, and a million points fit into a page.
func thin(run []spot) []spot {
	if len(run) <= fewPoints {
		return run
	}
	var kept []spot
	for first := 0; first < len(run); {
		column, last := math.Floor(run[first].X), first
		low, high := first, first
		for ; last < len(run) && math.Floor(run[last].X) == column; last++ {
			if run[last].Y < run[low].Y {
				low = last
			}
			if run[last].Y > run[high].Y {
				high = last
			}
		}
		places := []int{first, low, high, last - 1}
		slices.Sort(places)
		for _, i := range slices.Compact(places) {
			kept = append(kept, run[i])
		}
		first = last
	}
	return kept
}

func polyline(run []spot) string {
	var d strings.Builder
	for i := range run {
		command := "L"
		if i == 0 {
			command = "M"
		}
		d.WriteString(command + pixels(run[i].X) + " " + pixels(run[i].Y))
	}
	return d.String()
}
