package main

import "testing"

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
