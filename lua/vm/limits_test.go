package vm_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// exhausted is why a run has ended.
func exhausted(r *vm.Run) string {
	if why := r.Exhausted(); why != nil {
		return string(why.Reason) + ": " + why.Error()
	}
	return ""
}

// TestInstructionsToTheLast: a run has as many as its limit says, counted by the
// engine or by functions, and none after that.
func TestInstructionsToTheLast(t *testing.T) {
	t.Parallel()
	for _, limit := range []int64{0, 1, 10, 62, 63, 64, 65, 128, 129, 1000} {
		want := fmt.Sprintf("instructions: lua.max_instructions %d is used up", limit)
		m := newMeter(t, vm.Limits{Instructions: limit}, vm.NewLedger(0, 0), nil)
		n := int64(0)
		for m.run.Done() == nil {
			if n++; m.run.Err() != nil {
				t.Fatal("a run that goes on has an error")
			}
		}
		if n != limit || exhausted(m.run) != want || m.run.Err() == nil || m.run.Err().Error() != want[len("instructions: "):] {
			t.Errorf("of %d instructions a run has %d: %q, %v", limit, n, exhausted(m.run), m.run.Err())
		}
		if m.run.Done() == nil {
			t.Error("an exhausted run goes on")
		}
		m.begin(t, vm.Limits{Instructions: limit})
		if limit > 0 {
			m.run.Spend(m.L, int(limit))
		}
		if exhausted(m.run) != "" {
			t.Errorf("%d of %d instructions are too many", limit, limit)
		}
		if got := m.fails(func() { m.run.Spend(m.L, 1) }); got != want[len("instructions: "):] {
			t.Errorf("one instruction more than %d fails with %q", limit, got)
		}
	}
}

// TestMemoryToTheLast: a run, and all runs of a tenant together, may have as many
// bytes as their limits say.
func TestMemoryToTheLast(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limits vm.Limits
		tenant int64 // its limit
		most   int64
		want   string
	}{
		{vm.Limits{Memory: 1000}, 0, 1000, "memory: lua.max_memory 1000B is used up"},
		{vm.Limits{Memory: 1 << 20}, 0, 1 << 20, "memory: lua.max_memory 1MiB is used up"},
		{vm.Limits{Memory: 3<<20 + 1}, 0, 3<<20 + 1, "memory: lua.max_memory 3145729B is used up"},
		{vm.Limits{Memory: 3 << 20}, 1 << 20, 1 << 20, "vm_memory: lua.max_vm_memory 1MiB is used up by the requests in flight"},
		{vm.Limits{}, 500, 500, "vm_memory: lua.max_vm_memory 500B is used up by the requests in flight"},
	} {
		c.limits.Instructions = 1000
		m := newMeter(t, c.limits, vm.NewLedger(c.tenant, 0), nil)
		m.run.Charge(m.L, int(c.most))
		if exhausted(m.run) != "" || m.ledger.Used() != c.most {
			t.Errorf("%d bytes of %d: %q, %d are used", c.most, c.most, exhausted(m.run), m.ledger.Used())
		}
		_, words, _ := cut(c.want)
		if got := m.fails(func() { m.run.Charge(m.L, 1) }); got != words || exhausted(m.run) != c.want {
			t.Errorf("a byte more than %d fails with %q, %q; want %q", c.most, got, exhausted(m.run), c.want)
		}
		held := m.ledger.Used()
		m.begin(t, vm.Limits{Instructions: 1000})
		if m.ledger.Used() != 0 || m.lock.Allocated() != held || m.lock.Total() != held {
			t.Errorf("of a run that has ended %d bytes are used, %d and %d are counted, of %d", m.ledger.Used(), m.lock.Allocated(), m.lock.Total(), held)
		}
		m.lock.Count(7)
		if m.lock.Allocated() != held+7 || m.lock.Total() != held+7 {
			t.Error("what no run was charged isn't counted")
		}
		m.lock.Measured(0)
		if m.lock.Allocated() != 0 || m.lock.Total() != held+7 {
			t.Error("the VM was measured")
		}
	}
}

// cut parts the reason from the words.
func cut(want string) (reason, words string, ok bool) { return strings.Cut(want, ": ") }

