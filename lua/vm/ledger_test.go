package vm_test

import (
	"testing"
	"testing/synctest"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// TestRate demands that whoever allocates faster than the rate is told to
// rest for just as long as it takes to keep it, that idling saves up no more
// than 8 MiB, and that 0 is no limit.
func TestRate(t *testing.T) {
	t.Parallel()
	const mega, second = 1 << 20, int64(1e9)
	l := vm.NewLedger(0, 16*mega)
	for i, step := range []struct{ bytes, now, want int64 }{
		{8 * mega, 1, 0},                            // all that is free
		{16 * mega, 1, second},                      // a second's worth
		{16 * mega, 1, 2 * second},                  // behind the others
		{0, 1 + 2*second, 0},                        // they have rested
		{160 * mega, 1 + 2*second, 19 * second / 2}, // refused, and counted as half a second
		{0, 1 + 2*second, second / 2},
		{16 * mega, 100 * second, second / 2}, // a long pause frees 8 MiB only
	} {
		if got := l.Pay(step.bytes, step.now); got != step.want {
			t.Errorf("step %d: %d bytes at %d: rest for %d ns, want %d", i, step.bytes, step.now, got, step.want)
		}
	}
	if got := vm.NewLedger(0, 0).Pay(1<<50, 1); got != 0 {
		t.Errorf("rest for %d ns without a rate, want 0", got)
	}
}

// TestLargeRunRests demands that a run which has asked for much rests until
// its tenant keeps the rate, before it goes on.
func TestLargeRunRests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const mega = 1 << 20
		main := glua.NewState(glua.Options{SkipOpenLibs: true})
		defer main.Close()
		lock := vm.NewLock(main, vm.NewLedger(0, mega), vm.NewTurns(1, 1))
		lock.Lock()
		defer lock.Unlock()
		run := &vm.Run{}
		run.Begin(t.Context(), lock, &vm.Limits{Instructions: 1000})
		defer run.End()
		began := time.Now()
		run.Charge(main, 8*mega+mega/2)
		for range 500 { // not again and again
			run.Spend(main, 1)
		}
		if rested := time.Since(began); rested != time.Second/2 {
			t.Errorf("8.5 MiB, 8 of them free, at 1 MiB a second: rested for %v, want 500ms", rested)
		}
	})
}
