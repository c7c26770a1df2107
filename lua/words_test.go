package lua

import (
	"errors"
	"strings"
	"testing"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// TestPositionsInMessages: what begins with a script's file and line.
func TestPositionsInMessages(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"a.lua:1: x": true, "shop/lib.lua:90: x": true, "a.lua:0:": true, "a.lua:9": true, "a.lua:": false, "a.lua:/": false, "a.lua::": false, "a.lua: x": false, "a.lua": false, "": false, "x:1: y": false,
	} {
		if got := hasPosition(text); got != want {
			t.Errorf("%q has a position: %v", text, got)
		}
	}
	for stack, want := range map[string]string{
		"stack traceback:\n\t[G]: in function 'error'\n\ta.lua:7: in function 'f'\n\tb.lua:9: in main chunk": "a.lua:7: ",
		"\t  shop/lib.lua:12: in x": "shop/lib.lua:12: ", "a.lua:3": "a.lua:3: ", "[G]: ?": "", "": "",
	} {
		if got := firstPosition(stack); got != want {
			t.Errorf("%q: %q, want %q", stack, got, want)
		}
	}
}

// TestLongMessages are cut, so that what is kept of them is bounded, and have no NUL.
func TestLongMessages(t *testing.T) {
	t.Parallel()
	of := func(n int) string { return strings.Repeat("x", n) }
	for text, want := range map[string]string{
		"": "", "a\x00b": "ab", of(maxMessage): of(maxMessage), of(maxMessage + 1): of(maxMessage) + "…", of(3 * maxMessage): of(maxMessage) + "…",
		strings.Repeat("\x00", maxMessage) + of(maxMessage):          of(maxMessage),
		strings.Repeat("\x00", maxMessage) + of(maxMessage+1):        of(maxMessage), // beyond twice as much nothing is looked at
		strings.Repeat("\x00", maxMessage-1) + of(maxMessage+1) + "": of(maxMessage) + "…",
	} {
		if got := clip(text); got != want {
			t.Errorf("of %d bytes, %d are kept, want %d", len(text), len(got), len(want))
		}
	}
}

// TestWordsOfFailures: what is said of each way to fail.
func TestWordsOfFailures(t *testing.T) {
	t.Parallel()
	const stack = "stack traceback:\n\t[G]: in function 'error'\n\ta.lua:7: in function 'f'"
	raised := func(object glua.LValue, kind glua.ApiErrorType) error {
		return &glua.ApiError{Type: kind, Object: object, StackTrace: stack}
	}
	spent := &vm.Exhausted{Reason: vm.OutOfTime, Limit: "lua.timeout 1s is used up"}
	for _, c := range []struct {
		err       error
		exhausted *vm.Exhausted
		kind      string
		message   string
	}{
		{raised(glua.LString("a.lua:9: no"), glua.ApiErrorRun), nil, "error", "a.lua:9: no"},
		{raised(glua.LString("no"), glua.ApiErrorRun), nil, "error", "a.lua:7: no"},
		{raised(glua.LNumber(5), glua.ApiErrorRun), nil, "error", "a.lua:7: 5"},
		{raised(glua.LTrue, glua.ApiErrorRun), nil, "error", "a.lua:7: (error object is a boolean value)"},
		{raised(nil, glua.ApiErrorRun), nil, "error", "a.lua:7: nil"},
		{raised(glua.LString("a callstack overflow"), glua.ApiErrorRun), nil, "error", "a.lua:7: a callstack overflow"},
		{raised(glua.LString("a callstack overflow"), glua.ApiErrorPanic), nil, "error", "a.lua:7: stack overflow"},
		{raised(glua.LString("a.lua:9: lua.timeout 1s is used up"), glua.ApiErrorRun), spent, "timeout", "a.lua:9: lua.timeout 1s is used up"},
		{raised(glua.LString("a.lua:9: something else"), glua.ApiErrorRun), spent, "timeout", "a.lua:7: lua.timeout 1s is used up"},
	} {
		failed, ok := failure(c.err, c.exhausted).(*Error) //nolint:errorlint // failure returns it unwrapped
		if !ok || failed.Kind != c.kind || failed.Message != c.message || failed.Error() != c.message || failed.Stack != "[G]: in function 'error'\n\ta.lua:7: in function 'f'" {
			t.Errorf("%v: %+v, want %q", c.err, failed, c.message)
		}
		if ok && failed.Limited() != (c.exhausted != nil) {
			t.Errorf("%v is for want of something: %v", c.err, failed.Limited())
		}
	}
	other := errors.New("other")
	if got := failure(other, spent); got != other {
		t.Errorf("what is no script's became %v", got)
	}
}

