package vm_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// TestWaits: a run that waits gives the VM to others, and ends if what it waits for
// does, or its time.
func TestWaits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		total time.Duration
		takes time.Duration // until what it waits for comes; 0 is never
		gone  time.Duration // until its client is
		want  string
	}{
		{"it comes", time.Minute, time.Second, 0, ""},
		{"it comes, without a limit", 0, time.Hour, 0, ""},
		{"it is too late", time.Minute, 0, 0, "total_timeout: lua.total_timeout 1m0s is used up"},
		{"nobody wants it", time.Minute, 0, time.Second, "cancelled: the request was cancelled"},
		{"nobody wants it, without a limit", 0, 0, time.Second, "cancelled: the request was cancelled"},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newMeter(t, vm.Limits{Instructions: 1000, TotalTimeout: c.total}, vm.NewLedger(0, 0), nil)
			owner := &watcher{after: c.gone}
			m.run.Owner = owner
			free := false
			got := m.fails(func() {
				m.run.Block(m.L, func(ctx context.Context) {
					if free = m.lock.TryLock(); free {
						m.main.G.CurrentThread = m.main
						m.lock.Unlock()
					}
					if c.takes > 0 {
						time.Sleep(c.takes)
					} else {
						<-ctx.Done()
					}
				})
			})
			if _, words, _ := cut(c.want); got != words || exhausted(m.run) != c.want {
				t.Errorf("%s: got %q, %q; want %q", c.name, got, exhausted(m.run), c.want)
			}
			if !free || m.lock.TryLock() || m.main.G.CurrentThread == m.main || owner.watching || owner.watched != 1 {
				t.Errorf("%s: the VM was free: %v; it was watched %d times, and still is: %v", c.name, free, owner.watched, owner.watching)
			}
		})
	}
}

// watcher is the owner of a run whose client goes away.
type watcher struct {
	after    time.Duration
	watched  int
	watching bool
	blamed   int
}

func (w *watcher) Watch(cancel func()) (end func()) {
	w.watched++
	w.watching = true
	if w.after > 0 {
		time.AfterFunc(w.after, cancel)
	}
	return func() { w.watching = false }
}

func (w *watcher) Exhausted() { w.blamed++ }

// TestContextEndsWithItsRun: whatever waits for it is told.
func TestContextEndsWithItsRun(t *testing.T) {
	t.Parallel()
	m := newMeter(t, vm.Limits{Instructions: 1000, TotalTimeout: time.Hour}, vm.NewLedger(0, 0), nil)
	ctx := m.run.Context()
	if ctx != m.run.Context() {
		t.Error("a run has two contexts")
	}
	if until, ok := ctx.Deadline(); !ok || time.Until(until) > time.Hour || time.Until(until) < time.Minute {
		t.Errorf("it ends at %v", until)
	}
	if m.run.End(); ctx.Err() == nil {
		t.Error("it goes on")
	}
}

// TestWhoeverWaitsForTheVM is counted, and gets it from whoever runs.
func TestWhoeverWaitsForTheVM(t *testing.T) {
	t.Parallel()
	m := newMeter(t, generous(), vm.NewLedger(0, 0), nil)
	had := make(chan struct{})
	go func() {
		m.lock.Lock()
		close(had)
		m.main.G.CurrentThread = m.main
		m.lock.Unlock()
	}()
	for m.lock.Waiting() == 0 {
		runtime.Gosched()
	}
	for waits := true; waits; {
		m.run.Spend(m.L, 100)
		select {
		case <-had:
			waits = false
		default:
		}
	}
	if m.lock.Waiting() != 0 || m.main.G.CurrentThread != m.L {
		t.Errorf("%d wait; the thread that runs is still that: %v", m.lock.Waiting(), m.main.G.CurrentThread == m.L)
	}
}

