//go:build linux

package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// clientLoop is a closed loop of clients that are goroutines of this process.
type clientLoop struct {
	clients          int
	warmup, duration time.Duration
}

// run has each client send until its context is done, and say what was answered. The
// first error ends them all. CPU time is that of the tree of a process.
func (l *clientLoop) run(ctx context.Context, pid int, client func(ctx context.Context, number int, answered func(int)) error) (*measuring, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var answered atomic.Int64
	var wait sync.WaitGroup
	for number := range l.clients {
		wait.Go(func() {
			if err := client(ctx, number, func(n int) { answered.Add(int64(n)) }); err != nil && ctx.Err() == nil {
				stop(err)
			}
		})
	}
	processes := tree(pid)
	pause(ctx, l.warmup)
	began, first, before := time.Now(), answered.Load(), cpuOf(processes)
	pause(ctx, l.duration)
	m := &measuring{answered: float64(answered.Load() - first), elapsed: time.Since(began), used: cpuOf(processes).since(before)}
	failed := context.Cause(ctx)
	stop(nil)
	wait.Wait()
	if failed == nil && m.answered == 0 {
		failed = errors.New("nothing was answered")
	}
	return m, failed
}
