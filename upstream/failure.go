package upstream

import (
	"errors"
	"fmt"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

// Reason says why a call failed.
type Reason uint8

// The reasons. For those up to Overflow nothing of the request has been looked at
// by a target; they are retried whatever its method.
const (
	NoTarget        Reason = iota + 1 // every target of the pool is down
	ConnectFailed                     // refused, unreachable, TLS failed
	ConnectTimeout                    // not connected in time
	SendFailed                        // the connection died before the first byte was written
	Refused                           // the target says that it has done nothing with it (HTTP/2)
	Overflow                          // too many requests wait for a connection
	NoResponse                        // the connection died before the first byte of the response
	ResponseTimeout                   // no response head in time
	BadResponse                       // the response head is malformed or was cut
	ResetByTarget                     // the target has ended the stream before a response (HTTP/2)
	GRPCStatus                        // it has answered with a status of gRPC that is retried
	StatusRetried                     // it has answered with a status that is retried
	Aborted                           // the caller gave up
)

var reasonTexts = [...]string{
	NoTarget: "no healthy target", ConnectFailed: "cannot connect", ConnectTimeout: "connecting took too long",
	SendFailed: "cannot send", Overflow: "too many requests wait for a connection",
	NoResponse: "the connection ended before a response", ResponseTimeout: "the response took too long",
	Refused: "it takes no request now", ResetByTarget: "it has given the request up", GRPCStatus: "refused", StatusRetried: "its status is retried", BadResponse: "malformed response", Aborted: "given up",
}

func (r Reason) String() string { return reasonTexts[r] }

// Failure is the error of a call: why, which target, and what lies beneath.
type Failure struct {
	Reason Reason
	Target *Target // nil with NoTarget
	Err    error   // may be nil
	// Setting is what has passed or was used up, with its value, as in
	// "timeouts.response_header (1m0s)"; "" where it was none.
	Setting string

	pool     *Pool // whose targets are down, with NoTarget
	keptConn bool  // it happened on a connection that had served before
	ours     bool  // the target has not had its chance
}

func (f *Failure) Error() string {
	switch {
	case f.Target == nil && f.Err != nil:
		return f.Err.Error()
	case f.Reason == NoTarget && f.pool != nil:
		return f.pool.downReasons()
	case f.Target == nil:
		return f.Reason.String()
	case f.Setting != "":
		return fmt.Sprintf("target %q: %s", f.Target.Name(), f.Setting)
	case f.Err == nil:
		return fmt.Sprintf("target %q: %s", f.Target.Name(), f.Reason)
	case errors.As(f.Err, new(*ConnectError)): // which says all of it
		return f.Err.Error()
	}
	return fmt.Sprintf("target %q: %s: %s", f.Target.Name(), f.Reason, cause.Text(f.Err))
}

// Unwrap returns what lies beneath.
func (f *Failure) Unwrap() error { return f.Err }

// noTarget is the failure of a call for which no target is healthy.
func (c *Call) noTarget(p *Pool) *Failure {
	if t := c.Only; t != nil {
		return &Failure{Reason: NoTarget, Err: fmt.Errorf("target %q, which a script has chosen, %s", t.Name(), t.downReason(1))}
	}
	return &Failure{Reason: NoTarget, pool: p}
}