// TestRetiredVM: its runs end before their next instruction, for the first reason
// that was given, and none begins.
func TestRetiredVM(t *testing.T) {
	t.Parallel()
	m := newMeter(t, generous(), vm.NewLedger(0, 0), nil)
	owner := &watcher{}
	m.run.Owner = owner
	if m.lock.Retired() {
		t.Error("it is retired from the start")
	}
	m.lock.Retire(vm.Shed, "it was dropped")
	m.lock.Retire(vm.OutOfTurns, "another reason")
	if !m.lock.Retired() || exhausted(m.run) != "" {
		t.Errorf("retired: %v, %q", m.lock.Retired(), exhausted(m.run))
	}
	const want = "shed: it was dropped"
	for n := 0; m.run.Done() == nil; n++ {
		if n > 64 {
			t.Fatal("the run goes on")
		}
	}
	if exhausted(m.run) != want || owner.blamed != 1 {
		t.Errorf("the run ended with %q, want %q; blamed %d times", exhausted(m.run), want, owner.blamed)
	}
	if got := m.fails(func() { m.run.Rethrow(m.L) }); got != "it was dropped" {
		t.Errorf("it is raised again as %q", got)
	}
	if m.begin(t, generous()); exhausted(m.run) != want || m.run.Done() == nil {
		t.Errorf("a run that begins has %q, want %q", exhausted(m.run), want)
	}
}

// TestRetiredWhileItWaits is that of a run which waits.
func TestRetiredWhileItWaits(t *testing.T) {
	t.Parallel()
	m := newMeter(t, generous(), vm.NewLedger(0, 0), nil)
	m.run.Yield(m.L, func() { m.lock.Retire(vm.Shed, "it was dropped") })
	if got := exhausted(m.run); got != "shed: it was dropped" {
		t.Errorf("the run goes on: %q", got)
	}
}

// TestFail ends a run for a reason of the caller's, of which the first stands.
func TestFail(t *testing.T) {
	t.Parallel()
	m := newMeter(t, generous(), vm.NewLedger(0, 0), nil)
	if m.run.Rethrow(m.L); exhausted(m.run) != "" {
		t.Fatal("a run that goes on is exhausted")
	}
	if got := m.fails(func() { m.run.Fail(m.L, vm.Cancelled, "first") }); got != "first" {
		t.Errorf("got %q", got)
	}
	if got := m.fails(func() { m.run.Fail(m.L, vm.Shed, "second") }); got != "second" || exhausted(m.run) != "cancelled: first" {
		t.Errorf("got %q, %q", got, exhausted(m.run))
	}
}

// TestTurns: of a tenant's runs so many are long at once; others wait for a second,
// and not more than so many.
func TestTurns(t *testing.T) {
	t.Parallel()
	const mega = 1 << 20
	const refused = "turns: too many requests of the tenant run scripts for long"
	for _, c := range []struct {
		name           string
		turns, waiting int
		holds          time.Duration // how long another run has the only turn; 0 is none
		want           string
		waits          time.Duration
	}{
		{"a turn", 1, 0, 0, "", 0},
		{"one that is had", 1, 0, time.Minute, refused, 0},
		{"one that is given back", 1, 1, 500 * time.Millisecond, "", 500 * time.Millisecond},
		{"one that is given back late", 1, 1, 2 * time.Second, refused, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			turns, ledger := vm.NewTurns(c.turns, c.waiting), vm.NewLedger(0, 1<<50)
			var ended chan struct{}
			if c.holds > 0 {
				ended = make(chan struct{})
				other := newMeter(t, generous(), ledger, turns)
				other.run.Charge(other.L, 2*mega)
				other.run.Spend(other.L, 1)
				other.run.Spend(other.L, 1)
				go func() {
					defer close(ended)
					time.Sleep(c.holds)
					other.run.Yield(other.L, func() {}) // which is no long run
				}()
			}
			m := newMeter(t, generous(), ledger, turns)
			m.run.Charge(m.L, 2*mega)
			began := time.Now()
			got := m.fails(func() {
				for range 100 {
					m.run.Spend(m.L, 1)
				}
			})
			if _, words, _ := cut(c.want); got != words || exhausted(m.run) != c.want {
				t.Errorf("%s: got %q, %q; want %q", c.name, got, exhausted(m.run), c.want)
			}
			if waited := time.Since(began); waited != c.waits {
				t.Errorf("%s: it waited for %v, want %v", c.name, waited, c.waits)
			}
			if ended != nil {
				<-ended
			}
		})
	}
}

