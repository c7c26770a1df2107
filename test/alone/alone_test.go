package alone_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/test/alone"
)

func TestHere(t *testing.T) {
	const parent = "KEYSTONE_TEST_PARENT"
	if !alone.Here(t, parent+"="+strconv.Itoa(os.Getpid())) {
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
	if output := alone.Run(t, "KEYSTONE_TEST_GIVEN=yes"); !strings.Contains(output, "in its own process") {
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
	alone.Here(t, "KEYSTONE_TEST_GIVEN=yes")
	t.Error("it goes on")
}

func TestHeap(t *testing.T) {
	if !alone.Here(t) {
		return
	}
	before := alone.Heap()
	kept := make([]byte, 1<<20)
	dropped := make([]byte, 8<<20)
	dropped[0] = 1
	dropped = nil
	if grown := alone.Heap() - before; grown < 1<<20 || grown > 1<<20+100_000 {
		t.Errorf("the heap has grown by %d bytes, 1 MiB is held", grown)
	}
	kept[len(dropped)] = 1
}
