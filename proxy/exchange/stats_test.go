package exchange_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
)

// TestStatsCount: what is counted of exchanges that have ended.
func TestStatsCount(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		record            exchange.Record
		class             int
		code              string
		retries           uint64
		duration, headers int
	}{
		"good":              {exchange.Record{Status: 200, Attempts: 1, Elapsed: 1, HeaderTime: 1}, 2, "", 0, 1, 1},
		"no target":         {exchange.Record{Status: 404, Code: "no_tenant"}, 4, "no_tenant", 0, 1, 0},
		"three tries":       {exchange.Record{Status: 502, Code: "upstream_closed", Attempts: 3}, 5, "upstream_closed", 2, 1, 0},
		"an odd status":     {exchange.Record{Status: 999}, 5, "", 0, 1, 0},
		"none":              {exchange.Record{}, 0, "", 0, 1, 0},
		"a tunnel":          {exchange.Record{Status: 101, Tunnelled: true, Elapsed: time.Hour, HeaderTime: 1}, 1, "", 0, 0, 1},
		"skipped":           {exchange.Record{Status: 200, Skipped: errors.New("x")}, 2, exchange.CodeSkipped, 0, 1, 0},
		"skipped, and more": {exchange.Record{Status: 503, Code: "no_healthy_target", Skipped: errors.New("x")}, 5, "no_healthy_target", 0, 1, 0},
	} {
		c.record.BytesIn, c.record.BytesOut = 3, 5
		var s exchange.Stats
		for range 2 {
			s.Count(&c.record)
		}
		for class := range s.Classes {
			want := uint64(0)
			if class == c.class {
				want = 2
			}
			if got := s.Classes[class].Load(); got != want {
				t.Errorf("%s: %d responses of class %d, want %d", name, got, class, want)
			}
		}
		errs := map[string]uint64{}
		s.Errors(func(code string, n uint64) { errs[code] = n })
		if len(errs) > 1 || c.code != "" && errs[c.code] != 2 || c.code == "" && len(errs) > 0 {
			t.Errorf("%s: got the errors %v, want 2 of %q", name, errs, c.code)
		}
		if s.BytesIn.Load() != 6 || s.BytesOut.Load() != 10 || s.Retries.Load() != 2*c.retries {
			t.Errorf("%s: %d bytes in, %d out, %d retries", name, s.BytesIn.Load(), s.BytesOut.Load(), s.Retries.Load())
		}
		for what, h := range map[string]*exchange.Histogram{"durations": &s.Duration, "header times": &s.Upstream} {
			want := 2 * c.duration
			if what == "header times" {
				want = 2 * c.headers
			}
			buckets, _ := h.Read()
			sum := 0
			for _, n := range buckets {
				sum += int(n)
			}
			if sum != want {
				t.Errorf("%s: %d %s, want %d", name, sum, what, want)
			}
		}
	}
}

// TestHistogram: a bucket holds what is as long as its bound, and no longer.
func TestHistogram(t *testing.T) {
	t.Parallel()
	for i, bound := range exchange.HistogramBounds {
		exact := time.Duration(bound * float64(time.Second))
		for elapsed, want := range map[time.Duration]int{exact: i, exact + 1: i + 1} {
			var s exchange.Stats
			s.Count(&exchange.Record{Elapsed: elapsed})
			buckets, sum := s.Duration.Read()
			if buckets[want] != 1 || sum != elapsed.Seconds() {
				t.Errorf("%s: %v and a sum of %v s, want bucket %d", elapsed, buckets, sum, want)
			}
		}
	}
}

// TestCountersOfPolicies: a policy has one counter for as long as its tenant lives.
func TestCountersOfPolicies(t *testing.T) {
	t.Parallel()
	var s exchange.Stats
	a := s.PolicyCounter("a")
	if a == nil || s.PolicyCounter("b") == a || s.PolicyCounter("a") != a {
		t.Error("counters are mixed up")
	}
}

// TestFaultsAreListed: each fault has a status and words, and stands in the list
// once.
func TestFaultsAreListed(t *testing.T) {
	t.Parallel()
	seen := map[*exchange.Fault]bool{}
	for _, f := range exchange.Faults() {
		if seen[f] || f.Status < 400 || f.Status > 599 || f.Code == "" || f.Error() == "" {
			t.Errorf("%s", fmt.Sprint(*f))
		}
		seen[f] = true
	}
	if len(seen) < 35 {
		t.Errorf("only %d faults are listed", len(seen))
	}
}
