package admin_test

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	g := start(t, fmt.Sprintf(`tenants:
  - name: up
    domains: [up.example.com]
    services: [{name: 'we"ird\', url: %q}]
  - name: down
    path_prefix: /down
    services: [{name: dead, url: %q}]
  - name: idle
    path_prefix: /idle
    services: [{name: idle, url: %q}]
`, target(t), closedTarget(t), target(t)))
	for range 3 {
		g.send("GET", g.public+"/", "Host: up.example.com")
	}
	g.send("GET", g.public+"/down")
	g.send("GET", g.public+"/nobody")
	g.settle()
	g.write("tenants: []")
	g.ask("POST", "/reload").json(t, 422)

	a := g.ask("GET", "//metrics")
	if got := a.header.Get("Content-Type"); a.status != 200 || got != "text/plain; version=0.0.4; charset=utf-8" {
		t.Fatalf("got %d %s", a.status, got)
	}
	s := parse(t, a.text)
	for series, want := range map[string]float64{
		`keystone_requests_total{tenant="up",class="2xx"}`:                           3,
		`keystone_requests_total{tenant="down",class="5xx"}`:                         1,
		`keystone_requests_total{tenant="",class="4xx"}`:                             1,
		`keystone_requests_total{tenant="idle",class="2xx"}`:                         0,
		`keystone_request_duration_seconds_count{tenant="up"}`:                       3,
		`keystone_request_duration_seconds_bucket{tenant="up",le="+Inf"}`:            3,
		`keystone_request_duration_seconds_bucket{tenant="idle",le="0.005"}`:         0,
		`keystone_upstream_duration_seconds_count{tenant="up"}`:                      3,
		`keystone_request_bytes_total{tenant="up"}`:                                  0,
		`keystone_response_bytes_total{tenant="up"}`:                                 15,
		`keystone_retries_total{tenant="up"}`:                                        0,
		`keystone_target_up{tenant="up",target="we\"ird\\"}`:                         1,
		`keystone_target_up{tenant="down",target="dead"}`:                            0,
		`keystone_target_requests_total{tenant="up",target="we\"ird\\"}`:             3,
		`keystone_target_failures_total{tenant="down",target="dead"}`:                1,
		`keystone_target_retries_total{tenant="down",target="dead"}`:                 0,
		`keystone_target_requests_in_flight{tenant="idle",target="idle"}`:            0,
		`keystone_target_transitions_total{tenant="down",target="dead"}`:             1,
		`keystone_requests_in_flight`:                                                0,
		`keystone_tunnels`:                                                           0,
		`keystone_connections_accepted_total`:                                        5,
		`keystone_connections_refused_total`:                                         0,
		`keystone_panics_total`:                                                      0,
		`keystone_access_log_dropped_total`:                                          0,
		`keystone_reloads_total{result="success"}`:                                   0,
		`keystone_reloads_total{result="failure"}`:                                   1,
		`keystone_last_reload_successful`:                                            0,
		`keystone_config_generation`:                                                 1,
		`keystone_tenants`:                                                           3,
		`keystone_build_info{version="1.2.3",goversion="` + runtime.Version() + `"}`: 1,
	} {
		if got, ok := s[series]; !ok || got != want {
			t.Errorf("%s is %v (there: %v), want %v", series, got, ok, want)
		}
	}
	positive := []string{
		"process_start_time_seconds", "process_cpu_seconds_total", "go_goroutines", "go_memstats_heap_alloc_bytes", "go_memstats_sys_bytes",
		"go_memstats_alloc_bytes_total", "keystone_last_reload_timestamp_seconds", `keystone_request_duration_seconds_sum{tenant="up"}`,
	}
	if runtime.GOOS == "linux" {
		positive = append(positive, "process_open_fds", "process_resident_memory_bytes")
	}
	for _, series := range positive {
		if s[series] <= 0 {
			t.Errorf("%s is %v, want more", series, s[series])
		}
	}
	again := g.ask("GET", "/metrics").text
	if a, b := names(a.text), names(again); !slices.Equal(a, b) {
		t.Errorf("the order changes from scrape to scrape:\n%v\n%v", a, b)
	}
}

// names returns everything but the values.
func names(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		list = append(list, line[:strings.LastIndexByte(line, ' ')])
	}
	return list
}

var (
	helpLine   = regexp.MustCompile(`^# HELP ([a-z][a-z0-9_]*) [^\\]+$`)
	typeLine   = regexp.MustCompile(`^# TYPE ([a-z][a-z0-9_]*) (counter|gauge|histogram)$`)
	sampleLine = regexp.MustCompile(`^([a-z][a-z0-9_]*)(\{[a-z]+="(?:[^"\\]|\\["\\n])*"(?:,[a-z]+="(?:[^"\\]|\\["\\n])*")*\})? ([0-9.eE+-]+|NaN|[+-]Inf)$`)
)

// parse reads an exposition strictly: each family once and in one piece, HELP
// and TYPE first, no series twice, histograms cumulative and complete.
func parse(t *testing.T, text string) map[string]float64 {
	t.Helper()
	series, seen := map[string]float64{}, map[string]bool{}
	family, kind, last := "", "", 0.0
	for line := range strings.Lines(text) {
		line, whole := strings.CutSuffix(line, "\n")
		if !whole {
			t.Fatalf("the last line %q doesn't end", line)
		}
		if m := helpLine.FindStringSubmatch(line); m != nil {
			if seen[m[1]] {
				t.Fatalf("%q: the family is there twice", line)
			}
			family, kind, seen[m[1]] = m[1], "", true
			continue
		}
		if m := typeLine.FindStringSubmatch(line); m != nil {
			if m[1] != family || kind != "" {
				t.Fatalf("%q doesn't follow the HELP of its family", line)
			}
			kind = m[2]
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("%q is no line of the format", line)
		}
		value, err := strconv.ParseFloat(m[3], 64)
		if _, twice := series[m[1]+m[2]]; err != nil || twice || math.IsNaN(value) || kind == "counter" && value < 0 {
			t.Fatalf("%q is wrong: error %v, twice %v", line, err, twice)
		}
		series[m[1]+m[2]] = value
		if strings.HasSuffix(family, "_total") != (kind == "counter") {
			t.Errorf("%s is a %s, want the suffix _total on counters only", family, kind)
		}
		if kind != "histogram" {
			if m[1] != family {
				t.Fatalf("%q is outside its family", line)
			}
			continue
		}
		switch suffix := strings.TrimPrefix(m[1], family); {
		case suffix == "_bucket" && strings.Contains(m[2], `le="0.0005"`):
			last = value
		case suffix == "_bucket":
			if value < last {
				t.Fatalf("%q is less than the bucket before it, %v", line, last)
			}
			last = value
		case suffix == "_count":
			if value != last {
				t.Fatalf("%q, but the bucket +Inf has %v", line, last)
			}
		case suffix != "_sum":
			t.Fatalf("%q is outside its family", line)
		}
	}
	return series
}

func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/admin.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(start(t, twoTenants(t)).ask("GET", "/metrics").text) {
		m := typeLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m != nil && !strings.HasPrefix(m[1], "go_memstats_") && !strings.Contains(string(page), "`"+m[1]+"`") {
			t.Errorf("docs/admin.md doesn't name %s", m[1])
		}
	}
}
