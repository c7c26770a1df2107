package exchange

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// Observer is told what becomes of exchanges, each by its own goroutine: whatever
// counts, logs or traces requests is one. It must not wait, and keep nothing of
// what it is shown. One that wants to know more than the end is a Beginner, a
// Stager or an Attempter too.
type Observer interface {
	// End comes last, once for each exchange.
	End(r *Record)
}

// What else an observer may be.
type (
	// Beginner is told first, when nothing is known but the client.
	Beginner interface{ Begin(r *Record) }
	// Stager is told before each stage that is entered.
	Stager interface{ Stage(r *Record, s Stage) }
	// Tracer is told of each policy of the tenant that was asked.
	Tracer interface {
		Policy(r *Record, s policy.Step)
	}
	// Attempter is told after each attempt at a target, with the failure of one that
	// has none of its response; nil is success.
	Attempter interface {
		Attempt(r *Record, t *upstream.Target, failure error)
	}
)

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

// Observers tell several in turn, each just what it wants to know.
type Observers struct {
	begin   []Beginner
	stage   []Stager
	policy  []Tracer
	attempt []Attempter
	end     []Observer
}

// Observe returns these observers.
func Observe(all ...Observer) Observers {
	o := Observers{end: all}
	for _, one := range all {
		if b, ok := one.(Beginner); ok {
			o.begin = append(o.begin, b)
		}
		if s, ok := one.(Stager); ok {
			o.stage = append(o.stage, s)
		}
		if p, ok := one.(Tracer); ok {
			o.policy = append(o.policy, p)
		}
		if a, ok := one.(Attempter); ok {
			o.attempt = append(o.attempt, a)
		}
	}
	return o
}

// Record is what an exchange has come to. Its slices and pointers are valid until
// the End of the exchange; what isn't known yet, or doesn't exist, is zero.
type Record struct {
	Generation *Generation
	Entrance   *Entrance
	Client     *Client
	Start      int64 // socket.Nanotime
	ID         []byte

	// From Route on.
	Message    *message.Request
	Host, Path []byte     // canonical
	Origin     netip.Addr // of the original client, past trusted proxies
	Tenant     *Tenant
	User       []byte // who has sent it, as a policy has found out

	// From End on, but for what each attempt has set.
	Status      int
	Code        string // of what went wrong
	Cause       error  // what lies beneath it
	Skipped     error  // why the request has gone on without its scripts
	Policy      string // that has answered, or failed
	Spared      string // by a policy that is only tried, and would have answered
	ScriptRoute string // the pattern of the script's route
	ConfigRoute string // where the route of the configuration stands that was taken
	ByRoute     bool   // which has answered
	ScriptStep  string // the function that was called last
	Pool        string // that it was sent to, where the tenant has several
	Target      *upstream.Target
	Attempts    int
	BytesIn     int64 // of content
	BytesOut    int64
	ConnectTime time.Duration // of a connection that was opened for it
	HeaderTime  time.Duration // until the response's head was there
	Elapsed     time.Duration // until the response had been sent
	Tunnelled   bool

	Scratch []byte // memory for an observer's own use at the End
}

// reset forgets all but the scratch memory, in place: made with that in it, a Record
// would be copied.
func (r *Record) reset() {
	scratch := shrunk(r.Scratch)
	*r = Record{}
	r.Scratch = scratch
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
