// Package vmtest runs Lua in a run, for the tests of what scripts can call.
//
//	L, run := vmtest.Begin(t, vmtest.Limits()) // with the lock held; it ends with the test
package vmtest

import (
	"testing"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// Limits are generous ones.
func Limits() *vm.Limits {
	return &vm.Limits{Instructions: 10_000_000, Memory: 64 << 20, Coroutines: 100}
}

// Begin starts a run on a new VM, with its lock held. The standard libraries
// are not open. The run ends with the test.
func Begin(tb testing.TB, limits *vm.Limits) (*glua.LState, *vm.Run) {
	tb.Helper()
	main := glua.NewState(glua.Options{
		SkipOpenLibs: true, RegistrySize: 128, RegistryMaxSize: 64 << 10, RegistryGrowStep: 1024,
		CallStackSize: 256, MinimizeStackMemory: true,
	})
	main.Push(main.NewFunction(func(*glua.LState) int { return 0 }))
	main.Call(0, 0) // the first thread that calls something is G.MainThread
	lock := vm.NewLock(main, vm.NewLedger(0, 0), nil)
	lock.Lock()
	run := &vm.Run{}
	run.Begin(tb.Context(), lock, limits)
	thread, _ := main.NewThread()
	thread.SetContext(run)
	main.G.CurrentThread = thread
	tb.Cleanup(func() {
		run.End()
		lock.Unlock()
		main.Close()
	})
	return thread, run
}
