package main

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestShortSlices demands that Go has a processor more and all threads have short
// slices while something runs for long, those that are made later too, and that
// all is as usual before and after.
func TestShortSlices(t *testing.T) { //nolint:paralleltest // all threads of the process
	usual, err := unix.SchedGetAttr(0, 0)
	if err != nil || usual.Policy != unix.SCHED_NORMAL || usual.Runtime == 0 {
		t.Skip("this system doesn't say how long slices are")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	busy := make(chan struct{}, 1)
	busy <- struct{}{}
	processors := runtime.GOMAXPROCS(0)
	go adaptToLongRuns(ctx, busy, &collections{})
	await(t, threadSlice)
	if n := runtime.GOMAXPROCS(0); n != processors+1 {
		t.Errorf("Go has %d processors, expected one more than %d", n, processors)
	}
	made := make(chan struct{})
	go func() {
		runtime.LockOSThread() // never unlocked: another thread is made
		made <- struct{}{}
		<-ctx.Done()
	}()
	<-made
	await(t, threadSlice)
	await(t, usual.Runtime) // slicesCalm later
	if n := runtime.GOMAXPROCS(0); n != processors {
		t.Errorf("Go has %d processors, had %d", n, processors)
	}
}

// await waits until all threads have slices of so many nanoseconds.
func await(t *testing.T, want uint64) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		wrong := 0
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			thread, err := strconv.Atoi(e.Name())
			if err != nil {
				t.Fatal(err)
			}
			if attributes, err := unix.SchedGetAttr(thread, 0); err == nil && attributes.Runtime != want {
				wrong++
			}
		}
		if wrong == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d threads have other slices than %d ns", wrong, want)
		}
	}
}
