package lua

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// loading is one run of a tenant's scripts that makes a VM, within
// lua.load_timeout.
type loading struct {
	ctx     context.Context
	options *Options
	script  atomic.Pointer[string] // the one that is being loaded
}

// noticing is how long what is over its time may take to end by itself: it
// knows best where it was.
const noticing = 500 * time.Millisecond

// load builds something on a goroutine of its own, and gives it up when
// lua.load_timeout is used up: it goes on until it notices, which what hangs in
// a system call doesn't, and its result is discarded. Nothing that another load
// needs is held meanwhile. The error is of the type BrokenScripts.
func load[T any](o *Options, build func(*loading) (T, error), discard func(T)) (made T, err error) {
	limit := o.Config.loadTimeout()
	if !o.Cache.begin(o.Tenant) {
		return made, BrokenScripts{{Err: fmt.Errorf("%d loads of the tenant's scripts have been given up and have not ended: no other is begun", maxRunning)}}
	}
	over := fmt.Errorf("lua.load_timeout %v is used up", limit)
	ctx, cancel := context.WithTimeoutCause(context.Background(), limit, over)
	l := &loading{ctx: ctx, options: o}
	type result struct {
		made T
		err  error
	}
	results, givenUp := make(chan result), make(chan struct{})
	go func() {
		defer o.Cache.end(o.Tenant)
		defer cancel()
		var r result
		r.made, r.err = guarded(l, build)
		select {
		case results <- r:
		case <-givenUp:
			if r.err == nil {
				discard(r.made)
			}
		}
	}()
	select {
	case r := <-results:
		return r.made, r.err
	case <-ctx.Done():
	}
	patience := time.NewTimer(noticing)
	defer patience.Stop()
	select {
	case r := <-results:
		return r.made, r.err
	case <-patience.C:
		close(givenUp)
		return made, BrokenScripts{l.broken(fmt.Errorf("%w, and loading has not ended: it is given up", over))}
	}
}

// guarded turns a panic into an error: one tenant's scripts must not end the
// process.
func guarded[T any](l *loading, build func(*loading) (T, error)) (made T, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			l.options.Log.Error().Str("panic", fmt.Sprint(cause)).Bytes("stack", debug.Stack()).Msg("BUG: loading scripts has panicked")
			err = BrokenScripts{l.broken(fmt.Errorf("BUG: loading has panicked: %v", cause))}
		}
	}()
	return build(l)
}

// broken is about the script that was being loaded.
func (l *loading) broken(err error) *Broken {
	b := &Broken{Err: err}
	if name := l.script.Load(); name != nil {
		b.Script, b.Err = *name, fmt.Errorf("%s: %w", *name, err)
	}
	return b
}

// Watch makes a loading the owner of its run: what waits keeps nobody else from
// loading.
func (l *loading) Watch(func()) (end func()) {
	if l.options.Waiting == nil {
		return func() {}
	}
	return l.options.Waiting()
}

// limits of a load: it is the operator who waits for it.
func (s *Scripts) loadLimits() vm.Limits {
	limits := s.limits
	limits.Instructions = max(limits.Instructions, minLoadInstructions)
	limits.TotalTimeout = s.options.Config.loadTimeout()
	limits.Timeout = limits.TotalTimeout
	return limits
}

// minLoadInstructions is how many instructions loading may run at least.
const minLoadInstructions = 50_000_000

// named gives the limit that a load has used up its own name.
func named(message string, exhausted *vm.Exhausted) string {
	if exhausted == nil || exhausted.Reason != vm.OutOfTime && exhausted.Reason != vm.OutOfTotalTime {
		return message
	}
	return strings.NewReplacer("lua.timeout", "lua.load_timeout", "lua.total_timeout", "lua.load_timeout").Replace(message)
}
