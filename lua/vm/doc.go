// Package vm holds what keeps one Lua VM safe from the scripts that run on it
// and usable by many requests at once: the budget of a run, the lock that is
// held only while Lua instructions run, and the compiler, which makes scripts
// count the memory they ask for. It knows neither HTTP nor tenants.
//
//	program, err := vm.Compile(source, "shop.lua", vm.Options{})
//	lock := vm.NewLock(main, vm.NewLedger(limit, rate), vm.NewTurns(n, waiting))
//	lock.Lock()
//	run.Begin(ctx, lock, &limits)       // run is the context of L, and counts
//	L.Push(program.Instantiate(lock, functions))
//	err = vm.Call(L, 0, 0)              // fails when the budget is exhausted
//	run.End()
//	lock.Unlock()
package vm
