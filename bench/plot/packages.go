package plot

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// packageOf is the import path in the name of a Go function; "" for other names.
func packageOf(name string) string {
	// Dots and slashes in type parameters and receivers aren't the path's.
	path := name
	if i := strings.IndexAny(path, "([ "); i >= 0 {
		path = path[:i]
	}
	slash := strings.LastIndexByte(path, '/') + 1
	dot := strings.IndexByte(path[slash:], '.')
	if dot <= 0 {
		return ""
	}
	return path[:slash+dot]
}

// lastOf is the last element of an import path.
func lastOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// frameLabel is as much of a function's name as fits: with its package if
// possible, or the function alone.
func frameLabel(name string, width float64) string {
	path := packageOf(name)
	if path == "" {
		return clipMono(name, width, frameFont)
	}
	function := name[len(path)+1:]
	if label := lastOf(path) + "." + function; clipMono(label, width, frameFont) == label {
		return label
	}
	return clipMono(function, width, frameFont)
}

// heaviest are the packages that get a colour.
func (f *flame) heaviest() []string {
	self := f.selfBy(func(at *frame) string { return packageOf(at.name) })
	delete(self, "")
	all := slices.DeleteFunc(heaviestOf(self), func(path string) bool { return self[path] < leastShare*f.root.weight })
	return all[:min(len(all), namedPackages)]
}

// selfBy sums what frames spent by themselves.
func (f *flame) selfBy(key func(*frame) string) map[string]float64 {
	sums := map[string]float64{}
	var visit func(*frame)
	visit = func(at *frame) {
		if at.self > 0 {
			sums[key(at)] += at.self
		}
		for _, callee := range at.sorted() {
			visit(callee)
		}
	}
	visit(f.root)
	return sums
}

func heaviestOf(sums map[string]float64) []string {
	return slices.SortedFunc(maps.Keys(sums), func(a, b string) int {
		return cmp.Or(cmp.Compare(sums[b], sums[a]), cmp.Compare(a, b))
	})
}

// placeLegend sets the packages with their shares into rows from y on, and
// returns where these end.
func (f *flame) placeLegend(y float64) float64 {
	self := f.selfBy(func(at *frame) string { return packageOf(at.name) })
	x, rest := margin, 1.0
	place := func(label string) {
		label = clip(label, longestLabel, 12)
		width := 16 + textWidth(label, 12)
		if x > margin && x+width > flameWidth-margin {
			x, y = margin, y+legendRow
		}
		f.legend = append(f.legend, entry{x, y + 15, label})
		x += width + 14
	}
	for _, path := range f.packages {
		share := self[path] / f.root.weight
		rest -= share
		place(fmt.Sprintf("%s %s", lastOf(path), percent(share)))
	}
	if len(f.packages) == 0 {
		return y
	}
	if rest >= 0.0005 {
		place("others " + percent(rest))
	}
	return y + legendRow
}

func (f *flame) drawLegend(c *canvas) {
	for i, e := range f.legend {
		class := "fo" // the others come last
		if i < len(f.packages) {
			class = fmt.Sprintf("f%d", i)
		}
		c.rect(class, e.x, e.y-10, 11, 11, "")
		c.text("", e.x+16, e.y, e.name)
	}
}
