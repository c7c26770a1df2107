package upstream_test

import (
	"slices"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// TestJudge: who is worse than the others.
func TestJudge(t *testing.T) {
	t.Parallel()
	const ms = 1e6
	for name, c := range map[string]struct {
		rate     upstream.Percent
		requests []uint64
		success  []float64
		took     []float64
		want     []int
	}{
		"all alike":          {0, []uint64{100, 100, 100, 100}, []float64{1, 1, .99, 1}, []float64{ms, ms, 2 * ms, ms}, nil},
		"one fails":          {0, []uint64{100, 100, 100, 100, 100, 100}, []float64{1, 1, 1, .5, 1, 1}, []float64{ms, ms, ms, ms, ms, ms}, []int{3}},
		"one is slow":        {0, []uint64{100, 100, 100}, []float64{1, 1, 1}, []float64{ms, 5 * ms, ms}, []int{1}},
		"two are slow":       {0, []uint64{100, 100, 100, 100, 100}, []float64{1, 1, 1, 1, 1}, []float64{ms, 10 * ms, ms, 10 * ms, ms}, []int{1, 3}},
		"slow, but seldom":   {0, []uint64{100, 49, 100, 100}, []float64{1, 1, 1, 1}, []float64{ms, 9 * ms, ms, ms}, nil},
		"too few targets":    {0, []uint64{100, 100}, []float64{1, .2}, []float64{ms, 9 * ms}, nil},
		"beyond the rate":    {50, []uint64{20, 19}, []float64{.5, 0}, []float64{ms, ms}, []int{0}},
		"none within it":     {50, []uint64{20, 20}, []float64{.51, 1}, []float64{ms, ms}, nil},
		"nothing to compare": {50, nil, nil, nil, nil},
	} {
		if got := upstream.Judge(c.rate, c.requests, c.success, c.took); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
