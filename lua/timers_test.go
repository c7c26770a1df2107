package lua_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// handClock stands still until a test moves it; who sleeps wakes when it has come so far.
type handClock struct {
	mu    sync.Mutex
	now   time.Time
	moved chan struct{} // closed by the next move
}

func newHandClock() *handClock {
	return &handClock{now: time.Unix(1_800_000_000, 0), moved: make(chan struct{})}
}

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	close(c.moved)
	c.moved = make(chan struct{})
}

func (c *handClock) Sleep(ctx context.Context, d time.Duration) {
	c.mu.Lock()
	until := c.now.Add(d)
	c.mu.Unlock()
	for {
		c.mu.Lock()
		now, moved := c.now, c.moved
		c.mu.Unlock()
		if !now.Before(until) {
			return
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return
		}
	}
}

// whole draws the greatest number each time: a timer is due first after its interval.
type whole struct{}

func (whole) Read(p []byte) (int, error) {
	copy(p, bytes.Repeat([]byte{0xff}, len(p)))
	return len(p), nil
}

// timed loads a script with timers, and returns what it remembers.
func timed(t *testing.T, clock *handClock, source string, change func(*lua.Options)) (*lua.Scripts, func(key string) string) {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "a.lua", "local timer = require 'keystone.timer'\nlocal time = require 'keystone.time'\n"+source)
	memory := store.NewMemory(1<<20, time.Now)
	o := options(dir, "a.lua")
	o.Clock, o.Store, o.Random, o.Shards = clock, memory, whole{}, 4
	if change != nil {
		change(&o)
	}
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scripts.Close)
	scripts.InUse()
	return scripts, func(key string) string {
		value, _, err := memory.Get(context.Background(), key)
		if err != nil {
			t.Error(err)
		}
		return fmt.Sprint(value)
	}
}

// due moves the clock to the time of the next timer and runs what is due then.
func due(t *testing.T, scripts *lua.Scripts, clock *handClock) {
	t.Helper()
	at, ok := scripts.NextTimer()
	if !ok {
		t.Fatal("no timer is due any more")
	}
	clock.advance(at.Sub(clock.Now()))
	scripts.RunDueTimers(t.Context())
}

// TestTimersAreDue: each at its times, on any VM, and once only where it is to be.
func TestTimersAreDue(t *testing.T) {
	t.Parallel()
	clock := newHandClock()
	began := clock.Now()
	scripts, kept := timed(t, clock, `
		local function note(name) shared.set("log", (shared.get("log") or "") .. name .. math.floor(time.now() - 1800000000) .. " ") end
		timer.every(10, function() note("a") end)
		timer.every(25, function() note("b") end)
		timer:after(12.5, function() note("once") end)
		chi_route("GET", "/", function(_, response) response:write("x") end)`, nil)
	for clock.Now().Sub(began) < 50*time.Second {
		due(t, scripts, clock)
	}
	if got, want := kept("log"), "a10 once12 a20 b25 a30 a40 a50 b50 "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	clock.advance(95 * time.Second) // what was missed isn't made up for
	scripts.RunDueTimers(t.Context())
	if got := strings.TrimPrefix(kept("log"), "a10 once12 a20 b25 a30 a40 a50 b50 "); got != "a145 b145 " {
		t.Errorf("after a pause: %q", got)
	}
	if at, ok := scripts.NextTimer(); !ok || !at.Equal(began.Add(150*time.Second)) {
		t.Errorf("the next one is due at %v", at.Sub(began))
	}
	views := scripts.View().Timers
	if len(views) != 3 || views[0].Place != "a.lua:5" || views[0].Seconds != 10 || views[0].Runs != 6 || views[2].Next != nil || !views[2].Once || views[2].Seconds != 12.5 || views[1].Next == nil {
		t.Errorf("seen: %+v", views)
	}
}

// TestTimersBeginApart: the first time is somewhere in the interval, and the same for
// no two gateways.
func TestTimersBeginApart(t *testing.T) {
	t.Parallel()
	for drawn, want := range map[byte]time.Duration{0xff: 100 * time.Second, 0x7f: 50 * time.Second, 0: 0} {
		clock := newHandClock()
		scripts, _ := timed(t, clock, `timer.every(100, function() end)`, func(o *lua.Options) {
			o.Random = io.LimitReader(bytes.NewReader(bytes.Repeat([]byte{drawn}, 8)), 8)
		})
		at, ok := scripts.NextTimer()
		if off := at.Sub(clock.Now()) - want; !ok || off < -time.Second || off > time.Second {
			t.Errorf("drawing %x: due after %v, want %v", drawn, at.Sub(clock.Now()), want)
		}
	}
}

// TestTimersRunOnce: one run for all VMs, and never two at once, however long it takes.
func TestTimersRunOnce(t *testing.T) {
	t.Parallel()
	clock := newHandClock()
	scripts, kept := timed(t, clock, `
		timer.every(10, function()
			if shared.incr("inside") > 1 then shared.set("twice", true) end
			shared.incr("begun")
			time.sleep(25)
			shared.incr("inside", -1)
			shared.incr("ended")
		end)
		timer.every(10, function() shared.incr("other") end)`, nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); scripts.RunTimers(ctx) }()
	is := func(key, want string) {
		t.Helper()
		until.True(t, key+" is "+want, func() bool { return kept(key) == want })
	}
	for step, other := range []string{"1", "2", "3"} { // at 10, 20 and 30 s
		clock.advance(10 * time.Second)
		is("other", other)
		is("begun", "1")
		if step < 2 && kept("ended") != "<nil>" {
			t.Error("it has ended already")
		}
	}
	clock.advance(5 * time.Second) // 35 s
	is("ended", "1")
	until.True(t, "it knows its next time", func() bool { return !scripts.View().Timers[0].Running })
	clock.advance(5 * time.Second) // 40 s: its next time
	is("begun", "2")
	cancel() // while it sleeps
	<-done
	if kept("twice") != "<nil>" || kept("ended") != "1" {
		t.Errorf("twice at once: %s, ended: %s", kept("twice"), kept("ended"))
	}
	if n := len(scripts.View().LastErrors); n > 0 {
		t.Errorf("that it was ended is %d errors", n)
	}
}

