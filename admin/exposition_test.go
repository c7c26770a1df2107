package admin

import (
	"math"
	"testing"
	"time"
)

// TestExposition: what is written is what Prometheus reads: every label is escaped,
// buckets are cumulated, and numbers are whole.
func TestExposition(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{
		0: "0", 1: "1", -2.5: "-2.5", 0.1: "0.1", 1e-6: "0.000001", 9.5e-7: "9.5e-07", -9.5e-7: "-9.5e-07",
		999999999999999: "999999999999999", 1e15: "1e+15", -1e15: "-1e+15", math.Inf(1): "+Inf", math.Inf(-1): "-Inf",
	} {
		if got := string(appendNumber(nil, v)); got != want {
			t.Errorf("%v is written as %s, want %s", v, got, want)
		}
	}
	if got := string(appendNumber(nil, math.NaN())); got != "NaN" {
		t.Errorf("NaN is written as %s", got)
	}
	var e exposition
	e.family("a", counter, "Help.")
	e.uint(1)
	e.uint(2, label("x", "a\"b\\c\nd"), "", label("y", ""))
	e.int(-3, "", label("z", "1"))
	e.float(0.5)
	e.bool(true)
	e.bool(false, label("z", "1"))
	e.family("b", histogram, "More.")
	e.buckets([]uint64{1, 0, 2}, []string{label("le", "1"), label("le", "2"), label("le", "+Inf")}, 4.5, label("t", "x"))
	want := "# HELP a Help.\n# TYPE a counter\na 1\na{x=\"a\\\"b\\\\c\\nd\",y=\"\"} 2\na{z=\"1\"} -3\na 0.5\na 1\na{z=\"1\"} 0\n" +
		"# HELP b More.\n# TYPE b histogram\nb_bucket{t=\"x\",le=\"1\"} 1\nb_bucket{t=\"x\",le=\"2\"} 1\nb_bucket{t=\"x\",le=\"+Inf\"} 3\nb_sum{t=\"x\"} 4.5\nb_count{t=\"x\"} 3\n"
	if got := string(e.buf); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestWholeMillis: seconds, to the millisecond.
func TestWholeMillis(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]float64{0: 0, time.Millisecond - 1: 0, time.Millisecond: 0.001, 1500*time.Millisecond + 1: 1.5} {
		if got := wholeMillis(d); got != want {
			t.Errorf("%s is %v s, want %v", d, got, want)
		}
	}
}
