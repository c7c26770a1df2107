package main

import (
	"context"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// threadSlice is how long, in nanoseconds, a thread may keep others from a
// processor: the least that Linux takes. Its own choice of 1.4 to 3 ms is ten
// times what a request takes, and a collection or a long script would have all
// requests wait for so long.
const threadSlice = 100_000

// usualSlice leaves it to the system.
const usualSlice = 0

// slicesCalm is how long nothing has to run for long before slices are as usual.
const slicesCalm = time.Second

// adaptSlices has the threads' slices short while something of scripts runs for
// long, which busy tells, until ctx is done. Always short they would cost each
// request some per cent, of being interrupted by those it works with.
func adaptSlices(ctx context.Context, busy <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-busy:
		}
		setSlices(threadSlice)
		for calm := false; !calm; {
			select {
			case <-ctx.Done():
				return
			case <-time.After(slicesCalm):
			}
			select {
			case <-busy:
			default:
				calm = true
			}
		}
		setSlices(usualSlice)
	}
}

// setSlices asks Linux (6.12 or later) for slices of so many nanoseconds for all
// threads. New ones inherit them from those that make them. Where that is refused
// the gateway works as well, with more latency beside busy scripts.
func setSlices(nanoseconds uint64) {
	done := map[int]bool{}
	for more := true; more; { // until no thread has been made meanwhile
		more = false
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return
		}
		for _, e := range entries {
			id, err := strconv.Atoi(e.Name())
			if err != nil || done[id] {
				continue
			}
			done[id], more = true, true
			attributes, err := unix.SchedGetAttr(id, 0)
			if err != nil || attributes.Policy != unix.SCHED_NORMAL {
				continue // another policy is somebody's choice
			}
			attributes.Runtime = nanoseconds
			_ = unix.SchedSetAttr(id, attributes, 0) // a thread that has ended needs none
		}
	}
}
