package vm_test

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// TestLongRunsLeaveAProcessor demands that however many tenants have long runs,
// no more run at once than leave a processor to everybody else.
func TestLongRunsLeaveAProcessor(t *testing.T) {
	t.Parallel()
	const mega, tenants, times = 1 << 20, 8, 20
	var now, most atomic.Int64
	var wait sync.WaitGroup
	for range tenants {
		wait.Go(func() {
			main := glua.NewState(glua.Options{SkipOpenLibs: true})
			defer main.Close()
			lock := vm.NewLock(main, vm.NewLedger(0, 1<<50), vm.NewTurns(1, 1))
			lock.Lock()
			defer lock.Unlock()
			for range times {
				run := &vm.Run{}
				run.Begin(t.Context(), lock, &vm.Limits{Instructions: 1000})
				run.Charge(main, 2*mega) // so much makes it a long one
				for range 200 {
					run.Spend(main, 1)
				}
				n := now.Add(1)
				for range 100 {
					runtime.Gosched()
				}
				now.Add(-1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				run.End()
			}
		})
	}
	wait.Wait()
	if limit := int64(vm.Processors()); most.Load() > limit {
		t.Errorf("%d long runs ran at once, want at most %d", most.Load(), limit)
	}
}

// TestRunsThatAreOverTakeNoProcessor: those that wait behind them get it, and in
// the end it is free.
func TestRunsThatAreOverTakeNoProcessor(t *testing.T) {
	t.Parallel()
	had, free := vm.Had(true, false, true)
	if want := []bool{false, true, false}; !slices.Equal(had, want) || free != 2 {
		t.Errorf("they got it: %v, want %v; %d are free", had, want, free)
	}
}

// TestShortRunsGoFirst demands that a processor goes to the run that has run
// least, and every second one to whoever has waited longest.
func TestShortRunsGoFirst(t *testing.T) {
	t.Parallel()
	got := vm.Order(50e6, 50e6, 0, 10e6, 0, 3e6)
	if want := []int{2, 0, 4, 1, 5, 3}; !slices.Equal(got, want) {
		t.Errorf("they got it in the order %v, want %v", got, want)
	}
}
