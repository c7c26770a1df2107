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
		live, least uint64
		want        int
	}{
		{0, leastHeadroom, 800}, {4 << 20, leastHeadroom, 800}, {8 << 20, leastHeadroom, 400}, {16 << 20, leastHeadroom, 200},
		{32 << 20, leastHeadroom, 100}, {64 << 20, leastHeadroom, 100}, {1 << 40, leastHeadroom, 100},
		{0, mostHeadroom, 3200}, {64 << 20, mostHeadroom, 200}, {512 << 20, mostHeadroom, 100},
	} {
		if got := percentFor(test.live, test.least); got != test.want {
			t.Errorf("percentFor(%d, %d) = %d, want %d", test.live, test.least, got, test.want)
		}
	}
}

// TestBusyHeadroom: a quarter of the memory, within bounds, also where nobody
// knows how much there is.
func TestBusyHeadroom(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int64]uint64{0: 32 << 20, 64 << 20: 32 << 20, 256 << 20: 64 << 20, 1 << 40: 128 << 20} {
		if got := busyHeadroom(limit); got != want {
			t.Errorf("busyHeadroom(%d) = %d, want %d", limit, got, want)
		}
	}
}

// TestHeadroom demands that GOGC follows the heap: that of a large one is as
// Go has it, but while scripts run for long. The finalizer that does it runs some time after a collection.
func TestHeadroom(t *testing.T) {
	if !measure.Alone(t) {
		return
	}
	before := debug.SetGCPercent(usualPercent)
	defer debug.SetGCPercent(before)
	garbage := &collections{}
	garbage.begin(mostHeadroom)
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
	large := make([]byte, 64<<20)
	if !collect(func(p uint64) bool { return p == usualPercent }) {
		t.Errorf("GOGC is %d with 64 MiB alive, want %d", percent(), usualPercent)
	}
	garbage.setBusy(true)
	if p := percent(); p <= usualPercent || p > 200 {
		t.Errorf("GOGC is %d with 64 MiB alive and scripts that run for long, want at most 200, and more than %d", p, usualPercent)
	}
	garbage.setBusy(false)
	if p := percent(); p != usualPercent {
		t.Errorf("GOGC is %d once nothing runs for long, want %d", p, usualPercent)
	}
	runtime.KeepAlive(large)
}
