package plot_test

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/bench/plot"
)

// TestTextsDoNotOverlap looks at the fullest plots, and that texts stay inside.
func TestTextsDoNotOverlap(t *testing.T) {
	t.Parallel()
	for name, svg := range map[string]string{
		"bars": manyBars(false), "bars with own scales": manyBars(true), "latency": latency(), "memory": memory(),
		"many lines": manyLines(), "flame": plot.Flame("CPU", "s", profile()), "close ticks": closeTicks(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := parse(t, svg)
			for i := range d.texts {
				a := &d.texts[i]
				from, to := a.ends()
				if from < 0 || to > d.width || a.y < 10 || a.y > d.height {
					t.Errorf("%q at %v,%v leaves the plot of %vx%v", a.text, a.x, a.y, d.width, d.height)
				}
				for j := range i {
					b := &d.texts[j]
					left, right := b.ends()
					if math.Abs(a.y-b.y) < 10 && from < right && left < to {
						t.Errorf("%q at %v,%v and %q at %v,%v overlap", a.text, a.x, a.y, b.text, b.x, b.y)
					}
				}
			}
		})
	}
}

func closeTicks() string {
	l := &plot.Lines{Series: []plot.Series{{Points: []plot.Point{{0, 1}, {100, 2}}}}}
	for i := range 100 {
		l.XTicks = append(l.XTicks, plot.Tick{At: float64(i), Label: fmt.Sprint("tick ", i)})
	}
	return l.SVG()
}

// TestNamesStayText demands that hostile names change nothing but texts.
func TestNamesStayText(t *testing.T) {
	t.Parallel()
	for name, svg := range map[string]string{
		"bars": oddBars(), "lines": oddLines(), "flame": plot.Flame(hostile, hostile, oddStacks()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := parse(t, svg)
			const want = `]]></title></desc></style><script>alert("1")</script>&amp;<!-- `
			if !strings.HasPrefix(d.title, want) {
				t.Errorf("the title is %q, want %q at its start", d.title, want)
			}
			for _, bad := range []string{"<script", "<!--", "]]>", "\u202e", "\x00", "\x1b"} {
				if strings.Contains(svg, bad) {
					t.Errorf("the document has %q, expected it escaped or replaced", bad)
				}
			}
		})
	}
}

// TestReadableByAll is about screen readers, dark pages and documents around.
func TestReadableByAll(t *testing.T) {
	t.Parallel()
	d := parse(t, fewBars())
	if d.attributes["role"] != "img" || d.title != "Requests a second" {
		t.Errorf("role is %q and title %q, want img and the plot's", d.attributes["role"], d.title)
	}
	if want := "requests/s; more is better. route: keystone 123k (120k to 130k), nginx 98.8k (91k to 100k)."; d.desc != want {
		t.Errorf("desc is %q, want %q", d.desc, want)
	}
	d = parse(t, memory())
	if want := "keystone-gateway: from 14 at 0 to 114 at 10k, least 14, most 114."; !strings.Contains(d.desc, want) {
		t.Errorf("desc is %q, want %q in it", d.desc, want)
	}
	d = parse(t, plot.Flame("CPU", "s", profile()))
	if want := "syscall.write 35.1 %, syscall.read 15.6 %"; !strings.Contains(d.desc, want) {
		t.Errorf("desc is %q, want %q in it", d.desc, want)
	}
	if svg := fewBars(); !strings.Contains(svg, "prefers-color-scheme:dark") || strings.Contains(svg, " id=") {
		t.Error("want colours for dark pages, and no ids, which would collide in one HTML page")
	}
}

// TestSizesAreBounded draws far more than can be seen.
func TestSizesAreBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("<", 1<<16)
	bars := &plot.Bars{Title: long, Unit: long}
	lines := &plot.Lines{Title: long, XLabel: long, YLabel: long}
	var stacks []plot.Stack
	for i := range 2000 {
		bars.Groups = append(bars.Groups, plot.Group{Name: long, Bars: []plot.Bar{{Name: long, Value: 1}}})
		stacks = append(stacks, plot.Stack{Frames: slices.Repeat([]string{strconv.Itoa(i)}, 300), Weight: 1})
	}
	points := make([]plot.Point, 20000)
	for i := range points {
		points[i] = plot.Point{X: float64(i), Y: float64(i * 7919 % 1000)}
	}
	for range 30 {
		lines.Series = append(lines.Series, plot.Series{Name: long, Points: points})
	}
	stacks = append(stacks, plot.Stack{Frames: slices.Repeat([]string{long}, 1000), Weight: 1e5})
	for name, svg := range map[string]string{"bars": bars.SVG(), "lines": lines.SVG(), "flame": plot.Flame(long, long, stacks)} {
		if len(svg) > 2<<20 {
			t.Errorf("%s are %d bytes, want at most 2 MiB", name, len(svg))
		}
		parse(t, svg)
	}
}

// TestThinnedLinesKeepExtremes looks for a single high point among many.
func TestThinnedLinesKeepExtremes(t *testing.T) {
	t.Parallel()
	points := make([]plot.Point, 100000)
	for i := range points {
		points[i] = plot.Point{X: float64(i), Y: 1}
	}
	points[54321].Y = 10
	svg := (&plot.Lines{Series: []plot.Series{{Points: points}}}).SVG()
	heights := map[string]bool{}
	line := regexp.MustCompile(`class="l s0" d="(M[^"]*L[^"]*L[^"]*)"`).FindStringSubmatch(svg)
	if line == nil {
		t.Fatalf("no line in %.3000s", svg)
	}
	for place := range strings.FieldsFuncSeq(line[1], func(r rune) bool { return r == 'M' || r == 'L' }) {
		_, y, _ := strings.Cut(place, " ")
		heights[y] = true
	}
	if len(heights) != 2 {
		t.Errorf("the line has the heights %v, want two: one for all points but one", heights)
	}
	if len(svg) > 100000 {
		t.Errorf("the plot has %d bytes, want it thinned to 100,000", len(svg))
	}
}

// TestFlameDoesNotDependOnOrder shuffles the stacks.
func TestFlameDoesNotDependOnOrder(t *testing.T) {
	t.Parallel()
	stacks := profile()
	want := plot.Flame("CPU", "s", stacks)
	slices.Reverse(stacks)
	if plot.Flame("CPU", "s", stacks) != want {
		t.Error("the graph changes with the order of the stacks")
	}
}

// TestFlameNames checks what of a function's name is shown, and its colour's package.
func TestFlameNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		modulePath + "proxy.(*Server).handle":              "proxy.(*Server).handle",
		"encoding/json.Marshal[go.shape.struct { A/b.c }]": "json.Marshal[go.shape.struct { A/b.c }]",
		"gopkg.in/yaml.v3.Unmarshal":                       "yaml.v3.Unmarshal",
		"main.main.func1":                                  "main.main.func1",
		"a sentence. With a full stop":                     "a sentence. With a full stop",
		"/leading":                                         "/leading",
		".dot":                                             ".dot",
		"runtime.scheduler":                                "runtime.scheduler",
		"github.com/a/b.(*T[github.com/c/d.E]).Method-fm":  "b.(*T[github.com/c/d.E]).Method-fm",
		"github.com/keystone-gateway/keystone-gateway/proxy.glob..func1": "proxy.glob..func1",
	} {
		d := parse(t, plot.Flame("", "", []plot.Stack{{Frames: []string{name}, Weight: 1}}))
		if !slices.ContainsFunc(d.texts, func(s text) bool { return s.text == want && s.class == "f" }) {
			t.Errorf("%q is shown as %v, want %q", name, d.texts, want)
		}
	}
}
