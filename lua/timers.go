package lua

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// timed is a timer as one VM has declared it: its function is that VM's own.
type timed struct {
	step  *step
	after time.Duration
	once  bool
}

// timer is a function of a tenant's scripts that runs by itself. Each VM has declared
// it, and it is known by its number among all that were: when it is due, a VM is taken,
// as for a request, and runs the function of that number.
type timer struct {
	index int
	place string // script:line
	after time.Duration
	once  bool

	record   *script // its quarantine, which is none of requests
	runs     atomic.Uint64
	failures atomic.Uint64

	mu      sync.Mutex
	due     time.Time // guarded by mu; the zero Time is never
	running bool      // likewise
}

// DeclareTimer is modules.Timing's.
func (l *loading) DeclareTimer(L *glua.LState, after time.Duration, once bool) {
	d := l.declarer
	if most := l.options.Config.MaxTimers; len(d.timers) >= most {
		L.RaiseError("too many timers: lua.max_timers is %d", most)
	}
	d.timers = append(d.timers, timed{step: d.step(L, 2), after: after, once: once})
}

// newTimers makes the timers that the first VM has declared.
func newTimers(declared []timed) (list []*timer) {
	for i, d := range declared {
		list = append(list, &timer{index: i, place: d.step.place, after: d.after, once: d.once, record: &script{name: d.step.place}})
	}
	return list
}

// beginTimers sets when each is due first, once.
func (s *Scripts) beginTimers() {
	s.timersBegun.Do(func() {
		for _, t := range s.timers {
			wait := t.after
			if !t.once {
				wait = time.Duration(float64(wait) * fraction(s.options.Random))
			}
			t.mu.Lock()
			t.due = s.options.Clock.Now().Add(wait)
			t.mu.Unlock()
		}
	})
}

// fraction draws a number from above 0 to 1.
func fraction(random io.Reader) float64 {
	var b [8]byte
	if random == nil {
		return 1
	}
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return 1
	}
	return float64(binary.BigEndian.Uint64(b[:])>>11+1) / (1 << 53)
}

// HasTimers reports whether there is anything for RunTimers to do.
func (s *Scripts) HasTimers() bool { return len(s.timers) > 0 }

// RunTimers runs each timer when it is due, until ctx is done and all that it has begun
// has ended, which is soon then. InUse must have been called. It is called once at a
// time.
func (s *Scripts) RunTimers(ctx context.Context) {
	var wait sync.WaitGroup
	for _, t := range s.timers {
		wait.Go(func() { s.attend(ctx, t) })
	}
	wait.Wait()
}

// attend runs one timer whenever it is due.
func (s *Scripts) attend(ctx context.Context, t *timer) {
	for {
		due, ok := t.next()
		if !ok {
			return
		}
		for left := time.Duration(1); left > 0; {
			if left = due.Sub(s.options.Clock.Now()); left > 0 {
				s.options.Clock.Sleep(ctx, left)
			}
			if ctx.Err() != nil {
				return
			}
		}
		s.fire(ctx, t)
	}
}

// NextTimer returns when a timer is due next; ok is false if none is any more.
func (s *Scripts) NextTimer() (due time.Time, ok bool) {
	for _, t := range s.timers {
		if at, has := t.next(); has && (!ok || at.Before(due)) {
			due, ok = at, true
		}
	}
	return due, ok
}

// RunDueTimers runs those timers that are due now by the scripts' clock, one after the
// other, for whoever has a clock of his own and calls it in place of RunTimers.
func (s *Scripts) RunDueTimers(ctx context.Context) {
	now := s.options.Clock.Now()
	for _, t := range s.timers {
		if due, ok := t.next(); ok && !due.After(now) {
			s.fire(ctx, t)
		}
	}
}

func (t *timer) next() (due time.Time, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.due, !t.due.IsZero()
}

// fire runs a timer, unless it runs already, and sets when it is due next: what has been
// missed meanwhile isn't made up for.
func (s *Scripts) fire(ctx context.Context, t *timer) {
	t.mu.Lock()
	if t.running {
		t.mu.Unlock()
		return
	}
	t.running = true
	due := t.due
	t.mu.Unlock()
	s.runTimer(ctx, t)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running = false
	if t.due = (time.Time{}); t.once {
		return
	}
	t.due = due.Add(t.after)
	if late := s.options.Clock.Now().Sub(t.due); late >= 0 {
		t.due = t.due.Add(late - late%t.after + t.after)
	}
}