// TestTimersEnd: also one that never would.
func TestTimersEnd(t *testing.T) {
	t.Parallel()
	clock := newHandClock()
	scripts, kept := timed(t, clock, `timer.after(1, function() shared.set("runs", true) while true do end end)`, func(o *lua.Options) {
		o.Config.Timeout, o.Config.MaxInstructions, o.Config.TotalTimeout = 3600e9, 1<<40, 0
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); scripts.RunTimers(ctx) }()
	clock.advance(time.Second)
	until.True(t, "it runs", func() bool { return kept("runs") == "true" })
	cancel()
	<-done
}

// TestTimersFail: a failure is kept and counted, and the timer goes on; one that uses up
// its limits is kept from running for a while, and requests aren't.
func TestTimersFail(t *testing.T) {
	t.Parallel()
	clock := newHandClock()
	scripts, kept := timed(t, clock, `
		timer.every(1, function() shared.incr("failing") error("no luck") end)
		timer.every(2, function() shared.incr("endless") while true do end end)
		local kept
		timer.after(1, function() return kept.method end)
		chi_route("GET", "/", function(request, response) kept = request response:write("served") end)`, func(o *lua.Options) {
		o.Config.MaxInstructions, o.Config.QuarantineAfter = 10_000, 2
	})
	served := func() {
		t.Helper()
		p := newPage()
		r := &p.request.request
		r.Key, r.Below, r.Path, r.Method = []byte("/"), []byte("/"), []byte("/"), []byte("GET")
		if got := p.answered(scripts.Serve(p, 0)); !strings.Contains(got, "served") {
			t.Errorf("a request gets %q", got)
		}
	}
	served()
	for range 9 {
		due(t, scripts, clock)
	}
	view := scripts.View()
	if kept("failing") == "<nil>" || view.Timers[0].Failures < 5 || view.Timers[0].Runs != view.Timers[0].Failures {
		t.Errorf("the failing one has run %s times: %+v", kept("failing"), view.Timers[0])
	}
	messages := ""
	for _, e := range view.LastErrors {
		if e.Script != "a.lua" {
			t.Errorf("an error of %q", e.Script)
		}
		messages += e.Kind + " " + e.Message + " " + e.Stack + "\n"
	}
	for _, want := range []string{"error a.lua:4: no luck", "instructions a.lua:5: lua.max_instructions 10000 is used up", "in the function of a timer", "there is no request while a timer runs"} {
		if !strings.Contains(messages, want) {
			t.Errorf("no error %q in\n%s", want, messages)
		}
	}
	for range 20 {
		due(t, scripts, clock)
	}
	if runs := scripts.View().Timers[1].Runs; runs > 9 || runs < 4 { // of 14 times that it was due
		t.Errorf("the endless one has run %d times", runs)
	}
	served()
}

// TestTimersAreBounded: in number and in what they may be, and declared while scripts
// are loaded.
func TestTimersAreBounded(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`for i = 1, 4 do timer.every(60, function() end) end`: "too many timers: lua.max_timers is 3",
		`timer.every(0.5, function() end)`:                    "seconds expected, from 1 to 2592000",
		`timer.after(0/0, function() end)`:                    "seconds expected, from 1 to 2592000",
		`timer.after(1e9, function() end)`:                    "seconds expected, from 1 to 2592000",
		`timer.every(60)`:                                     "function expected, got no value",
		`timer.every("often", function() end)`:                "number expected",
		`timer.every(60, "f")`:                                "function expected, got string",
	} {
		dir := t.TempDir()
		put(t, dir, "a.lua", "local timer = require 'keystone.timer'\n"+source)
		o := options(dir, "a.lua")
		o.Config.MaxTimers = 3
		if _, err := lua.Load(o); err == nil || !strings.Contains(err.Error(), "a.lua:2: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", source, err, want)
		}
	}
	if got := sees(t, `require("keystone.timer").every(60, function() end)`, nil); !strings.Contains(got, "timer.every can only be called while the script is loaded") {
		t.Errorf("in a request: %s", got)
	}
}

// TestTimersOfOtherVMs: a VM in which a timer hasn't been declared doesn't run another
// function in its place.
func TestTimersOfOtherVMs(t *testing.T) {
	t.Parallel()
	clock := newHandClock()
	scripts, kept := timed(t, clock, `
		if not shared.get("loaded") then timer.every(60, function() shared.set("ran", "first") end) end
		timer.every(60, function() shared.set("ran", "second") end)
		shared.set("loaded", true)`, func(o *lua.Options) { o.Lazy = true })
	at, _ := scripts.NextTimer()
	clock.advance(at.Sub(clock.Now()))
	scripts.RunDueTimers(t.Context())
	if kept("ran") != "<nil>" {
		t.Errorf("%s has run", kept("ran"))
	}
	if errors := scripts.View().LastErrors; len(errors) == 0 || !strings.Contains(errors[0].Message, "wasn't declared when the VM was made") {
		t.Errorf("errors: %v", errors)
	}
}
