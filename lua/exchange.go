package lua

import (
	"net/netip"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// Exchange is one request under way, as the proxy shows it to scripts: what
// they see, and what can be done with it. One goroutine calls its methods; those
// that wait are called without a VM's lock.
type Exchange interface {
	Message
	Rewriter
	Bodies
	Forwarder
	Ender
	vm.Watcher // cancel is called if the client goes away
}

// Message is what scripts see, valid until the exchange ends.
type Message interface {
	Request() *Request
	Response() *Response
	// AppendLog adds what identifies the request to a log line.
	AppendLog(e *zerolog.Event)
}

// Rewriter changes what is sent on. Its methods fail where the new value isn't
// one or has no canonical form.
type Rewriter interface {
	// SetPath replaces the path, also for the routes that have yet to be matched.
	SetPath(path string) error
	// SetQuery replaces the query, which has no question mark.
	SetQuery(query string) error
	// SetHost replaces the host that targets see.
	SetHost(host string) error
}

// Bodies moves bodies. Its methods wait.
type Bodies interface {
	// ReadBody returns all of the request's body, of at most limit bytes; it
	// may be called again.
	ReadBody(limit int64) ([]byte, error)
	// ReadResponse replaces the body that a target is sending by all of it in
	// memory, at most limit bytes.
	ReadResponse(limit int64) error
	// Flush begins the response, if it has not begun, and sends what is in
	// Response.Body, which is empty afterwards.
	Flush() error
}

// Forwarder is the way to the tenant's pool.
type Forwarder interface {
	// HasPool says whether there is one.
	HasPool() bool
	// Choose makes Forward use the target of that name, or any again.
	Choose(name string) error
	// ChoosePool makes Forward use the pool of that name.
	ChoosePool(name string) error
	// SetBalanceKey says what the request belongs to a target by.
	SetBalanceKey(key string) error
	// Forward sends the request to the pool. When it returns nil the
	// response is a target's, with its body still to come, or the gateway's
	// own that says why there is none. An error ends the request: its client
	// is gone. It waits.
	Forward() error
}

// Ender is how scripts give an exchange back.
type Ender interface {
	// Answer makes the gateway's own error the response: what Serve returns as
	// an error, but with the rest of the middleware still to run.
	Answer(err error)
	// Restore undoes all that scripts have changed about the request, which
	// goes on without them because of that failure.
	Restore(because error) error
	// Unbound says that no script runs any more, so that lua.total_timeout
	// doesn't bound the rest.
	Unbound()
}

// Request is what scripts see of a request. The slices are the proxy's memory,
// or a Lua string's; nobody writes to them.
type Request struct {
	Method    []byte // sent on; scripts may replace it
	Path      []byte // canonical
	Key       []byte // of the path: what patterns are compared with
	Below     []byte // of the path below the tenant's path_prefix; Key if it has none
	Query     []byte // with its "?", or empty
	Host      []byte // canonical, without a port; what a script has set
	Authority []byte // as the client sent it
	Scheme    string
	Protocol  string
	Remote    netip.Addr // of the original client; invalid on a Unix socket
	ID        []byte
	Tenant    string
	Header    *message.Header
	Trusted   bool // whether the peer's forwarded fields are believed
	// Certificate is the client's; nil is none.
	Certificate *message.Certificate
	// User is who has sent the request, as a policy has found out; nil is unknown.
	User []byte
	// Identity has what policies have found out besides; nil is nothing.
	Identity interface{ Left(name string) []byte }

	// Body is what a script has set in place of the client's, if Replaced.
	Body     []byte
	Replaced bool
	// Route is the pattern of the script's route that answers, or empty.
	Route string
	// Step is the function that was called last, "script:line": who answers
	// where nothing was forwarded. Empty is none.
	Step string
}

// Ending is an error of an Exchange that ends the request as Err says, unless
// the script catches it. Other errors are the script's own: wrong arguments.
type Ending struct{ Err error }

func (e *Ending) Error() string { return e.Err.Error() }
func (e *Ending) Unwrap() error { return e.Err }

// prefixed reports whether the path has a part above Below.
func (r *Request) prefixed() bool { return len(r.Below) != len(r.Key) }

// Response is what scripts see and make of a response.
type Response struct {
	// Status is 0 until it is set; then it stands for 200.
	Status int
	// Header is Local, or that of the target's response.
	Header *message.Header
	Local  message.Header
	// Target says that the body is the one that a target is sending.
	Target bool
	// Body is the body otherwise, or what of it has not been flushed.
	Body []byte
	// Begun says that the head has been sent: status and header are final.
	Begun bool
	// Fault says that the response is the gateway's own error.
	Fault bool
}

// Reset forgets the response but keeps its memory.
func (r *Response) Reset() {
	clear(r.Local)
	local, body := r.Local[:0], r.Body[:0]
	if cap(body) > 64<<10 {
		body = nil
	}
	*r = Response{Local: local, Body: body}
	r.Header = &r.Local
}
