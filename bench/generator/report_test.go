package generator_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/generator"
	"github.com/keystone-gateway/keystone-gateway/bench/load"
)

// sample is a result with something of everything, and hostile texts.
func sample(t *testing.T) *generator.Result {
	t.Helper()
	o := options(t, "http://127.0.0.1:8080/a", "https://shop.example/")
	o.Rate, o.Duration, o.Connections = 1000, 2*time.Second, 64
	o.Targets[0].Method, o.Targets[0].Host = "GET", "127.0.0.1:8080"
	o.Targets[1].Method, o.Targets[1].Host = "POST", "other'&example"
	r := &generator.Result{
		Options: &o, Started: time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC), Elapsed: 2 * time.Second,
		Latency: new(load.Histogram), Service: new(load.Histogram),
		Statuses: map[int]int64{200: 1900, 503: 50}, Answered: 1950, Received: 1 << 20, Sent: 1 << 10,
		Failures: []generator.Failure{
			{Kind: generator.Timeout, Count: 10, First: "no whole response in time"},
			{Kind: generator.Malformed, Count: 20, First: `<script>alert("x")</script>&</code>`},
		},
		Opened: 84, Unsent: 20, LateBusy: 100, LateOwn: 50, Processor: 400 * time.Hour,
		Intervals: []generator.Interval{
			{Length: time.Second, Answered: 900, Failed: 30, P50: time.Millisecond, P99: 2 * time.Millisecond, Max: time.Second},
			{Begin: time.Second, Length: time.Second, Answered: 1050},
		},
	}
	for i := range 1950 {
		r.Latency.Add(time.Duration(i) * time.Millisecond)
		r.Service.Add(time.Duration(i) * time.Microsecond)
	}
	return r
}

func TestText(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := sample(t).Report("1.2.3").WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"GET http://127.0.0.1:8080/a and 1 other target",
		"1,000 requests/s, at most 64 connections",
		"requests     1,980\n", "rate         975/s\n", "received     1.00 MiB, 512 KiB/s\n", "connections  84 opened\n",
		"2xx          1,900        200: 1,900\n", "5xx          50           503: 50\n",
		"timeout      10           no whole response in time\n",
		"latency          974ms    981ms    1.76s    1.95s    1.95s    1.95s\n",
		"service time     974µs    975µs   1.77ms   1.93ms   1.95ms   1.95ms\n",
		"warning: the generator used 100 %", "warning: the generator sent 50 requests (2.5 %)",
		"warning: all 64 connections were busy when 100 requests", "warning: 20 requests were due and never sent",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report has no %q:\n%s", want, b.String())
		}
	}
}

// TestJSON demands the fields that docs/load.md promises, by their sums.
func TestJSON(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := sample(t).Report("1.2.3").WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"generator": "keystone-gateway 1.2.3", "started": "2026-01-31T08:00:00Z", "elapsed_seconds": 2.0,
		"requests": 1980.0, "requests_per_second": 975.0, "received_bytes": 1048576.0, "failed_requests": 30.0,
		"error_requests": 80.0, "late_busy_requests": 100.0, "late_generator_requests": 50.0, "unsent_requests": 20.0,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}

// TestHTML demands well-formed pages that escape what others sent, load nothing
// and run nothing.
func TestHTML(t *testing.T) {
	t.Parallel()
	empty := &generator.Result{Options: sample(t).Options, Latency: new(load.Histogram), Service: new(load.Histogram)}
	for name, result := range map[string]*generator.Result{"sample": sample(t), "empty": empty} {
		var b bytes.Buffer
		if err := result.Report("1.2.3").WriteHTML(&b); err != nil {
			t.Fatal(err)
		}
		page := b.String()
		for _, bad := range []string{"<script", "src=", "href=", "url(", "@import", "NaN", "other'&example"} {
			if strings.Contains(page, bad) {
				t.Errorf("%s: the page has %q", name, bad)
			}
		}
		wellFormed(t, name, page)
	}
}

func wellFormed(t *testing.T, name, page string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict, d.AutoClose = false, xml.HTMLAutoClose
	d.Entity = xml.HTMLEntity
	var open []string
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			if e.Name.Local != "meta" && e.Name.Local != "br" {
				open = append(open, e.Name.Local)
			}
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1] != e.Name.Local {
				t.Fatalf("%s: </%s> within %v", name, e.Name.Local, open)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Errorf("%s: %v aren't closed", name, open)
	}
}

func TestConsole(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	c := generator.Console{Out: &b}
	for second := range 13 {
		c.Show(generator.Progress{Phase: generator.Counting, Elapsed: time.Duration(second) * time.Second, Total: 12 * time.Second, Rate: 1234.5, P99: 2 * time.Millisecond, Failed: 3})
	}
	c.End()
	if want := "5.0s/12s  1,235/s  p99 2.00ms  failed 3\n10.0s/12s  1,235/s  p99 2.00ms  failed 3\n"; b.String() != want {
		t.Errorf("without a terminal it wrote %q, want %q", b.String(), want)
	}
	b.Reset()
	c = generator.Console{Out: &b, Terminal: true}
	c.Show(generator.Progress{Phase: generator.Counting, Elapsed: time.Second, Total: 2 * time.Second})
	c.End()
	if want := "\r\x1b[K[============            ] 1.0s/2s  0.0/s  p99 0\r\x1b[K"; b.String() != want {
		t.Errorf("on a terminal it wrote %q, want %q", b.String(), want)
	}
}
