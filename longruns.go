package main

import (
	"context"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// threadSlice is how long, in nanoseconds, a thread may keep others from a
// processor: the least that Linux takes. Its own choice of 1.4 to 3 ms is ten
// times what a request takes, and a collection or a long script would have all
// requests wait for so long.
const threadSlice = 100_000

// usualSlice leaves it to the system.
const usualSlice = 0

// slicesCalm is how long nothing has to run for long before all is as usual.
const slicesCalm = time.Second

// adaptToLongRuns has the system share out processors in small pieces while
// something of scripts runs for long, which busy tells, until ctx is done: slices
// of threads are short, and Go has a processor more than there are, so that a
// request whose thread is not let run, or finds all of Go's processors taken,
// doesn't wait for Go's own scheduler. Always so it would cost each request some
// per cent, of being interrupted by those it works with. Garbage is collected more
// rarely meanwhile: a collection takes all processors that are free.
func adaptToLongRuns(ctx context.Context, busy <-chan struct{}, garbage *collections) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-busy:
		}
		proxy.AcquireProcessor()
		setSlices(threadSlice)
		garbage.setBusy(true)
		awaitCalm(ctx, busy)
		proxy.ReleaseProcessor()
		setSlices(usualSlice)
		garbage.setBusy(false)
	}
}

// awaitCalm waits until nothing has run for long for a while.
func awaitCalm(ctx context.Context, busy <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(slicesCalm):
		}
		select {
		case <-busy:
		default:
			return
		}
	}
}