// runTimer runs the function of a timer within the budgets of a request. A timer that
// keeps using them up isn't run for a while, as a script isn't for a client; requests
// don't suffer for it.
func (s *Scripts) runTimer(ctx context.Context, t *timer) {
	defer func() {
		if cause := recover(); cause != nil {
			s.options.Log.Error().Str("panic", fmt.Sprint(cause)).Bytes("stack", debug.Stack()).Msg("BUG: a timer has panicked")
		}
	}()
	if t.record.quarantined(nobody, s.now) > 0 {
		return
	}
	trial := t.record.onTrial(nobody)
	s.stats.Runs.Add(1)
	t.runs.Add(1)
	sh, err := s.acquireWithin(ctx, uint64(t.index)) //nolint:gosec // G115: from 0
	if err == nil {
		err = s.tick(ctx, sh, t)
	}
	if err == nil {
		t.record.succeeded(nobody, trial, s.now)
	} else if ctx.Err() == nil {
		s.timerFailed(t, err)
	}
}

// nobody stands for the client of what no client has asked for.
var nobody netip.Addr

// tick calls the function on a VM, which it gives back.
func (s *Scripts) tick(ctx context.Context, sh *shard, t *timer) error {
	defer s.release(sh)
	if t.index >= len(sh.declarer.timers) || sh.declarer.timers[t.index].step.place != t.place {
		return &Error{Kind: KindLoad, Message: t.place + ": the timer wasn't declared when the VM was made that was to run it"}
	}
	_, err := sh.aside(ctx, &ticking{ctx, t.place}, sh.declarer.timers[t.index].step.fn, 0)
	return err
}

// timerFailed notes a failure as one of a request is, and counts it for the timer.
func (s *Scripts) timerFailed(t *timer, err error) {
	t.failures.Add(1)
	failed := s.noteAside(t.record.name, "the function of a timer", err)
	if failed == nil {
		s.stats.Failures.Add(1)
		failed = &Error{Kind: KindLoad, Message: t.place + ": the timer wasn't run: " + err.Error()}
		s.record(failed)
		return
	}
	switch vm.Reason(failed.Kind) {
	case vm.OutOfInstructions, vm.OutOfTime, vm.OutOfMemory:
		if length, _ := t.record.exhausted(s.options.Config.QuarantineAfter, nobody, s.now()); length > 0 {
			s.options.Log.Warn().Str("timer", t.place).Str("for", length.String()).Msg("the timer isn't run for a while: it uses up its limits (quarantine)")
		}
	}
}

// ticking is the owner of a run of a timer, which belongs to no request.
type ticking struct {
	ctx   context.Context //nolint:containedctx // as that of a call, it is its run's
	place string
}

// AppendLog is modules.Logging's.
func (t *ticking) AppendLog(e *zerolog.Event) { e.Str("timer", t.place) }

// Watch is vm.Watcher's.
func (t *ticking) Watch(cancel func()) (end func()) {
	stop := context.AfterFunc(t.ctx, cancel)
	return func() { stop() }
}

// TimerView is one timer.
type TimerView struct {
	Place    string     `json:"place"` // script:line
	Seconds  float64    `json:"seconds"`
	Once     bool       `json:"once"`
	Next     *time.Time `json:"next"` // nil: it won't run any more
	Running  bool       `json:"running"`
	Runs     uint64     `json:"runs"`
	Failures uint64     `json:"failures"`
}

func (s *Scripts) timerViews() []TimerView {
	views := make([]TimerView, 0, len(s.timers))
	for _, t := range s.timers {
		t.mu.Lock()
		view := TimerView{Place: t.place, Seconds: math.Round(t.after.Seconds()*1000) / 1000, Once: t.once, Running: t.running, Runs: t.runs.Load(), Failures: t.failures.Load()}
		if !t.due.IsZero() {
			due := t.due.UTC()
			view.Next = &due
		}
		t.mu.Unlock()
		views = append(views, view)
	}
	return slices.Clip(views)
}
