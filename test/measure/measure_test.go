package measure_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

func TestAlone(t *testing.T) {
	const parent = "KEYSTONE_TEST_PARENT"
	if !measure.Alone(t, parent+"="+strconv.Itoa(os.Getpid())) {
		return
	}
	if own := strconv.Itoa(os.Getpid()); os.Getenv(parent) == own || os.Getenv(parent) == "" {
		t.Errorf("its process %s was started by %q", own, os.Getenv(parent))
	}
}

func TestRun(t *testing.T) {
	if os.Getenv("KEYSTONE_TEST_GIVEN") != "" {
		t.Log("in its own process")
		return
	}
	if output := measure.Run(t, "KEYSTONE_TEST_GIVEN=yes"); !strings.Contains(output, "in its own process") {
		t.Error(output)
	}
}

// TestSkips is skipped, not passed, because it is skipped in its own process.
func TestSkips(t *testing.T) {
	if os.Getenv("KEYSTONE_TEST_GIVEN") != "" {
		t.Skip("skipped there")
	}
	t.Cleanup(func() {
		if !t.Skipped() {
			t.Error("it isn't skipped")
		}
	})
	measure.Alone(t, "KEYSTONE_TEST_GIVEN=yes")
	t.Error("it goes on")
}

func TestHeap(t *testing.T) {
	if !measure.Alone(t) {
		return
	}
	before := measure.Heap()
	kept := make([]byte, 1<<20)
	dropped := make([]byte, 8<<20)
	dropped[0] = 1
	dropped = nil
	if grown := measure.Heap() - before; grown < 1<<20 || grown > 1<<20+100_000 {
		t.Errorf("the heap has grown by %d bytes, 1 MiB is held", grown)
	}
	kept[len(dropped)] = 1
}

// TestAllocations demands that what one of many runs allocates is found.
func TestAllocations(t *testing.T) {
	if n := measure.Allocations(100, func() {}); n != 0 {
		t.Errorf("nothing allocates %d times", n)
	}
	if measure.Race {
		t.Skip("nothing is counted under the race detector")
	}
	runs := 0
	var kept []*int
	n := measure.Allocations(100, func() {
		if runs++; runs%100 == 0 {
			kept = append(kept[:0], new(int))
		}
	})
	if n == 0 {
		t.Errorf("one allocation in 100 runs isn't found; %d are kept", len(kept))
	}
}
