package upstream

import (
	"errors"
	"fmt"
)

// Reason says why a call failed.
type Reason uint8

// The reasons. For those up to Overflow nothing of the request has reached a
// target; they are retried whatever its method.
const (
	NoTarget        Reason = iota + 1 // every target of the pool is down
	ConnectFailed                     // refused, unreachable, TLS failed
	ConnectTimeout                    // not connected in time
	SendFailed                        // the connection died before the first byte was written
	Overflow                          // too many requests wait for a connection
	NoResponse                        // the connection died before the first byte of the response
	ResponseTimeout                   // no response head in time
	BadResponse                       // the response head is malformed or was cut
	Aborted                           // the caller gave up
)

var reasonTexts = [...]string{
	NoTarget: "no healthy target", ConnectFailed: "cannot connect", ConnectTimeout: "connecting took too long",
	SendFailed: "cannot send", Overflow: "too many requests wait for a connection",
	NoResponse: "the connection ended before a response", ResponseTimeout: "the response took too long",
	BadResponse: "malformed response", Aborted: "given up",
}

func (r Reason) String() string { return reasonTexts[r] }

// Failure is the error of a call: why, which target, and what lies beneath.
type Failure struct {
	Reason Reason
	Target *Target // nil with NoTarget
	Err    error   // may be nil

	keptConn bool // it happened on a connection that had served before
}

func (f *Failure) Error() string {
	switch {
	case f.Target == nil && f.Err != nil:
		return f.Err.Error()
	case f.Target == nil:
		return f.Reason.String()
	case f.Err == nil:
		return fmt.Sprintf("target %q: %s", f.Target.Name(), f.Reason)
	case errors.As(f.Err, new(*ConnectError)): // which says all of it
		return f.Err.Error()
	}
	return fmt.Sprintf("target %q: %s: %v", f.Target.Name(), f.Reason, f.Err)
}

// Unwrap returns what lies beneath.
func (f *Failure) Unwrap() error { return f.Err }

// unsent reports that no byte of the request has left.
func (f *Failure) unsent() bool { return f.Reason <= Overflow && f.Reason != NoTarget }
