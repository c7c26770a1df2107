package modules_test

import (
	"context"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
)

func TestTime(t *testing.T) {
	t.Parallel()
	runTextCases(t, []textCase{
		{`return time.now(), time.unix(), time.monotonic()`, "1.70000000025e+09 1700000000 0"},
		{`local a = time.monotonic() time.sleep(1.5) return time.monotonic() - a, time.now()`, "1.5 1.70000000175e+09"},
		{`return time.format(), time.format(0), time.format(-0.5, "%L"), time.format(0, "http")`,
			"2023-11-14T22:13:20Z 1970-01-01T00:00:00Z 500 Thu, 01 Jan 1970 00:00:00 GMT"},
		{`return time.format(1e9 + 0.125, "%Y-%m-%d %H:%M:%S.%L %f %y %b %B %a %A %e %j %p %I %s %F %T %z %Z%% Jan 2006")`,
			"2001-09-09 01:46:40.125 125000 01 Sep September Sun Sunday  9 252 AM 01 1000000000 2001-09-09 01:46:40 +0000 UTC% Jan 2006"},
		{`return time.format(0, "%Q")`, `error: unknown directive "%Q"`},
		{`return time.format(0, "%")`, "error: unknown directive %"},
		{`return time.format(0, "%\0")`, `error: unknown directive "%\x00"`},
		{`return time.format(0, ("x"):rep(2000))`, "error: longer than 1024"},
		{`return time.format(0/0)`, "error: not a time"},
		{`return time.format(1/0)`, "error: not a time"},
		{`return time.format(-1e300)`, "error: not a time"},
		{`return time.format(253402300799.9), time.format(-62135596800)`, "9999-12-31T23:59:59Z 0001-01-01T00:00:00Z"},
		{`return time.parse("2023-11-14T22:13:20Z"), time.parse("2023-11-14T23:13:20.5+01:00")`, "1700000000 1.7000000005e+09"},
		{`return time.parse("Sun, 06 Nov 1994 08:49:37 GMT", "http"), time.parse("Sunday, 06-Nov-94 08:49:37 GMT", "http"), time.parse("Sun Nov  6 08:49:37 1994", "http")`,
			"784111777 784111777 784111777"},
		{`return time.parse("14/Nov/2023:22:13:20 +0000", "%d/%b/%Y:%H:%M:%S %z")`, "1700000000"},
		{`return time.parse("Tuesday 11:05:06 PM, september  9 69 +02:30", "%A %I:%M:%S %p, %B %e %y %z")`, "-9775494"},
		{`return time.parse("2024 366", "%Y %j"), time.parse("-5", "%s"), time.parse("1970-01-01 00:00:01.250%", "%F %T.%L%%")`,
			"1735603200 -5 1.25"},
		{`return time.parse("2023 366", "%Y %j")`, "nil no such time"},
		{`return time.parse("2023-02-29", "%F")`, "nil no such time"},
		{`return time.parse("2023-13-29", "%F")`, "nil no such time"},
		{`return time.parse("+123-01-01", "%F")`, "nil the text doesn't fit the layout"},
		{`return time.parse("2023-01-01x", "%F")`, "nil the text doesn't fit the layout"},
		{`return time.parse("x")`, "nil the text doesn't fit the layout"},
		{`return time.parse(("1"):rep(100000), "%s")`, "nil the text doesn't fit the layout"},
		{`return time.parse("x", "%Q")`, "error: unknown directive"},
		{`return time.parse("x", "x%")`, "error: unknown directive"},
		{`return time.sleep(-1)`, "error: not a duration"},
		{`return time.sleep(0/0)`, "error: not a duration"},
		{`return time.sleep(1/0)`, "error: not a duration"},
		{`return time.sleep("x")`, "error: bad argument #1"},
		{`time.sleep(1e300) return time.unix() - 1700000000`, "1000000000"},
	})
}

// waitingClock sleeps until the context is done.
type waitingClock struct{}

func (waitingClock) Now() time.Time { return time.Unix(0, 0) }
func (waitingClock) Sleep(ctx context.Context, _ time.Duration) {
	<-ctx.Done()
}

// The run's time-out ends a sleep, and pcall can't go on after it.
func TestTimeSleepEnds(t *testing.T) {
	t.Parallel()
	limits := vmtest.Limits()
	v := newTextVM(t, limits)
	v.tenant.Clock = waitingClock{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	lock := vm.NewLock(v.L, vm.NewLedger(0, 0), nil)
	lock.Lock()
	defer lock.Unlock()
	run := &vm.Run{}
	run.Begin(ctx, lock, limits)
	defer run.End()
	v.L.SetContext(run)
	if got := v.eval(`pcall(time.sleep, 1000) return "went on"`); got == "went on" {
		t.Error("the script went on")
	}
	if run.Exhausted() == nil || run.Exhausted().Reason != vm.Cancelled {
		t.Errorf("ended for %v, want cancelled", run.Exhausted())
	}
}

func FuzzTimeParse(f *testing.F) {
	f.Add("14/Nov/2023:22:13:20 +0000", "%d/%b/%Y:%H:%M:%S %z")
	f.Add("1e9", "%s")
	f.Add("%", "%F %T %j %I %p %e")
	f.Fuzz(func(t *testing.T, text, layout string) {
		v := newTextVM(t, vmtest.Limits())
		code := `local t = time.parse(...) if t and t >= -62135596800 and t < 253402300800 then time.format(t, (select(2, ...))) end`
		fn, err := v.L.LoadString(code)
		if err != nil {
			t.Fatal(err)
		}
		v.L.Push(fn)
		v.L.Push(luaString(text))
		v.L.Push(luaString(layout))
		if err := v.L.PCall(2, 0, nil); err != nil && v.run.Exhausted() != nil {
			t.Fatal(err)
		}
	})
}
