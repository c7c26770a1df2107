package upstream

import (
	"errors"

	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
)

// outcome is what came of something that was done with a target.
type outcome struct {
	kind  outcomeKind
	err   error       // nil where it was a success
	probe probeResult // of probed

	status int   // of responded
	took   int64 // of responded: nanoseconds until its head
}

type outcomeKind uint8

const (
	answered    outcomeKind = iota + 1 // a response head was read, of a request or a probe
	responded                          // a final response head, of a request
	completed                          // all of that response
	failed                             // an attempt, with a *Failure
	cut                                // a response whose head was good hasn't come whole
	unreachable                        // no connection to it could be made for a request
	probed                             // the end of a probe; err is nil after a good one
	resolved                           // the end of a lookup while its name has no address; err is nil once it has
)

// observe is how a target learns what it is like: counters, health, and
// whatever else judges by what has happened; Begin counts what is admitted. It
// runs on the request path, so it doesn't block. What follows for the pools they
// are told by publish.
func (t *Target) observe(o outcome) {
	switch o.kind {
	case answered:
		if !t.answered.Load() { // written once: the flag is shared by all requests
			t.answered.Store(true)
		}
	case failed:
		failure, ok := errors.AsType[*Failure](o.err)
		switch {
		case ok && failure.Reason == Overflow:
			t.Overflows.Add(1)
		case ok && failure.ofTarget():
			t.Failures.Add(1)
			t.failedLocally()
		}
	case responded:
		t.responded(o.status, o.took)
	case completed:
		t.completed()
	case cut:
		t.Failures.Add(1)
		t.Cuts.Add(1)
		t.failedLocally()
	case unreachable:
		t.Unreachable.Add(1)
		t.mark(o.err)
	case probed:
		t.record(o.probe, o.err)
	case resolved:
		t.lookedUp(o.err)
	}
}

// ofTarget reports whether the target has failed the request: not the client,
// and not a limit or a shortage of the gateway's own.
func (f *Failure) ofTarget() bool {
	return !f.ours && f.Reason != Aborted && f.Reason != Overflow && f.Reason != NoTarget && !errors.Is(f.Err, memory.ErrNoMemory)
}

// Cut says that the target has not sent the whole response: it counts as a
// failure of the target.
func (c *Call) Cut() {
	if c.Target != nil {
		c.Target.observe(outcome{kind: cut})
	}
}
