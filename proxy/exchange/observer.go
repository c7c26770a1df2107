package exchange

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// Observer is told what becomes of exchanges, each by its own goroutine: whatever
// counts, logs or traces requests is one. It must not wait, and keep nothing of
// what it is shown.
type Observer interface {
	// Begin comes first, when nothing is known but the client.
	Begin(r *Record)
	// Stage comes before each stage that is entered.
	Stage(r *Record, s Stage)
	// Attempt comes after each attempt at a target, with the failure of one that has
	// none of its response; nil is success.
	Attempt(r *Record, t *upstream.Target, failure error)
	// End comes last, once for each Begin.
	End(r *Record)
}

// Stage is a step of an exchange.
type Stage uint8

// The stages, in the order in which a request enters them. Not every request
// enters all of them; scripts may forward, and a target's failure be answered.
const (
	Accept Stage = iota + 1
	Route
	Judge
	Script
	Forward
	Respond
)

// Observers tell all of several in turn.
type Observers []Observer

// Begin tells all.
func (o Observers) Begin(r *Record) {
	for _, one := range o {
		one.Begin(r)
	}
}

// Stage tells all.
func (o Observers) Stage(r *Record, s Stage) {
	for _, one := range o {
		one.Stage(r, s)
	}
}

// Attempt tells all.
func (o Observers) Attempt(r *Record, t *upstream.Target, failure error) {
	for _, one := range o {
		one.Attempt(r, t, failure)
	}
}

// End tells all.
func (o Observers) End(r *Record) {
	for _, one := range o {
		one.End(r)
	}
}

// Unobserved is an observer that looks away: others embed it, and have only the
// methods that they want.
type Unobserved struct{}

// Begin does nothing.
func (Unobserved) Begin(*Record) {}

// Stage does nothing.
func (Unobserved) Stage(*Record, Stage) {}

// Attempt does nothing.
func (Unobserved) Attempt(*Record, *upstream.Target, error) {}

// End does nothing.
func (Unobserved) End(*Record) {}

// Record is what an exchange has come to. Its slices and pointers are valid until
// the End of the exchange; what isn't known yet, or doesn't exist, is zero.
type Record struct {
	Generation *Generation
	Client     *Client
	Start      int64 // socket.Nanotime
	ID         []byte

	// From Route on.
	Message    *message.Request
	Host, Path []byte     // canonical
	Origin     netip.Addr // of the original client, past trusted proxies
	Tenant     *Tenant

	// From End on, but for what each attempt has set.
	Status      int
	Code        string // of what went wrong
	Cause       error  // what lies beneath it
	Skipped     error  // why the request has gone on without its scripts
	Policy      string // that has answered, or failed
	ScriptRoute string // the pattern of the script's route
	ScriptStep  string // the function that was called last
	Target      *upstream.Target
	Attempts    int
	BytesIn     int64 // of content
	BytesOut    int64
	ConnectTime time.Duration // of a connection that was opened for it
	HeaderTime  time.Duration // until the response's head was there
	Elapsed     time.Duration // until the response had been sent
	Tunnelled   bool
}

// LoggedPath is the path that was judged, or the raw target where there is none.
func LoggedPath(r *Record) []byte {
	if r.Path != nil {
		return r.Path
	}
	target, _, _ := bytes.Cut(r.Message.Target, []byte{'?'})
	if at := bytes.LastIndexByte(target, '@'); at >= 0 && target[0] != '/' { // credentials, perhaps
		target = target[at:]
	}
	return target
}

// CodeSkipped is the error of a request that has gone on without its scripts
// (on_error: continue). Its client isn't told.
const CodeSkipped = "script_skipped"
