package lua

import (
	"errors"
	"fmt"
	"strings"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// Kinds of Error, besides the reasons of vm.Exhausted.
const (
	KindError = "error" // the script raised it, or used something wrongly
	KindLoad  = "load"  // on a VM that was made after the scripts had been accepted
	KindShed  = string(vm.Shed)
	KindTurns = string(vm.OutOfTurns) // of the requests, not the script's fault
)

// Error is a script's failure.
type Error struct {
	ID      string    `json:"request_id"`
	At      time.Time `json:"at"`
	Script  string    `json:"script"`
	Kind    string    `json:"kind"`
	Message string    `json:"message"` // with file and line, where known
	Stack   string    `json:"stack"`
}

func (e *Error) Error() string { return e.Message }

// Limited reports whether the script failed for want of instructions, time or
// memory.
func (e *Error) Limited() bool { return e.Kind != KindError && e.Kind != KindLoad }

// Errors that a request ends with for other reasons than a script's failure.
var (
	ErrBusy     = errors.New("too many requests wait for the tenant's scripts")
	ErrNotFound = errors.New("no route of the scripts matches, and there is no pool")
	ErrGone     = errors.New("the client went away")
)

// QuarantineError says that a script isn't run for a while.
type QuarantineError struct {
	Script string
	Left   time.Duration
}

func (e *QuarantineError) Error() string {
	return fmt.Sprintf("the script %s is in quarantine for another %v", e.Script, e.Left.Round(time.Millisecond))
}

// MethodError says that a path has routes, but none for the method.
type MethodError struct{ Allow string }

func (e *MethodError) Error() string { return "the path has no route for this method" }

// carried is a Lua error value that stands for a Go error of its request.
type carried struct {
	of    handle
	index int // in the call's raised
	text  string
}

// raise raises a Go error, so that it comes out of the run again unless the
// script catches it.
func (c *call) raise(L *glua.LState, err error) {
	value, text := L.NewUserData(), err.Error()
	c.run.Charge(L, 200+len(text))
	value.Value = &carried{of: c.number, index: len(c.raised), text: text}
	value.Metatable = c.shard.errorMeta
	c.raised = append(c.raised, err)
	L.Error(value, 1)
}

// errorString is __tostring of a carried error.
func errorString(L *glua.LState) int {
	text := "error"
	if value, ok := L.Get(1).(*glua.LUserData); ok {
		if e, ok := value.Value.(*carried); ok {
			e.of.call(L)
			text = e.text
		}
	}
	L.Push(glua.LString(text))
	return 1
}

// cause makes sense of what the protected call of a request has returned:
// either the Go error that was raised through Lua, or the script's failure.
func (c *call) cause(err error, exhausted *vm.Exhausted) error {
	if raised, ok := errors.AsType[*glua.ApiError](err); ok && exhausted == nil {
		if value, ok := raised.Object.(*glua.LUserData); ok {
			if e, ok := value.Value.(*carried); ok && e.of == c.number {
				return c.raised[e.index]
			}
		}
	}
	return failure(err, exhausted)
}

// maxMessage bounds what is kept of an error's message and of its stack.
const maxMessage = 4 << 10

// failure makes an Error of a script's failure; other errors it returns.
func failure(err error, exhausted *vm.Exhausted) error {
	var raised *glua.ApiError
	if !errors.As(err, &raised) {
		return err
	}
	e := &Error{Kind: KindError, Stack: clip(strings.TrimPrefix(raised.StackTrace, "stack traceback:\n\t")), Message: clip(textOf(raised.Object))}
	if exhausted != nil {
		e.Kind = string(exhausted.Reason)
		if !strings.Contains(e.Message, exhausted.Limit) {
			e.Message = exhausted.Limit
		}
	}
	if raised.Type == glua.ApiErrorPanic && strings.Contains(e.Message, "callstack overflow") {
		e.Message = "stack overflow"
	}
	if !hasPosition(e.Message) {
		e.Message = firstPosition(raised.StackTrace) + e.Message
	}
	return e
}

// textOf words an error value as Lua's own interpreter would.
func textOf(v glua.LValue) string {
	switch v := v.(type) {
	case glua.LString, glua.LNumber:
		return vm.Text(v)
	case nil:
		return "nil"
	}
	return fmt.Sprintf("(error object is a %s value)", v.Type())
}

func clip(s string) string {
	if len(s) > 2*maxMessage { // or what follows would take long
		s = s[:2*maxMessage]
	}
	s = strings.ReplaceAll(s, "\x00", "") // the names of the compiler's own functions
	if len(s) > maxMessage {
		return s[:maxMessage] + "…"
	}
	return strings.Clone(s) // it may be a small part of something large
}

// firstPosition returns the innermost place in a script that a stack trace
// names, as "file:line: ", or nothing.
func firstPosition(stack string) string {
	for line := range strings.Lines(stack) {
		line = strings.TrimSpace(line)
		if !hasPosition(line) {
			continue
		}
		name, rest, _ := strings.Cut(line, ".lua:")
		number, _, _ := strings.Cut(rest, ":")
		return name + ".lua:" + number + ": "
	}
	return ""
}

// hasPosition reports whether a message begins with "file:line:".
func hasPosition(message string) bool {
	_, rest, ok := strings.Cut(message, ".lua:")
	return ok && len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9'
}