// TestWordsOfErrors: what errors say, and what is beneath them.
func TestWordsOfErrors(t *testing.T) {
	t.Parallel()
	cause := errors.New("boom")
	short := BrokenScripts{{Script: "a.lua", Err: cause, Passing: true, Memory: true}, {Err: errors.New("x")}}
	for _, c := range []struct {
		err     error
		want    string
		beneath error
	}{
		{&LoadError{"a.lua", cause}, "a.lua: boom", cause},
		{&LoadError{"a.lua", &Error{Message: "lib.lua:7: no"}}, "lib.lua:7: no", nil},
		{&LoadError{"a.lua", &Error{Message: "no"}}, "a.lua: no", nil},
		{&Broken{Script: "a.lua", Err: cause}, "boom", cause},
		{short, "boom\nx", nil},
		{&UnavailableError{Err: cause, Left: 1500400 * time.Microsecond}, "the scripts can't be loaded any more, it is tried again in 1.5s: boom", cause},
		{&QuarantineError{Script: "a.lua", Left: 1500400 * time.Microsecond}, "the script a.lua is in quarantine for another 1.5s", nil},
		{&MethodError{Allow: "GET"}, "the path has no route for this method", nil},
		{&Ending{cause}, "boom", cause},
	} {
		if c.err.Error() != c.want || c.beneath != nil && !errors.Is(c.err, c.beneath) {
			t.Errorf("%T says %q, want %q; beneath it is %v", c.err, c.err, c.want, errors.Unwrap(c.err))
		}
	}
	for _, c := range []struct {
		list            BrokenScripts
		passing, memory bool
	}{{nil, false, false}, {short, true, true}, {BrokenScripts{short[1], short[0]}, false, false}, {BrokenScripts{{Passing: true}}, true, false}} {
		if c.list.Passing() != c.passing || c.list.Memory() != c.memory {
			t.Errorf("%v may pass: %v, for memory: %v", c.list, c.list.Passing(), c.list.Memory())
		}
		unavailable := &UnavailableError{Err: c.list}
		if unavailable.Memory() != c.memory {
			t.Errorf("%v is for memory: %v", unavailable, unavailable.Memory())
		}
	}
	if (&UnavailableError{Err: cause}).Memory() {
		t.Error("any error is for want of memory")
	}
	for kind, limited := range map[string]bool{KindError: false, KindLoad: false, KindShed: true, KindTurns: true, string(vm.OutOfMemory): true} {
		if (&Error{Kind: kind}).Limited() != limited {
			t.Errorf("%s is limited: %v", kind, !limited)
		}
	}
}

// TestErrorsThatAreKept count with all their text.
func TestErrorsThatAreKept(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("x", keptBytes/8)
	for name, e := range map[string]*Error{
		"id": {ID: text}, "script": {Script: text}, "kind": {Kind: text}, "message": {Message: text}, "stack": {Stack: text},
	} {
		var l errorLog
		for range 8 {
			if l.add(e); len(l.newest()) == 0 {
				t.Errorf("%s: nothing is kept", name)
			}
		}
		if n := len(l.newest()); n != 8 {
			t.Errorf("of as much text in %s as may be, %d are kept", name, n)
		}
		if l.add(&Error{ID: "x"}); len(l.newest()) != 8 || l.newest()[0].ID != "x" || l.bytes != 7*len(text)+1 {
			t.Errorf("of more in %s: %d are kept, %d bytes", name, len(l.newest()), l.bytes)
		}
		if l.add(&Error{ID: strings.Repeat("x", 2*keptBytes)}); len(l.newest()) != 1 {
			t.Errorf("of too much: %d are kept", len(l.newest()))
		}
	}
	var l errorLog
	for range keptErrors + 1 {
		l.add(&Error{})
	}
	if n := len(l.newest()); n != keptErrors {
		t.Errorf("%d are kept", n)
	}
}
