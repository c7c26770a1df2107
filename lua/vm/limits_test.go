package vm_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
