package luatest

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
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
				f.clock.set(t.UTC())
				return 0
			}
			seconds := checkNumber(L, 1, firstSecond, lastSecond)
			whole := math.Floor(seconds)
			f.clock.set(time.Unix(int64(whole), int64((seconds-whole)*1e9)).UTC())
			return 0
		},
		"advance": func(L *glua.LState) int {
			f.clock.advance(time.Duration(checkNumber(L, 1, 0, 1e9) * float64(time.Second)))
			return 0
		},
	})
}

// checkNumber is an argument that must be a number within bounds.
func checkNumber(L *glua.LState, n int, low, high float64) float64 {
	number := float64(vm.CheckNumber(L, n))
	if !(number >= low && number <= high) {
		vm.ArgError(L, n, fmt.Sprintf("expected a number from %g to %g", low, high))
	}
	return number
}
