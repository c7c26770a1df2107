package syntax

import "fmt"

// Limits of a source. The first three are Lua 5.1's own.
const (
	MaxNesting = 200 // blocks, functions and expressions within each other
	MaxLocals  = 200 // variables of one function at a time
	MaxTargets = 200 // of one assignment
)

// maxAwaited is how many labels may be awaited by gotos in blocks that have ended:
// they are looked at again at the end of each block around.
const maxAwaited = 1000

// Error is what is wrong with a source.
type Error struct {
	Pos
	Message string
}

// Error has the form "line:column: message".
func (e *Error) Error() string {
	return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message)
}

// fail ends the parsing.
func fail(at Pos, format string, args ...any) {
	panic(&Error{at, fmt.Sprintf(format, args...)})
}

// maxNear bounds what a message quotes of a token, in bytes.
const maxNear = 60

func clip(text string) string {
	if len(text) > maxNear {
		return text[:maxNear] + "…"
	}
	return text
}
