package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

// TestPercentFor demands that small heaps are collected rarely, and large ones
// as Go does.
func TestPercentFor(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		live uint64
		want int
	}{{0, 800}, {4 << 20, 800}, {8 << 20, 400}, {16 << 20, 200}, {32 << 20, 100}, {64 << 20, 100}, {1 << 40, 100}} {
		if got := percentFor(test.live); got != test.want {
			t.Errorf("percentFor(%d) = %d, want %d", test.live, got, test.want)
		}
	}
}

// TestHeadroom demands that GOGC follows the heap: that of a large one is as
// Go has it. The finalizer that does it runs some time after a collection.
func TestHeadroom(t *testing.T) {
	if !measure.Alone(t) {
		return
	}
	before := debug.SetGCPercent(usualPercent)
	defer debug.SetGCPercent(before)
	keepHeadroom(&headroom{percent: usualPercent})
	percent := func() uint64 {
		sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	collect := func(want func(uint64) bool) bool {
		for range 1000 {
			runtime.GC()
			runtime.Gosched()
			if want(percent()) {
				return true
			}
		}
		return false
	}
	if !collect(func(p uint64) bool { return p > usualPercent }) {
		t.Errorf("GOGC is %d with a small heap, want more than %d", percent(), usualPercent)
	}
	large := make([]byte, 128<<20)
	if !collect(func(p uint64) bool { return p == usualPercent }) {
		t.Errorf("GOGC is %d with 128 MiB alive, want %d", percent(), usualPercent)
	}
	runtime.KeepAlive(large)
}