// TestTurnsAreWaitedForAgain: who was refused, or has waited in vain, keeps nobody from
// waiting.
func TestTurnsAreWaitedForAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns, ledger := vm.NewTurns(1, 1), vm.NewLedger(0, 1<<50)
		long := func(m *meter) (waited time.Duration) {
			began := time.Now()
			m.run.Charge(m.L, 2<<20)
			m.fails(func() {
				for range 100 {
					m.run.Spend(m.L, 1)
				}
			})
			return time.Since(began)
		}
		first := newMeter(t, generous(), ledger, turns)
		long(first) // which has the turn until its run ends
		for range 3 {
			waits, refused := newMeter(t, generous(), ledger, turns), newMeter(t, generous(), ledger, turns)
			waited := make(chan time.Duration)
			go func() { waited <- long(waits) }()
			synctest.Wait()
			if at := long(refused); at != 0 {
				t.Errorf("the second one waits for %v", at)
			}
			if first := <-waited; first != time.Second {
				t.Errorf("the first one waits for %v, want 1s", first)
			}
		}
	})
}

// TestRateIsRefused: a run of a tenant that is ahead of its rate by more than a
// second ends.
func TestRateIsRefused(t *testing.T) {
	t.Parallel()
	const mega = 1 << 20
	m := newMeter(t, generous(), vm.NewLedger(0, mega), vm.NewTurns(1, 0))
	m.run.Charge(m.L, 10*mega)
	if got := m.fails(func() {
		for range 100 {
			m.run.Spend(m.L, 1)
		}
	}); got != "lua.max_memory_rate 1MiB is used up by the tenant's requests" || exhausted(m.run) != "memory_rate: "+got {
		t.Errorf("got %q, %q", got, exhausted(m.run))
	}
}

// lender is the loader of a run, which lends so many bytes.
type lender struct {
	left    int64
	paced   int
	charged int64
	waited  int
}

func (l *lender) Lend(bytes int64) *vm.Exhausted {
	if l.left -= bytes; l.left < 0 {
		return &vm.Exhausted{Reason: vm.OutOfVMMemory, Limit: "nothing is left"}
	}
	return nil
}

func (l *lender) Pace(_ time.Duration, charged int64) func() {
	l.paced++
	l.charged = charged
	return func() { l.waited++ }
}

// TestLoadsAskTheirLoader before they allocate, and are told now and then to wait.
func TestLoadsAskTheirLoader(t *testing.T) {
	t.Parallel()
	loader := &lender{left: 1000}
	m := newMeter(t, vm.Limits{Instructions: 1 << 20, Loader: loader}, vm.NewLedger(0, 0), nil)
	m.run.Charge(m.L, 1000)
	m.run.Spend(m.L, 1000)
	if loader.paced == 0 || loader.paced != loader.waited || loader.charged != 1000 {
		t.Errorf("paced %d times, waited %d times, charged %d", loader.paced, loader.waited, loader.charged)
	}
	if got := m.fails(func() { m.run.Charge(m.L, 1) }); got != "nothing is left" || exhausted(m.run) != "vm_memory: "+got {
		t.Errorf("got %q, %q", got, exhausted(m.run))
	}
}

// TestOutsideOfRuns: no Lua runs there.
func TestOutsideOfRuns(t *testing.T) {
	t.Parallel()
	defer func() {
		if cause := recover(); cause != "BUG: Lua runs outside of a Run" {
			t.Errorf("got %v", cause)
		}
	}()
	L := glua.NewState(glua.Options{SkipOpenLibs: true})
	defer L.Close()
	L.SetContext(t.Context())
	vm.RunOf(L)
}
