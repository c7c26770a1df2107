package luatest

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// fakeClock is the time that scripts and tests see. It stands still, but for
// sleeping, which moves it on at once.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

// Now is modules.Clock's.
func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Sleep is modules.Clock's.
func (c *fakeClock) Sleep(_ context.Context, d time.Duration) { c.advance(d) }

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *fakeClock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// reset begins a test: at the real time, in whole seconds, so that tokens and
// certificates made elsewhere are valid.
func (c *fakeClock) reset() { c.set(time.Now().UTC().Truncate(time.Second)) }

// Times that tests may set: the years 1 to 9999, as keystone.time has it.
const (
	firstSecond = -62135596800
	lastSecond  = 253402300799
)

// openClock makes the table clock.
func (f *file) openClock(L *glua.LState) *glua.LTable {
	return L.SetFuncs(L.NewTable(), map[string]glua.LGFunction{
		"now": func(L *glua.LState) int {
			now := f.clock.Now()
			L.Push(glua.LNumber(float64(now.Unix()) + float64(now.Nanosecond())/1e9))
			return 1
		},
		"set": func(L *glua.LState) int {
			if text, ok := L.Get(1).(glua.LString); ok {
				t, err := time.Parse(time.RFC3339, string(text))
				if err != nil {
					vm.ArgError(L, 1, "expected a time like 2026-01-31T08:00:00Z, or seconds since 1970")
				}
				f.jumpTo(L, t.UTC())
				return 0
			}
			seconds := checkNumber(L, 1, firstSecond, lastSecond)
			whole := math.Floor(seconds)
			f.jumpTo(L, time.Unix(int64(whole), int64((seconds-whole)*1e9)).UTC())
			return 0
		},
		"advance": func(L *glua.LState) int {
			f.moveTo(L, f.clock.Now().Add(time.Duration(checkNumber(L, 1, 0, 1e9)*float64(time.Second))))
			return 0
		},
	})
}

// maxTimerRuns bounds the timers that become due in one step of the clock.
const maxTimerRuns = 1000

// jumpTo sets the clock, and runs the timers that are due then, once.
func (f *file) jumpTo(L *glua.LState, to time.Time) {
	f.clock.set(to)
	if f.running == nil || f.running.gateway == nil {
		return
	}
	server := f.running.gateway.server
	vm.RunOf(L).Block(L, func(ctx context.Context) {
		for t := range server.Tenants() {
			if t.Lua != nil {
				t.Lua.RunDueTimers(ctx)
			}
		}
	})
}

// moveTo moves the clock on, and runs the timers of the gateway that become due on the
// way, each at its time. It gives the VM away meanwhile, since they may ask mocks.
func (f *file) moveTo(L *glua.LState, to time.Time) {
	if f.running == nil || f.running.gateway == nil {
		f.clock.set(to)
		return
	}
	server, runs := f.running.gateway.server, 0
	vm.RunOf(L).Block(L, func(ctx context.Context) {
		for ; runs <= maxTimerRuns && ctx.Err() == nil; runs++ {
			due, scripts := nextTimer(server)
			if scripts == nil || due.After(to) {
				break
			}
			if due.After(f.clock.Now()) {
				f.clock.set(due)
			}
			scripts.RunDueTimers(ctx)
		}
		f.clock.set(to)
	})
	if runs > maxTimerRuns {
		L.RaiseError("more than %d timers become due: move the clock in smaller steps", maxTimerRuns)
	}
}

// nextTimer finds the timer that is due next, and its scripts; nil is that there is none.
func nextTimer(server *proxy.Server) (due time.Time, scripts *lua.Scripts) {
	for t := range server.Tenants() {
		if t.Lua == nil {
			continue
		}
		if at, ok := t.Lua.NextTimer(); ok && (scripts == nil || at.Before(due)) {
			due, scripts = at, t.Lua
		}
	}
	return due, scripts
}

// checkNumber is an argument that must be a number within bounds.
func checkNumber(L *glua.LState, n int, low, high float64) float64 {
	number := float64(vm.CheckNumber(L, n))
	if !(number >= low && number <= high) {
		vm.ArgError(L, n, fmt.Sprintf("expected a number from %g to %g", low, high))
	}
	return number
}
