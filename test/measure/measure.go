// Package measure is for tests that measure the process they run in: its heap,
// its stacks, its processor time, what it allocates. What other tests hold, leave
// to the collector or still do is in these figures too, and lays out the heap
// otherwise each time: Alone gives a test a process of its own. It is for tests
// only.
package measure

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// variable tells a process which test it was started for.
const variable = "KEYSTONE_TEST_ALONE"

// Alone reports whether the test runs in a process of its own. Where it doesn't,
// Alone runs it in one, with what vars ("NAME=value") add to the environment,
// and the test has succeeded, failed or been skipped as it has there:
//
//	if !measure.Alone(t) {
//		return
//	}
//
// It must be called by a test, not by a part of one.
func Alone(t *testing.T, vars ...string) bool {
	t.Helper()
	if os.Getenv(variable) == t.Name() {
		return true
	}
	output := Run(t, vars...)
	if strings.Contains(output, "\n--- SKIP: ") {
		t.Skip(output)
	}
	if testing.Verbose() {
		t.Log(output)
	}
	return false
}

// Run runs the test in a process of its own, in which Alone reports true, and
// returns what it has printed. The test fails if it fails there.
func Run(t *testing.T, vars ...string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if deadline, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-time.Second))
		defer cancel()
	}
	arguments := []string{"-test.run=^" + t.Name() + "$", "-test.v"}
	if counters := flag.Lookup("test.gocoverdir").Value.String(); counters != "" {
		arguments = append(arguments, "-test.gocoverdir="+counters)
	}
	child := exec.CommandContext(ctx, self, arguments...) // #nosec G204 -- this very test
	child.Env = append(append(os.Environ(), variable+"="+t.Name()), vars...)
	output, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v, alone:\n%s", err, output)
	}
	if !strings.Contains(string(output), "=== RUN   "+t.Name()+"\n") {
		t.Fatalf("no test of this name has run alone:\n%s", output)
	}
	return string(output)
}

// Heap is what Go's heap holds, in bytes, without what nobody holds any more:
// what a pool or a finalizer keeps goes with the second or third collection.
func Heap() int64 {
	for range 3 {
		runtime.GC()
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc) // #nosec G115 -- less than there is of memory
}

// Allocations is how often run allocates in so many runs, at best: it tries up
// to a hundred times, and what the background does now and then isn't in each
// try, but what runs do, be it only some of them, is. testing.AllocsPerRun
// would round down what not every run does. Under the race detector, where pools
// forget at random, it runs and counts nothing.
func Allocations(runs int, run func()) (least uint64) {
	for range 2 * runs {
		run()
	}
	if Race {
		return 0
	}
	var before, after runtime.MemStats
	for try := range 100 {
		runtime.ReadMemStats(&before)
		for range runs {
			run()
		}
		runtime.ReadMemStats(&after)
		if n := after.Mallocs - before.Mallocs; try == 0 || n < least {
			least = n
		}
		if least == 0 {
			break
		}
	}
	return least
}
