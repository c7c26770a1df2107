package lua

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// loading is one run of a tenant's scripts that makes a VM, within
// lua.load_timeout.
type loading struct {
	ctx     context.Context // ends when the load is stopped
	cancel  context.CancelCauseFunc
	options *Options
	script  atomic.Pointer[string] // the one that is being loaded
	again   bool                   // the scripts are in use, and count what this load holds
	asked   map[string]int         // how many policies of each kind its scripts have asked for

	declarer *declarer    // of the VM, while its scripts run
	bytes    atomic.Int64 // what it holds, as charged
	givenUp  atomic.Bool  // for want of memory

	level int           // how often it has made way for others
	next  time.Duration // of running, until it does so again

	mu      sync.Mutex
	lock    *vm.Lock // of the VM, guarded by mu, as are those below; nil before it is there
	stopped error    // why the load was stopped
	ended   bool
	timer   *time.Timer
	left    time.Duration // of its time, when the timer was started
	since   time.Time     // when that was
}

// noticing is how long what is over its time may take to end by itself: it
// knows best where it was.
const noticing = 500 * time.Millisecond

// load builds something on a goroutine of its own, and gives it up when
// lua.load_timeout is used up: it goes on until it notices, which what hangs in
// a system call doesn't, and its result is discarded. Nothing that another load
// needs is held meanwhile. The error is of the type BrokenScripts.
func load[T any](o *Options, again bool, build func(*loading) (T, error), discard func(T)) (made T, err error) {
	if !o.Cache.begin(o.Tenant) {
		return made, BrokenScripts{{Err: fmt.Errorf("%d loads of the tenant's scripts have been given up and have not ended: no other is begun", maxRunning)}}
	}
	l := newLoading(o, again)
	type result struct {
		made T
		err  error
	}
	results, givenUp := make(chan result), make(chan struct{})
	go func() {
		defer l.cancel(nil)
		var r result
		r.made, r.err = counted(l, build, discard)
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
		return r.made, l.pass(r.err)
	case <-l.ctx.Done():
	}
	patience := time.NewTimer(noticing)
	defer patience.Stop()
	select {
	case r := <-results:
		return r.made, l.pass(r.err)
	case <-patience.C:
		close(givenUp)
		return made, l.pass(BrokenScripts{l.broken(fmt.Errorf("%w, and loading has not ended: it is given up", context.Cause(l.ctx)))})
	}
}

// counted runs a load, which counts as one until it returns.
func counted[T any](l *loading, build func(*loading) (T, error), discard func(T)) (made T, err error) {
	defer l.options.Cache.end(l.options.Tenant)
	defer l.options.Loads.end(l)
	made, err = guarded(l, build)
	if stopped := l.end(); stopped != nil && err == nil {
		discard(made)
		err = BrokenScripts{l.broken(stopped)}
	}
	return made, err
}

func newLoading(o *Options, again bool) *loading {
	l := &loading{options: o, again: again, next: firstPace, left: o.Config.loadTimeout(), since: time.Now()}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = time.AfterFunc(l.left, func() {
		l.stop(vm.OutOfTime, fmt.Errorf("lua.load_timeout %v is used up", o.Config.loadTimeout()))
	})
	o.Loads.begin(l)
	return l
}

// stop ends the load, wherever it is.
func (l *loading) stop(reason vm.Reason, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.stopped != nil {
		return
	}
	l.stopped = why
	if l.lock != nil {
		l.lock.Retire(reason, why.Error())
	}
	l.cancel(why)
}

// relieve gives the load up for want of memory.
func (l *loading) relieve(words string) *vm.Exhausted {
	l.givenUp.Store(true)
	l.stop(vm.Shed, errors.New(words+": memory is short, the load is given up"))
	return &vm.Exhausted{Reason: vm.Shed, Limit: words + ": memory is short, the load is given up"}
}

// adopt says which VM is being made.
func (l *loading) adopt(lock *vm.Lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lock = lock; l.stopped != nil {
		lock.Retire(vm.OutOfTime, l.stopped.Error())
	}
}

// end says that the load won't be stopped any more, or why it has been.
func (l *loading) end() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.lock = nil // whoever knows the load must not keep what it held
	l.timer.Stop()
	return l.stopped
}

// pass marks what may be otherwise at the next try: that there was not enough
// time or memory.
func (l *loading) pass(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if list, ok := errors.AsType[BrokenScripts](err); ok && l.stopped != nil {
		for _, broken := range list {
			broken.Passing, broken.Memory = true, l.givenUp.Load()
		}
	}
	return err
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

// Lend makes a loading the loader of its run.
func (l *loading) Lend(bytes int64) *vm.Exhausted { return l.options.Loads.lend(l, bytes) }

// A load makes way for those that have run for less when it has run for
// firstPace, or has been charged so much, and each time that it has run for
// nextPace times as long: so one that is short waits for none that is long.
const (
	firstPace  = 10 * time.Millisecond
	firstBytes = 1 << 20
	nextPace   = 4
)

// Pace is the loader's too.
func (l *loading) Pace(ran time.Duration, charged int64) (wait func()) {
	if l.options.Yield == nil || ran < l.next && (l.level > 0 || charged < firstBytes) {
		return nil
	}
	l.level++
	l.next = nextPace * max(ran, firstPace)
	return func() {
		l.stopClock()
		defer l.startClock()
		l.options.Yield(l.ctx, l.level)
	}
}

// stopClock has the time until startClock not count: others have it.
func (l *loading) stopClock() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer.Stop() {
		l.left -= time.Since(l.since)
	}
}

func (l *loading) startClock() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended && l.stopped == nil {
		l.since = time.Now()
		l.timer.Reset(max(l.left, 0))
	}
}

// limits of a load: it is the operator who waits for it. Its time is the
// loading's clock.
func (s *Scripts) loadLimits(l *loading) vm.Limits {
	limits := s.limits
	limits.Instructions = max(limits.Instructions, minLoadInstructions)
	limits.TotalTimeout, limits.Timeout, limits.Loader = 0, 0, l
	return limits
}

// minLoadInstructions is how many instructions loading may run at least.
const minLoadInstructions = 50_000_000
