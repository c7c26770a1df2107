package vm_test

import (
	"testing"
	"testing/synctest"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// TestSlices runs instructions that take long, as those of the engine do that
// have large operands, and demands that the run ends soon after its limit.
func TestSlices(t *testing.T) {
	t.Parallel()
	const limit = 100 * time.Millisecond
	for _, test := range []struct {
		name          string
		before, given int                       // bytes of the largest value of an earlier run, and of this one
		cost          func(n int) time.Duration // of the n-th instruction
		most          time.Duration
	}{
		{"a large value", 0, 4 << 20, func(int) time.Duration { return 6 * time.Millisecond }, 7 * time.Millisecond},
		{"a large value of an earlier run", 4 << 20, 0, func(int) time.Duration { return 6 * time.Millisecond }, 7 * time.Millisecond},
		{"a value of 256 KiB", 256 << 10, 0, func(int) time.Duration { return 400 * time.Microsecond }, 6 * time.Millisecond},
		{"a cost that grows", 0, 0, func(n int) time.Duration { return time.Duration(n) * time.Microsecond }, 10 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			main := glua.NewState(glua.Options{SkipOpenLibs: true})
			defer main.Close()
			lock := vm.NewLock(main, vm.NewLedger(0, 0), nil)
			lock.Lock()
			defer lock.Unlock()
			run := &vm.Run{}
			run.Begin(t.Context(), lock, &vm.Limits{Instructions: 1 << 40, Timeout: limit})
			run.Charge(main, test.before)
			run.End()
			run.Begin(t.Context(), lock, &vm.Limits{Instructions: 1 << 40, Timeout: limit})
			defer run.End()
			began := time.Now()
			for n := 0; run.Done() == nil; n++ {
				if n == 0 {
					run.Charge(main, test.given)
					continue
				}
				time.Sleep(test.cost(n))
			}
			if over := time.Since(began) - limit; over > test.most {
				t.Errorf("%s: the run ended %v after its limit, expected at most %v", test.name, over, test.most)
			}
			run.End()
			lock.Measured(0) // nothing large is left
			run.Begin(t.Context(), lock, &vm.Limits{Instructions: 1 << 40, Timeout: limit})
			for range 60 {
				run.Done()
				time.Sleep(time.Second)
			}
			if run.Exhausted() != nil {
				t.Errorf("%s: the clock is still looked at often", test.name)
			}
		})
	}
}

// TestMaxString demands that a string which is too long is an error that can be
// caught.
func TestMaxString(t *testing.T) {
	t.Parallel()
	main := glua.NewState(glua.Options{SkipOpenLibs: true})
	defer main.Close()
	lock := vm.NewLock(main, vm.NewLedger(0, 0), nil)
	lock.Lock()
	defer lock.Unlock()
	run := &vm.Run{}
	run.Begin(t.Context(), lock, &vm.Limits{Instructions: 1000, String: 100})
	defer run.End()
	try := func(n int) (failed bool) {
		defer func() { failed = recover() != nil }()
		run.ChargeString(main, n)
		return false
	}
	if try(100) || !try(101) || run.Exhausted() != nil {
		t.Error("strings of 100 bytes must be allowed, longer ones not")
	}
}
