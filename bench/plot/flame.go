package plot

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// The measures of a flame graph.
const (
	flameWidth = 1000.0
	frameRow   = 18.0
	frameFont  = 12.0
	// leastShare is how narrow a frame may be: about a pixel.
	leastShare = 0.001
	// mostFrames of a stack are drawn; what lies deeper counts for the last.
	mostFrames = 128
	// namedPackages have a colour each, the last colour is that of all others.
	namedPackages = 10
)

// Stack is a call stack, root first, and what was spent in its last frame.
type Stack struct {
	Frames []string
	// Weight in the unit of the graph; stacks of 0 or less, NaN or more than
	// 1e300 in sum are left out.
	Weight float64
}

// Flame draws a flame graph of stacks: the root at the bottom, callees above
// their callers in the order of their names, as wide as their share. Frames of
// less than 0.1 % are left out. Colours are those of packages, as far as names
// look like Go's, the ten that spent most by themselves. It is 1000 pixels
// wide; unit is the weights', for the texts. Names are cut at 200 bytes.
func Flame(title, unit string, stacks []Stack) string {
	f := &flame{unit: shorten(unit), root: newFrame("all")}
	for i := range stacks {
		f.add(&stacks[i])
	}
	f.packages = f.heaviest()
	f.depth = f.depthOf(f.root)
	head := (&canvas{}).header(flameWidth, title, f.below())
	legend := f.placeLegend(head)
	bottom := legend + 10 + float64(f.depth)*frameRow
	c := newCanvas(flameWidth, bottom+margin, shorten(title), f.describe())
	c.header(flameWidth, title, f.below())
	f.drawLegend(c)
	if f.root.weight > 0 {
		f.draw(c, f.root, margin, bottom)
	}
	return c.String()
}

type flame struct {
	unit     string
	root     *frame
	left     int // stacks that were left out
	stacks   int
	depth    int
	packages []string // by their colours
	legend   []entry
}

// frame is a function as called by the frames below it.
type frame struct {
	name   string
	weight float64
	self   float64
	calls  map[string]*frame
}

func newFrame(name string) *frame { return &frame{name: name, calls: map[string]*frame{}} }

func (f *flame) add(stack *Stack) {
	if !(stack.Weight > 0) || !finite(f.root.weight+stack.Weight) {
		f.left++
		return
	}
	f.stacks++
	at := f.root
	at.weight += stack.Weight
	for _, name := range stack.Frames[:min(len(stack.Frames), mostFrames-1)] {
		name = shorten(name)
		next := at.calls[name]
		if next == nil {
			next = newFrame(name)
			at.calls[name] = next
		}
		at = next
		at.weight += stack.Weight
	}
	at.self += stack.Weight
}

// sorted are the callees in an order that doesn't depend on that of the stacks.
func (at *frame) sorted() []*frame {
	callees := make([]*frame, 0, len(at.calls))
	for _, callee := range at.calls {
		callees = append(callees, callee)
	}
	slices.SortFunc(callees, func(a, b *frame) int { return cmp.Compare(a.name, b.name) })
	return callees
}

func (f *flame) drawn(at *frame) bool { return at.weight >= leastShare*f.root.weight }

func (f *flame) depthOf(at *frame) int {
	deepest := 0
	for _, callee := range at.calls {
		if f.drawn(callee) {
			deepest = max(deepest, f.depthOf(callee))
		}
	}
	return deepest + 1
}

// draw draws a frame that ends at bottom, and what it called above it.
func (f *flame) draw(c *canvas, at *frame, x, bottom float64) {
	width := at.weight / f.root.weight * (flameWidth - 2*margin)
	// Half a pixel is left free between neighbours.
	c.rect(f.class(at), x, bottom-frameRow+1, max(width-0.5, 0.5), frameRow-1, f.tooltip(at))
	c.text("f", x+3, bottom-5, frameLabel(at.name, width-5))
	for _, callee := range at.sorted() {
		if f.drawn(callee) {
			f.draw(c, callee, x, bottom-frameRow)
		}
		x += callee.weight / f.root.weight * (flameWidth - 2*margin)
	}
}

func (f *flame) class(at *frame) string {
	if i := slices.Index(f.packages, packageOf(at.name)); i >= 0 && at != f.root {
		return fmt.Sprintf("f%d", i)
	}
	return "fo"
}

func (f *flame) tooltip(at *frame) string {
	s := at.name + ": " + f.amount(at.weight)
	if at.self > 0 && at.self < at.weight {
		s += ", itself " + f.amount(at.self)
	}
	return s
}

// amount is a weight in words.
func (f *flame) amount(weight float64) string {
	return strings.TrimSpace(format(weight)+" "+f.unit) + " (" + percent(weight/f.root.weight) + ")"
}

func (f *flame) below() string {
	if f.root.weight == 0 {
		return "No values."
	}
	return strings.TrimSpace("all: "+format(f.root.weight)+" "+f.unit) + "; frames of less than 0.1 % are left out"
}

func (f *flame) describe() string {
	if f.root.weight == 0 {
		return "No values."
	}
	self := f.selfBy(func(at *frame) string { return at.name })
	var out strings.Builder
	fmt.Fprintf(&out, "A flame graph of %d stacks, %s in all. Most was spent in", f.stacks, strings.TrimSpace(format(f.root.weight)+" "+f.unit))
	for i, name := range heaviestOf(self)[:min(len(self), 10)] {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(" " + name + " " + percent(self[name]/f.root.weight))
	}
	out.WriteByte('.')
	if f.left > 0 {
		fmt.Fprintf(&out, " %d stacks without a weight are left out.", f.left)
	}
	return out.String()
}
