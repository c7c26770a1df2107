// Package alone runs tests that measure the process they run in, its heap, its
// stacks, its processor time, in a process of their own: what other tests hold,
// leave to the collector or still do would be measured with it, and would lay
// out the heap otherwise each time. It is for tests only.
package alone

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// variable tells a process which test it was started for.
const variable = "KEYSTONE_TEST_ALONE"

// Here reports whether the test runs in a process of its own. Where it doesn't,
// Here runs it in one, with what vars ("NAME=value") add to the environment,
// and the test has succeeded, failed or been skipped as it has there:
//
//	if !alone.Here(t) {
//		return
//	}
//
// It must be called by a test, not by a part of one.
func Here(t *testing.T, vars ...string) bool {
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

// Run runs the test in a process of its own, in which Here reports true, and
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
	child := exec.CommandContext(ctx, self, "-test.run=^"+t.Name()+"$", "-test.v") // #nosec G204 -- this very test
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
	return int64(stats.HeapAlloc)
}
