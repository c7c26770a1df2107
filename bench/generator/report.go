package generator

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/load"
)

// Report is a result as it is shown and written as JSON; docs/load.md has its
// fields for users. Names of figures end with their unit.
type Report struct {
	Generator string    `json:"generator"` // the program with its version
	Started   time.Time `json:"started"`
	Settings  Settings  `json:"settings"`

	ElapsedSeconds float64 `json:"elapsed_seconds"`
	Interrupted    bool    `json:"interrupted"`

	Requests          int64   `json:"requests"`
	RequestsPerSecond float64 `json:"requests_per_second"`
	ReceivedBytes     int64   `json:"received_bytes"`
	ReceivedPerSecond float64 `json:"received_bytes_per_second"`
	SentBytes         int64   `json:"sent_bytes"`
	SentPerSecond     float64 `json:"sent_bytes_per_second"`
	ConnectionsOpened int64   `json:"connections_opened"`

	Statuses      map[string]int64 `json:"statuses"`
	StatusClasses map[string]int64 `json:"status_classes"`
	Failed        int64            `json:"failed_requests"`
	Failures      []ReportFailure  `json:"failures"`
	Errors        int64            `json:"error_requests"`

	Latency     Latencies    `json:"latency"`
	ServiceTime *Latencies   `json:"service_time"`
	Percentiles []Percentile `json:"percentiles"`
	Intervals   []Second     `json:"intervals"`

	LateBusy int64 `json:"late_busy_requests"`
	LateOwn  int64 `json:"late_generator_requests"`
	Unsent   int64 `json:"unsent_requests"`
	Cut      int64 `json:"cut_requests"`

	ProcessorSeconds float64  `json:"generator_cpu_seconds"`
	ProcessorShare   float64  `json:"generator_cpu_share"`
	Warnings         []string `json:"warnings"`
}

// Settings are what was asked for.
type Settings struct {
	Mode            string   `json:"mode"` // closed_loop or constant_rate
	Targets         int      `json:"targets"`
	FirstTargets    []string `json:"first_targets"` // method, URL and, where it is another one, host
	Connections     int      `json:"connections"`
	RatePerSecond   float64  `json:"rate_per_second"`
	DurationSeconds float64  `json:"duration_seconds"`
	WarmupSeconds   float64  `json:"warmup_seconds"`
	TimeoutSeconds  float64  `json:"timeout_seconds"`
	KeepAlive       bool     `json:"keepalive"`
	BodyBytes       int      `json:"body_bytes"`
}

// ReportFailure is a Failure.
type ReportFailure struct {
	Kind  string `json:"kind"`
	Count int64  `json:"count"`
	First string `json:"first"`
}

// Latencies of all whole responses.
type Latencies struct {
	Mean float64 `json:"mean_ms"`
	P50  float64 `json:"p50_ms"`
	P90  float64 `json:"p90_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p99_9_ms"`
	Max  float64 `json:"max_ms"`
}

// Percentile is a point of the curve.
type Percentile struct {
	Percentile float64 `json:"percentile"`
	Latency    float64 `json:"latency_ms"`
	Service    float64 `json:"service_time_ms"`
}

