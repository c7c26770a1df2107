package modules

import (
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// Timing is implemented by the owner of a run that loads scripts.
type Timing interface {
	// DeclareTimer has the function that is the second argument run by itself, after
	// the time, and again each time it has passed, unless it is to run once.
	DeclareTimer(L *glua.LState, after time.Duration, once bool)
}

// The bounds of a timer's interval, in seconds: a second and 30 days.
const (
	timerLeast = 1
	timerMost  = 30 * 24 * 3600
)

// openTimer makes the module timer: functions that run by themselves, while no request
// does. They are declared while scripts are loaded, and run once for the tenant, however
// many VMs it has, on one of them.
func openTimer(L *glua.LState, _ *Tenant) *glua.LTable {
	return L.SetFuncs(L.CreateTable(0, 1), map[string]glua.LGFunction{
		"every": func(L *glua.LState) int { return timerDeclare(L, "every", false) },
		"after": func(L *glua.LState) int { return timerDeclare(L, "after", true) },
	})
}

// timerDeclare is timer.every and timer.after.
//
// timer.every(seconds, function): has the function run again and again, the first time
// after a random part of the interval, so that gateways that were started together don't
// all ask at once. It doesn't run while it still does.
//
// timer.after(seconds, function): has it run once, after so many seconds.
func timerDeclare(L *glua.LState, name string, once bool) int {
	skipSelf(L)
	loading, ok := vm.RunOf(L).Owner.(Timing)
	if !ok {
		L.RaiseError("timer.%s can only be called while the script is loaded, not while a request runs", name)
	}
	seconds := checkNumber(L, 1)
	if !(seconds >= timerLeast && seconds <= timerMost) {
		vm.ArgError(L, 1, "seconds expected, from 1 to 2592000 (30 days)")
	}
	vm.CheckFunction(L, 2)
	loading.DeclareTimer(L, time.Duration(seconds*float64(time.Second)), once)
	return 0
}
