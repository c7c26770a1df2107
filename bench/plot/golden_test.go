package plot_test

import (
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/bench/plot"
)

var update = flag.Bool("update", false, "write testdata anew")

// TestGolden compares the plots byte by byte: look at what an update changes.
func TestGolden(t *testing.T) {
	t.Parallel()
	plots := map[string]string{
		"bars":           manyBars(false),
		"bars_own":       manyBars(true),
		"bars_few":       fewBars(),
		"bars_odd":       oddBars(),
		"bars_empty":     (&plot.Bars{Title: "Nothing", Unit: "ms"}).SVG(),
		"lines_latency":  latency(),
		"lines_memory":   memory(),
		"lines_odd":      oddLines(),
		"lines_many":     manyLines(),
		"lines_empty":    (&plot.Lines{}).SVG(),
		"flame":          plot.Flame("CPU of the gateway", "s", profile()),
		"flame_odd":      plot.Flame(hostile, hostile, oddStacks()),
		"flame_empty":    plot.Flame("Nothing", "samples", nil),
		"flame_not_a_go": plot.Flame("", "", []plot.Stack{{Frames: []string{"main", "read a file"}, Weight: 1}, {Frames: []string{"main", "sort"}, Weight: 2}}),
	}
	for name, got := range plots {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join("testdata", name+".svg")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
					t.Fatalf("cannot write %s: %v", path, err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("cannot read %s: %v; write it with -update", path, err)
			}
			if got != string(want) {
				t.Errorf("%s differs from what is drawn now; look at it after -update", path)
			}
		})
	}
}

// hostile tries to leave its place in XML and HTML, and turns the text around.
const hostile = `]]></title></desc></style><script>alert("1")</script>&amp;<!-- ` + "\x00\x1b\u202e\ufffe\xff\r\n"

var proxies = []string{
	"keystone-gateway", "keystone-gateway (no log)", "nginx", "nginx, ngx.var and header_filter_by_lua", "haproxy",
	"envoy", "traefik", "caddy", "a proxy whose name is far too long to be shown in a plot of this width",
}

func manyBars(own bool) string {
	b := &plot.Bars{Title: "CPU per request", Unit: "µs, median of 5 rounds and their range; less is better", OwnScales: own}
	for i, scenario := range []string{"plain", "tls", "keep-alive off", "upload 1 MiB", "download 1 MiB", "websocket", "middleware", "A scenario with a name that goes on for so long that nobody would want to read it to its end, which is out of sight"} {
		group := plot.Group{Name: scenario}
		for j, proxy := range proxies {
			value := 11.3 * math.Pow(1.6, float64(i)) * (1 + float64(j*j%7)/3)
			group.Bars = append(group.Bars, plot.Bar{Name: proxy, Value: value, Least: value * 0.93, Most: value * (1 + float64(j)/50), Highlight: j == 0})
		}
		b.Groups = append(b.Groups, group)
	}
	return b.SVG()
}

func fewBars() string {
	return (&plot.Bars{Title: "Requests a second", Unit: "requests/s; more is better", Groups: []plot.Group{{Name: "route", Bars: []plot.Bar{
		{Name: "keystone", Value: 123456, Least: 120100, Most: 130200, Highlight: true},
		{Name: "nginx", Value: 98765, Least: 91000, Most: 99999},
	}}}}).SVG()
}

func oddBars() string {
	return (&plot.Bars{Title: hostile, Unit: hostile, Groups: []plot.Group{
		{Name: hostile, Bars: []plot.Bar{
			{Name: hostile, Value: math.NaN()},
			{Name: "infinite", Value: math.Inf(1), Least: 1, Most: 2},
			{Name: "negative", Value: -3, Least: -4, Most: -2},
			{Name: "", Value: 5, Least: math.Inf(-1), Most: math.NaN()},
			{Name: "range the wrong way", Value: 2, Least: 3, Most: 1},
			{Name: "日本語の名前 🚀🚀", Value: 0},
		}},
		{Name: "empty"},
		{Bars: []plot.Bar{{Name: "of no group", Value: 1e-9}}},
	}}).SVG()
}