// Second is an Interval.
type Second struct {
	Begin     float64 `json:"begin_seconds"`
	Length    float64 `json:"length_seconds"`
	PerSecond float64 `json:"requests_per_second"`
	Failed    int64   `json:"failed_requests"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Max       float64 `json:"max_ms"`
}

// maxShownTargets bounds the targets that a report lists.
const maxShownTargets = 5

// Report makes the report of a result; version is the program's.
func (r *Result) Report(version string) *Report {
	report := &Report{
		Generator: "keystone-gateway " + version, Started: r.Started.UTC().Truncate(time.Millisecond), Settings: settingsOf(r.Options),
		ElapsedSeconds: r.Elapsed.Seconds(), Interrupted: r.Interrupted,
		Requests: r.Requests(), RequestsPerSecond: r.PerSecond(),
		ReceivedBytes: r.Received, ReceivedPerSecond: perSecond(r.Received, r.Elapsed),
		SentBytes: r.Sent, SentPerSecond: perSecond(r.Sent, r.Elapsed),
		ConnectionsOpened: r.Opened,
		Statuses:          map[string]int64{}, StatusClasses: map[string]int64{},
		Failed: r.Failed(), Failures: []ReportFailure{}, Errors: r.Errors(),
		Latency: latenciesOf(r.Latency), Percentiles: percentilesOf(r), Intervals: secondsOf(r),
		LateBusy: r.LateBusy, LateOwn: r.LateOwn, Unsent: r.Unsent, Cut: r.Cut,
		ProcessorSeconds: r.Processor.Seconds(), ProcessorShare: r.processorShare(), Warnings: r.warnings(),
	}
	for status, n := range r.Statuses {
		report.Statuses[strconv.Itoa(status)] = n
		report.StatusClasses[strconv.Itoa(status/100)+"xx"] += n
	}
	for _, f := range r.Failures {
		report.Failures = append(report.Failures, ReportFailure{f.Kind.String(), f.Count, f.First})
	}
	if r.Options.Rate > 0 {
		service := latenciesOf(r.Service)
		report.ServiceTime = &service
	}
	return report
}

func settingsOf(o *Options) Settings {
	s := Settings{
		Mode: "closed_loop", Targets: len(o.Targets), Connections: o.Connections, RatePerSecond: o.Rate,
		DurationSeconds: o.Duration.Seconds(), WarmupSeconds: o.Warmup.Seconds(), TimeoutSeconds: o.Timeout.Seconds(),
		KeepAlive: !o.Close, BodyBytes: len(o.Body),
	}
	if o.Rate > 0 {
		s.Mode = "constant_rate"
	}
	for i := range min(len(o.Targets), maxShownTargets) {
		t := &o.Targets[i]
		text := t.Method + " " + t.URL.String()
		if t.Host != t.URL.Host {
			text += " host=" + t.Host
		}
		s.FirstTargets = append(s.FirstTargets, text)
	}
	return s
}

func latenciesOf(h *load.Histogram) Latencies {
	return Latencies{
		Mean: inMilliseconds(h.Mean()), P50: inMilliseconds(h.Quantile(0.5)), P90: inMilliseconds(h.Quantile(0.9)),
		P99: inMilliseconds(h.Quantile(0.99)), P999: inMilliseconds(h.Quantile(0.999)), Max: inMilliseconds(h.Max()),
	}
}

// percentilesOf has as many percentiles as there are requests to tell them
// apart, up to 99.999.
func percentilesOf(r *Result) []Percentile {
	points := []Percentile{}
	for _, p := range []float64{0, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 92.5, 95, 96, 97, 97.5, 98, 98.5, 99, 99.25, 99.5, 99.75, 99.9, 99.925, 99.95, 99.975, 99.99, 99.995, 99.999} {
		if n := float64(r.Latency.Count()); n == 0 || n*(100-p) < 100 {
			break
		}
		points = append(points, Percentile{p, inMilliseconds(r.Latency.Quantile(p / 100)), inMilliseconds(r.Service.Quantile(p / 100))})
	}
	return points
}

func secondsOf(r *Result) []Second {
	seconds := []Second{}
	for _, i := range r.Intervals {
		seconds = append(seconds, Second{
			Begin: i.Begin.Seconds(), Length: i.Length.Seconds(), PerSecond: perSecond(i.Answered, i.Length), Failed: i.Failed,
			P50: inMilliseconds(i.P50), P99: inMilliseconds(i.P99), Max: inMilliseconds(i.Max),
		})
	}
	return seconds
}

func inMilliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// processorShare is how much of the processors the generator used, from 0 to 1.
func (r *Result) processorShare() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return min(1, r.Processor.Seconds()/r.Elapsed.Seconds()/float64(runtime.GOMAXPROCS(0)))
}

// From which share on the generator is said to be at its limits: of the
// processors, and of the requests.
const (
	busyShare = 0.9
	lateShare = 0.01
)

// warnings say what keeps the figures from meaning what they seem to.
func (r *Result) warnings() []string {
	list := []string{}
	warn := func(format string, values ...any) { list = append(list, fmt.Sprintf(format, values...)) }
	requests := r.Requests()
	share := func(n int64) float64 { return float64(n) / float64(max(requests, 1)) }
	if r.Interrupted {
		warn("the run was interrupted after %s of %s; %d requests in flight were cut", short(r.Elapsed), short(r.Options.Duration), r.Cut)
	}
	if s := r.processorShare(); s >= busyShare {
		warn("the generator used %.0f %% of its %d processors: it may be the bottleneck, not the server; run it on another machine, or ask for less", s*100, runtime.GOMAXPROCS(0))
	}
	if share(r.LateOwn) >= lateShare {
		warn("the generator sent %d requests (%s) more than %s late although connections were free: it is at its limit, or the machine is busy; latency includes that, service time doesn't", r.LateOwn, percent(share(r.LateOwn)), short(lateAfter))
	}
	if share(r.LateBusy) >= lateShare {
		warn("all %d connections were busy when %d requests (%s) were due: the server can't keep up with the rate, or -c is too small", r.Options.Connections, r.LateBusy, percent(share(r.LateBusy)))
	}
	if r.Unsent > 0 {
		warn("%d requests were due and never sent, since no connection came free: latencies are those of the others, and would be worse with them", r.Unsent)
	}
	return slices.Clip(list)
}

// WriteJSON writes the report as indented JSON.
func (r *Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(r); err != nil {
		return fmt.Errorf("cannot write the report as JSON: %w", err)
	}
	return nil
}