// TestLedgerToTheLast: what outlives runs counts too.
func TestLedgerToTheLast(t *testing.T) {
	t.Parallel()
	l := vm.NewLedger(100, 0)
	if !l.Acquire(60) || !l.Acquire(40) || l.Acquire(1) || l.Used() != 100 {
		t.Errorf("of 100 bytes %d are used", l.Used())
	}
	if l.Release(1); l.Used() != 99 || l.Acquire(2) || !l.Acquire(1) {
		t.Errorf("%d bytes are used after a release", l.Used())
	}
	if l := vm.NewLedger(0, 0); !l.Acquire(1<<40) || l.Used() != 1<<40 {
		t.Error("0 is a limit")
	}
}

// TestCoroutinesToTheLast: one more is an error that a script may catch.
func TestCoroutinesToTheLast(t *testing.T) {
	t.Parallel()
	for limit := range 3 {
		m := newMeter(t, vm.Limits{Instructions: 1000, Coroutines: limit}, vm.NewLedger(0, 0), nil)
		for range limit {
			one, _ := m.main.NewThread()
			m.run.AddCoroutine(m.L, one)
		}
		one, _ := m.main.NewThread()
		if got, want := m.fails(func() { m.run.AddCoroutine(m.L, one) }), fmt.Sprintf("too many coroutines: lua.max_coroutines is %d", limit); got != want || exhausted(m.run) != "" {
			t.Errorf("got %q, %q; want %q", got, exhausted(m.run), want)
		}
	}
}

// TestCoroutinesEndWithTheirRun: nothing of theirs is left but that they are dead.
func TestCoroutinesEndWithTheirRun(t *testing.T) {
	t.Parallel()
	m := newMeter(t, generous(), vm.NewLedger(0, 0), nil)
	one, _ := m.main.NewThread()
	m.run.AddCoroutine(m.L, one)
	if one.Dead || vm.StackSlots(one) == 0 {
		t.Fatal("it is dead before the end")
	}
	if m.run.End(); !one.Dead || vm.StackSlots(one) != 0 || one.G != m.main.G {
		t.Errorf("dead: %v; %d slots", one.Dead, vm.StackSlots(one))
	}
}

// TestStringsToTheLast: the longest string is as the limit says, 1 GiB without one.
func TestStringsToTheLast(t *testing.T) {
	t.Parallel()
	for limit, most := range map[int64]int{0: 1 << 30, 1: 1, 5000: 5000} {
		m := newMeter(t, vm.Limits{Instructions: 1000, String: limit}, vm.NewLedger(0, 0), nil)
		if m.run.CheckString(m.L, most); m.run.MaxString() != most {
			t.Errorf("a string may have %d bytes, want %d", m.run.MaxString(), most)
		}
		want := fmt.Sprintf("resulting string too large: %d bytes, expected at most %d", most+1, most)
		if got := m.fails(func() { m.run.CheckString(m.L, most+1) }); got != want || exhausted(m.run) != "" {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestTimeToTheLast: what a run may take while Lua runs, and from its begin on. The
// clock is looked at after so many instructions.
func TestTimeToTheLast(t *testing.T) {
	t.Parallel()
	const limit = time.Second
	look := func(m *meter) {
		for range 200 {
			m.run.Done()
		}
	}
	for _, c := range []struct {
		name   string
		limits vm.Limits
		runs   time.Duration
		waits  time.Duration
		want   string
	}{
		{"runs", vm.Limits{Timeout: limit}, limit, 0, ""},
		{"runs for long", vm.Limits{Timeout: limit}, limit + 1, 0, "timeout: lua.timeout 1s is used up"},
		{"waits", vm.Limits{Timeout: limit}, limit, limit, ""},
		{"runs and waits", vm.Limits{TotalTimeout: limit}, limit / 2, limit / 2, ""},
		{"runs and waits for long", vm.Limits{TotalTimeout: limit}, limit / 2, limit/2 + 1, "total_timeout: lua.total_timeout 1s is used up"},
		{"without limits", vm.Limits{}, time.Hour, time.Hour, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			c.limits.Instructions = 1 << 40
			m := newMeter(t, c.limits, vm.NewLedger(0, 0), nil)
			look(m)
			time.Sleep(c.runs)
			look(m)
			if c.waits > 0 {
				m.run.Yield(m.L, func() { time.Sleep(c.waits) })
			}
			look(m)
			if got := exhausted(m.run); got != c.want {
				t.Errorf("%s: got %q, want %q", c.name, got, c.want)
			}
			if _, has := m.run.Deadline(); has || m.run.Value("x") != nil {
				t.Error("the run of a thread says more than how it ended")
			}
		})
	}
}

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