func latency() string {
	l := &plot.Lines{
		Title: "Latency of middleware at 5,000 requests/s", XLabel: "percentile", YLabel: "latency, ms",
		LogX: true, LogY: true, XTicks: plot.PercentileTicks(),
	}
	for i, proxy := range []string{"keystone-gateway", "nginx", "haproxy", "a proxy with a long name"} {
		series := plot.Series{Name: proxy}
		for nines := 0.0; nines <= 5; nines += 0.05 {
			y := (0.2 + 0.05*float64(i)) * math.Exp(nines*(0.4+0.2*float64(i)))
			series.Points = append(series.Points, plot.Point{X: math.Pow(10, nines), Y: y})
		}
		l.Series = append(l.Series, series)
	}
	return l.SVG()
}

func memory() string {
	l := &plot.Lines{Title: "Memory by connections", XLabel: "connections", YLabel: "RSS, MiB"}
	for i, proxy := range []string{"keystone-gateway", "nginx"} {
		series := plot.Series{Name: proxy}
		for n := 0.0; n <= 10000; n += 1000 {
			series.Points = append(series.Points, plot.Point{X: n, Y: 14 + float64(2+i)*n/200})
		}
		l.Series = append(l.Series, series)
	}
	return l.SVG()
}

func oddLines() string {
	nan, inf := math.NaN(), math.Inf(1)
	return (&plot.Lines{
		Title: hostile, XLabel: hostile, YLabel: hostile,
		XTicks: []plot.Tick{{At: nan, Label: "nan"}, {At: 1, Label: hostile}, {At: 1.01, Label: "on the one before"}, {At: 4, Label: "4"}, {At: 99, Label: "outside"}},
		Series: []plot.Series{
			{Name: hostile, Points: []plot.Point{{5, 2}, {1, 1}, {2, 3}, {3, nan}, {4, 2}, {inf, 1}, {nan, 1}}},
			{Name: "one point", Points: []plot.Point{{2, 2}}},
			{Name: "none"},
			{Points: []plot.Point{{1, inf}, {2, -inf}}},
		},
	}).SVG()
}

func manyLines() string {
	l := &plot.Lines{Title: "Many series", XLabel: "s", YLabel: "requests/s"}
	for i := range 30 {
		series := plot.Series{Name: proxies[i%len(proxies)]}
		for x := range 40 {
			series.Points = append(series.Points, plot.Point{X: float64(x), Y: 1000*float64(i+1) + float64(x*7919%(97+i))})
		}
		l.Series = append(l.Series, series)
	}
	return l.SVG()
}

const modulePath = "github.com/keystone-gateway/keystone-gateway/"

func profile() []plot.Stack {
	serve := []string{"github.com/valyala/fasthttp.(*workerPool).workerFunc", modulePath + "proxy.(*Server).handle"}
	forward := append(serve[:2:2], modulePath+"proxy.(*exchange).forward", modulePath+"upstream.(*Call).Do")
	under := func(stack []string, weight float64, frames ...string) plot.Stack {
		return plot.Stack{Frames: append(stack[:len(stack):len(stack)], frames...), Weight: weight}
	}
	return []plot.Stack{
		under(serve, 0.4),
		under(serve, 1.9, modulePath+"proxy/http1.(*Request).Parse"),
		under(serve, 0.7, modulePath+"tenants.(*Table).Match"),
		under(serve, 0.3, modulePath+"route.Canonical[go.shape.string]"),
		under(forward, 3.2, modulePath+"proxy/socket.SendReceive", "syscall.write"),
		under(forward, 2.4, modulePath+"proxy/socket.SendReceive", "syscall.read"),
		under(forward, 0.9, "runtime.alloc"),
		under(serve, 2.2, modulePath+"proxy.(*exchange).respond", "syscall.write"),
		under(nil, 1.5, "runtime.scheduler", "syscall.futex"),
		under(nil, 1.1, "runtime.scheduler", "syscall.epoll_pwait"),
		under(nil, 0.8, "runtime.gc"),
		under(nil, 0.001, "too.narrow"),
	}
}

func oddStacks() []plot.Stack {
	deep := make([]string, 1000)
	for i := range deep {
		deep[i] = hostile
	}
	return []plot.Stack{
		{Frames: deep[:20], Weight: 2}, {Frames: []string{"日本語の関数", hostile}, Weight: 1}, {Weight: 0.5},
		{Frames: []string{"nan"}, Weight: math.NaN()}, {Frames: []string{"inf"}, Weight: math.Inf(1)}, {Frames: []string{"less"}, Weight: -1},
	}
}
