package luatest

import (
	"context"
	"sync"
	"time"

	glua "github.com/yuin/gopher-lua"
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
			L.Push(glua.LNumber(float64(f.clock.Now().UnixNano()) / 1e9))
			return 1
		},
		"set": func(L *glua.LState) int {
			if text, ok := L.Get(1).(glua.LString); ok {
				t, err := time.Parse(time.RFC3339, string(text))
				if err != nil {
					L.ArgError(1, "expected a time like 2026-01-31T08:00:00Z, or seconds since 1970")
				}
				f.clock.set(t.UTC())
				return 0
			}
			f.clock.set(time.Unix(0, 0).UTC().Add(0).Add(checkSeconds(L, 1, firstSecond, lastSecond)))
			return 0
		},
		"advance": func(L *glua.LState) int {
			f.clock.advance(checkSeconds(L, 1, 0, 1e9))
			return 0
		},
	})
}

// checkSeconds is an argument in seconds within bounds.
func checkSeconds(L *glua.LState, n int, low, high float64) time.Duration {
	seconds := float64(L.CheckNumber(n))
	if !(seconds >= low && seconds <= high) {
		L.ArgError(n, "expected a number of seconds")
	}
	return time.Duration(seconds * float64(time.Second))
}
