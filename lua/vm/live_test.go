package vm_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/stdlib"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

// TestLiveCountsWhatGoHolds makes a VM keep things in a global, in every way
// that there is, and compares what is counted with what the collector can't
// free: it must not be less, and not many times more. What is held is the same
// each time. What is counted isn't quite: numbers are counted by the blocks of
// 256 bytes in which they lie, and where Go puts those that are made one by one
// depends on what is free.
func TestLiveCountsWhatGoHolds(t *testing.T) {
	if !measure.Alone(t) {
		return
	}
	for _, test := range []struct {
		name, source string
		n            int     // how often it is run
		most         float64 // how many times more may be counted
	}{
		{"strings", `K[#K+1] = string.rep("x", 3000 + #K)`, 1000, 1.5},
		{"short strings", `for i = 1, 100 do K[#K+1] = string.rep("x", 20) .. #K end`, 100, 2.5},
		{"numbers", `for i = 1, 1000 do K[#K+1] = #K * 1.5 end`, 100, 2.5},
		// 1.03, but 1.7 with the race detector, which leaves room beside each number.
		{"every 32nd number", `for i = 1, 1000 do local x for j = 1, 31 do x = j * 1.5 end K[#K+1] = i * 1.5 end`, 30, 2.5},
		{"every 32nd fraction", `for i = 1, 1000 do local x for j = 1, 31 do x = j * 1.5 end K[#K+1] = i / 1001 end`, 30, 2.5},
		{"every 32nd integer below 256", `for i = 1, 1000 do local x for j = 1, 31 do x = j * 1.5 end K[#K+1] = 128 + i % 128 end`, 30, 2.5},
		{"lists", `K[#K+1] = {1, 2, 3, #K, #K + 1}`, 3000, 3},
		{"objects", `K[#K+1] = {a = 1, b = "x" .. #K, c = {d = true}}`, 2000, 3},
		{"names", `local t = {} K[#K+1] = t for i = 1, 60 do t["n" .. i] = i end`, 500, 2},
		{"a key of each kind", `K[#K + 0.5] = true K[-#K] = #K K[tostring(#K)] = 1 K[{}] = K K[#K+1] = 1`, 3000, 4},
		{"keys that were deleted", `local t = {} K[#K+1] = t for i = 1, 100 do t["k" .. i] = i end for i = 1, 100 do t["k" .. i] = nil end`, 200, 2},
		{"long keys that were deleted", `local t, k = {}, string.rep("k", 50000 + #K) t[k] = 1 t[k] = nil K[#K+1] = t`, 100, 1.5},
		{"positions far away", `local t = {} t[30000] = 1 K[#K+1] = t`, 20, 1.5},
		{"constant names", `local t = {} K[#K+1] = t ` + assignments(100), 300, 2},
		{"a constructor's names", `K[#K+1] = {` + strings.ReplaceAll(assignments(40), " t.", ",")[1:] + `}`, 500, 2},
		{"functions of many variables", variables(100), 300, 2},
		{"functions", `local a, b = {}, #K K[#K+1] = function() return a, b end`, 2000, 3},
		{"variables beside", `local a, b = string.rep("x", 10000 + #K), #K local f = function() return a end K[#K+1] = function() return b end`, 300, 2},
		{"parts of strings", `K[#K+1] = string.rep("x", 200 + #K % 50):sub(1, 1)`, 5000, 4},
		{"what a failed thread had", `local big = string.rep("x", 100000 + #K)
			K[#K+1] = function() return big end big = nil K[#K+1] = function() return K end error("failed")`, 100, 8},
	} {
		t.Run(test.name, func(t *testing.T) {
			countedAndHeld(t, test.source, test.n, test.most)
		})
	}
}

// countedAndHeld runs a source n times and compares what is counted of what it
// keeps with what is held.
func countedAndHeld(t *testing.T, source string, n int, most float64) {
	t.Helper()
	main, lock, one := keeper(t, source)
	defer lock.Unlock()
	one(1)
	heapBefore, liveBefore, chargedBefore := measure.Heap(), vm.Live(main, 1<<40, nil), lock.Total()
	one(n)
	grown, counted, charged := measure.Heap()-heapBefore, vm.Live(main, 1<<40, nil)-liveBefore, lock.Total()-chargedBefore
	runtime.KeepAlive(main)
	t.Logf("%d bytes are counted and %d charged, %d are held: %.2f", counted, charged, grown, float64(counted)/float64(grown))
	if float64(charged) < 0.8*float64(grown) {
		t.Errorf("%d bytes are charged, %d are held", charged, grown)
	}
	if float64(counted) < 0.95*float64(grown) || float64(counted) > most*float64(grown) {
		t.Errorf("%d bytes are counted, %d are held", counted, grown)
	}
}

// keeper makes a VM with a program in which K is a table that lives on. one
// runs it, each time in a run and on a thread of its own.
func keeper(t *testing.T, source string) (main *glua.LState, lock *vm.Lock, one func(times int)) {
	t.Helper()
	program, err := vm.Compile([]byte(source), "test.lua", vm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	main = glua.NewState(glua.Options{SkipOpenLibs: true, RegistrySize: 128, RegistryMaxSize: 64 << 10, RegistryGrowStep: 1024, CallStackSize: 256, MinimizeStackMemory: true})
	lock = vm.NewLock(main, vm.NewLedger(0, 0), nil)
	lock.Lock()
	stdlib.Open(main, time.Now)
	main.SetGlobal("K", main.CreateTable(0, 1))
	f := program.Instantiate(lock, &vm.Functions{SetIndex: stdlib.SetIndex})
	once := func() {
		thread, _ := main.NewThread()
		r := &vm.Run{}
		r.Begin(t.Context(), lock, &vm.Limits{Instructions: 1 << 40, Memory: 1 << 40, Coroutines: 10})
		defer r.End()
		thread.SetContext(r)
		main.G.CurrentThread = thread
		thread.Push(f)
		if err := thread.PCall(0, 0, nil); err != nil && !strings.Contains(err.Error(), "failed") {
			t.Fatal(err)
		}
		vm.Discard(thread)
	}
	return main, lock, func(times int) {
		for range times {
			once()
		}
	}
}

// assignments sets n fields of t.
func assignments(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " t.name%d = %d", i, i)
	}
	return b.String()
}

// variables makes a function that uses n variables of the one around it.
func variables(n int) string {
	var declared, used strings.Builder
	for i := range n {
		fmt.Fprintf(&declared, "local v%d = #K ", i)
		fmt.Fprintf(&used, ", v%d", i)
	}
	return declared.String() + "K[#K+1] = function() return " + used.String()[2:] + " end"
}
