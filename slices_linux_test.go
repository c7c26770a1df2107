package main

import (
	"os"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// TestShortSlices demands that all threads have short slices, those that are
// made later too.
func TestShortSlices(t *testing.T) { //nolint:paralleltest // all threads of the process
	if attributes, err := unix.SchedGetAttr(0, 0); err != nil || attributes.Policy != unix.SCHED_NORMAL || attributes.Runtime == 0 {
		t.Skip("this system doesn't say how long slices are")
	}
	shortenSlices()
	id := make(chan int)
	go func() {
		runtime.LockOSThread() // never unlocked: another thread is made
		id <- unix.Gettid()
		id <- 0
	}()
	defer func() { <-id }()
	<-id
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		thread, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		attributes, err := unix.SchedGetAttr(thread, 0)
		if err != nil {
			continue // it has ended
		}
		if attributes.Runtime != threadSlice {
			t.Errorf("thread %d has slices of %d ns, want %d", thread, attributes.Runtime, threadSlice)
		}
	}
}
