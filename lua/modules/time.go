package modules

import (
	"context"
	"math"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// Times that scripts may format: the years 1 to 9999.
const (
	timeMin = -62135596800
	timeMax = 253402300799
)

// timeMaxLayout bounds layouts and what is parsed, in bytes.
const timeMaxLayout = 1024

// openTime makes the time module. Times are seconds since 1970 in UTC, as
// numbers with fractions. A layout is "rfc3339" (the default), "http" (RFC
// 9110) or text with the directives of strftime: %Y %m %d %H %M %S, %y %b %B %a
// %A %e %j %p %I, %L (milliseconds) %f (microseconds), %s (seconds since 1970),
// %F (%Y-%m-%d) %T (%H:%M:%S), %z (+0000) %Z (UTC), %n %t %%.
func openTime(L *glua.LState, t *Tenant) *glua.LTable {
	return L.SetFuncs(L.CreateTable(0, 1), map[string]glua.LGFunction{
		"now": timeNow(t), "unix": timeUnix(t), "monotonic": timeMonotonic(t),
		"format": timeFormat(t), "parse": timeParse, "sleep": timeSleep(t),
	})
}

// time.now() -> number: the time, with fractions of a second.
func timeNow(t *Tenant) glua.LGFunction {
	return func(L *glua.LState) int {
		L.Push(timeSeconds(t.Clock.Now()))
		return 1
	}
}

// time.unix() -> integer: the time in whole seconds.
func timeUnix(t *Tenant) glua.LGFunction {
	return func(L *glua.LState) int {
		L.Push(glua.LNumber(t.Clock.Now().Unix()))
		return 1
	}
}

// time.monotonic() -> number: seconds since some moment, for measuring: it
// doesn't jump when the clock is set.
func timeMonotonic(t *Tenant) glua.LGFunction {
	start := t.Clock.Now()
	return func(L *glua.LState) int {
		L.Push(glua.LNumber(t.Clock.Now().Sub(start).Seconds()))
		return 1
	}
}

// time.format(seconds?, layout?) -> string: the time, or now, as text.
func timeFormat(t *Tenant) glua.LGFunction {
	return func(L *glua.LState) int {
		when := t.Clock.Now().UTC()
		if L.Get(1) != glua.LNil {
			seconds := checkNumber(L, 1)
			if !(seconds >= timeMin && seconds < timeMax+1) {
				vm.ArgError(L, 1, "not a time in the years 1 to 9999")
			}
			whole := math.Floor(seconds)
			when = time.Unix(int64(whole), int64((seconds-whole)*1e9)).UTC()
		}
		layout := timeLayout(L)
		text, bad := formatTime(when, layout)
		if bad != "" {
			vm.ArgError(L, 2, "unknown directive "+bad)
		}
		vm.RunOf(L).Charge(L, len(text)+16)
		L.Push(glua.LString(text))
		return 1
	}
}

// timeLayout is the argument 2, in directives.
func timeLayout(L *glua.LState) string {
	layout := vm.OptString(L, 2, "rfc3339")
	if len(layout) > timeMaxLayout {
		vm.ArgError(L, 2, "the layout is longer than 1024 bytes")
	}
	vm.RunOf(L).Spend(L, 5+len(layout))
	return layout
}

// time.parse(text, layout?) -> seconds | nil, message: the time that the text
// stands for. All of the text must fit the layout; what the layout doesn't say
// is that of 1970-01-01T00:00:00Z. "rfc3339" takes fractions and any offset,
// "http" the three forms of RFC 9110.
func timeParse(L *glua.LState) int {
	text, layout := vm.CheckString(L, 1), timeLayout(L)
	var when time.Time
	var err error
	if len(text) > 8*timeMaxLayout {
		err = errTimeMismatch
	} else {
		vm.RunOf(L).Spend(L, 20)
		when, err = parseTime(text, layout)
	}
	if err == errTimeLayout {
		vm.ArgError(L, 2, err.Error())
	}
	if err != nil {
		L.Push(glua.LNil)
		L.Push(glua.LString(err.Error()))
		return 2
	}
	L.Push(timeSeconds(when))
	return 1
}

func timeSeconds(t time.Time) glua.LNumber {
	return glua.LNumber(float64(t.Unix()) + float64(t.Nanosecond())/1e9)
}

// time.sleep(seconds): waits, while other requests use the VM. The time-outs
// of the request end it early, and the request with it.
func timeSleep(t *Tenant) glua.LGFunction {
	return func(L *glua.LState) int {
		seconds := checkNumber(L, 1)
		if !(seconds >= 0) || math.IsInf(seconds, 0) {
			vm.ArgError(L, 1, "not a duration")
		}
		d := time.Duration(min(seconds, 1e9) * float64(time.Second)) // some 30 years: the request ends before
		vm.RunOf(L).Block(L, func(ctx context.Context) { t.Clock.Sleep(ctx, d) })
		return 0
	}
}
