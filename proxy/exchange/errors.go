package exchange

import (
	"errors"
	"io"
	"slices"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// Fault is an error that a client sees: a status, a code that never changes
// its meaning, and a sentence. docs/http.md lists all codes.
type Fault struct {
	Status  int
	Code    string
	Message string
	// Close ends the connection after the answer: the client's next bytes
	// can't be trusted to be a request.
	Close bool
	// RetryAfter, in seconds, is sent where it is not 0.
	RetryAfter int
	// Allow is sent where it is not empty.
	Allow string

	header message.Header // sent with it
	page   []byte         // in the place of how it would be worded; its type is in header
}

func (f *Fault) Error() string { return f.Message }

// caused is a fault of which more is known.
type caused struct {
	fault *Fault
	why   error // for the log
}

func (c *caused) Error() string { return c.fault.Message } // scripts may see it
func (c *caused) Unwrap() error { return c.fault }

// The faults of the gateway itself.
var (
	faultBadRequest       = &Fault{Status: 400, Code: "bad_request", Message: "the request is malformed", Close: true}
	SpokeTLS              = &Fault{Status: 400, Code: "bad_request", Message: "this port speaks HTTP, and was spoken to in TLS", Close: true}
	SpokePROXY            = &Fault{Status: 400, Code: "bad_request", Message: "this port speaks HTTP, and was spoken to in the PROXY protocol", Close: true}
	faultBadHost          = &Fault{Status: 400, Code: "bad_host", Message: "the Host is missing, repeated or invalid", Close: true}
	faultBadPath          = &Fault{Status: 400, Code: "bad_path", Message: "the path has no canonical form", Close: true}
	faultBadFraming       = &Fault{Status: 400, Code: "bad_framing", Message: "the length of the body is ambiguous", Close: true}
	faultBadBody          = &Fault{Status: 400, Code: "bad_body", Message: "the body is malformed or was cut", Close: true}
	faultNoTenant         = &Fault{Status: 404, Code: "no_tenant", Message: "no tenant serves this host and path"}
	faultNoRoute          = &Fault{Status: 404, Code: "no_route", Message: "the tenant has nothing at this path"}
	faultMethodRefused    = &Fault{Status: 405, Code: "method_refused", Message: "the gateway does not serve TRACE and CONNECT", Close: true, Allow: "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"}
	SlowHead              = &Fault{Status: 408, Code: "header_timeout", Message: "the request's header section took too long", Close: true}
	faultSlowBody         = &Fault{Status: 408, Code: "body_timeout", Message: "the request's body paused for too long", Close: true}
	faultRequestTimeout   = &Fault{Status: 504, Code: "request_timeout", Message: "the request as a whole took too long", Close: true}
	faultBodyTooLarge     = &Fault{Status: 413, Code: "body_too_large", Message: "the request's body is too large", Close: true}
	faultURLTooLong       = &Fault{Status: 414, Code: "url_too_long", Message: "the request's target is too long", Close: true}
	faultMisdirected      = &Fault{Status: 421, Code: "misdirected_request", Message: "the connection was not accepted by the terms of this host: connect anew, asking for its name", Close: true}
	faultWithoutTLS       = &Fault{Status: 421, Code: faultMisdirected.Code, Message: "this host is served over TLS only", Close: true}
	faultExpectation      = &Fault{Status: 417, Code: "bad_expectation", Message: "the only expectation served is 100-continue", Close: true}
	faultHeaderTooLarge   = &Fault{Status: 431, Code: "header_too_large", Message: "the request's header section is too large", Close: true}
	faultClientGone       = &Fault{Status: 499, Code: "client_gone", Message: "the client went away", Close: true}
	faultInternal         = &Fault{Status: 500, Code: "internal_error", Message: "the gateway failed", Close: true}
	faultConnect          = &Fault{Status: 502, Code: "upstream_connect_failed", Message: "the target can't be connected to"}
	faultSend             = &Fault{Status: 502, Code: "upstream_closed", Message: "the target closed the connection without an answer"}
	faultRefused          = &Fault{Status: 503, Code: "upstream_refused", Message: "the target takes no request now", RetryAfter: 1}
	faultReset            = &Fault{Status: 502, Code: "upstream_reset", Message: "the target has given the request up"}
	faultBadResponse      = &Fault{Status: 502, Code: "upstream_bad_response", Message: "the target's answer is malformed"}
	faultNoTarget         = &Fault{Status: 503, Code: "no_healthy_target", Message: "no target is healthy", RetryAfter: 1}
	faultNoWeight         = &Fault{Status: 503, Code: faultNoTarget.Code, Message: "every target of the tenant has weight 0", RetryAfter: 1}
	faultOverflow         = &Fault{Status: 503, Code: "upstream_overflow", Message: "too many requests wait for a connection", RetryAfter: 1}
	faultLoop             = &Fault{Status: 508, Code: "loop", Message: "the request has been through this gateway before"}
	faultHops             = &Fault{Status: 508, Code: "script_loop", Message: "scripts have called this gateway from within each other too often"}
	Drained               = &Fault{Status: 503, Code: "drain_timeout", Message: "the gateway stopped before the request had finished", Close: true}
	faultMethodNotAllowed = &Fault{Status: 405, Code: "method_not_allowed", Message: "the path has no route for this method"}
	faultScriptError      = &Fault{Status: 500, Code: "script_error", Message: "a script of the tenant failed"}
	faultScriptLimit      = &Fault{Status: 500, Code: "script_limit", Message: "a script of the tenant used up what it may have"}
	ScriptsUnavailable    = &Fault{Status: 503, Code: "scripts_unavailable", Message: "the tenant has scripts, but lua_routing.enabled is false"}
	Misconfigured         = &Fault{Status: 503, Code: "tenant_misconfigured", Message: "the tenant's configuration or its scripts are broken", RetryAfter: 5}
	faultQuarantine       = &Fault{Status: 503, Code: "script_quarantined", Message: "a script of the tenant is in quarantine", RetryAfter: 1}
	OutOfMemory           = &Fault{Status: 503, Code: "script_memory", Message: "the tenant's requests hold as much memory as they may", RetryAfter: 1}
	faultPolicy           = &Fault{Status: 500, Code: policy.CodeFailed, Message: "a policy of the tenant could not decide"}
	faultScriptsBusy      = &Fault{Status: 503, Code: "scripts_busy", Message: "too many requests wait for the tenant's scripts", RetryAfter: 1}
	faultConnectTimeout   = &Fault{Status: 504, Code: "upstream_connect_timeout", Message: "connecting to the target took too long"}
	faultResponseTimeout  = &Fault{Status: 504, Code: "upstream_timeout", Message: "the target's answer took too long"}
)

// Faults lists every fault there is, for the documentation's test.
func Faults() []*Fault {
	list := []*Fault{
		faultBadRequest, SpokeTLS, SpokePROXY, faultBadHost, faultBadPath, faultBadFraming, faultBadBody, faultNoTenant, faultNoRoute,
		faultMethodRefused, SlowHead, faultSlowBody, faultBodyTooLarge, faultURLTooLong, faultMisdirected, faultExpectation,
		faultHeaderTooLarge, faultClientGone, faultInternal, faultConnect, faultSend, faultRefused, faultReset, faultBadResponse,
		faultRequestTimeout, faultNoTarget, faultOverflow, faultLoop, faultHops, Drained, ScriptsUnavailable, faultConnectTimeout, faultResponseTimeout,
		faultMethodNotAllowed, faultRoutesExhausted, faultNoFile, faultFileUnreadable, faultFiles, faultScriptError, faultScriptLimit, Misconfigured, faultQuarantine, faultScriptsBusy, OutOfMemory, faultPolicy,
	}
	for _, refusal := range tenants.Refusals() {
		list = append(list, faultOfRefusal(refusal))
	}
	return list
}

func faultOfRefusal(r *policy.Refusal) *Fault {
	return &Fault{Status: r.Status, Code: r.Code, Message: r.Message}
}

// codes lists all that the access log calls an error, by number.
var codes = func() (list []string) {
	for _, fault := range Faults() {
		if !slices.Contains(list, fault.Code) {
			list = append(list, fault.Code)
		}
	}
	return append(list, codeResponseCut, codeSlowResponse, codeSlowClient, codeTunnelTimeout, CodeSkipped)
}()

// numberOf is the index of each code.
var numberOf = func() map[string]int {
	numbers := map[string]int{}
	for i, code := range codes {
		numbers[code] = i
	}
	return numbers
}()

// ErrClientGone gives up what is done for a client that is gone.
var ErrClientGone = errors.New("the client went away")

// faultOf is the only place where an error becomes a status.
func faultOf(err error) *Fault {
	if fault, ok := errors.AsType[*Fault](err); ok {
		return fault
	}
	if errors.Is(err, ErrClientGone) {
		return faultClientGone
	}
	if errors.Is(err, memory.ErrNoMemory) {
		return OutOfMemory
	}
	if failure, ok := errors.AsType[*upstream.Failure](err); ok {
		return faultOfCall(failure)
	}
	if violation, ok := errors.AsType[message.Violation](err); ok {
		return faultOfViolation(violation)
	}
	if fault := faultOfScripts(err); fault != nil {
		return fault
	}
	if refusal, ok := errors.AsType[route.Refusal](err); ok {
		fault := *faultBadPath
		fault.Message = string(refusal)
		return &fault
	}
	switch {
	case errors.Is(err, socket.ErrTimeout):
		return faultSlowBody
	case errors.Is(err, io.ErrUnexpectedEOF):
		return faultClientGone
	}
	return faultInternal
}

// faultOfScripts is nil for errors that are not of scripts.
func faultOfScripts(err error) *Fault {
	if wrong, ok := errors.AsType[*lua.MethodError](err); ok {
		fault := *faultMethodNotAllowed
		fault.Allow = wrong.Allow
		return &fault
	}
	if quarantine, ok := errors.AsType[*lua.QuarantineError](err); ok {
		fault := *faultQuarantine
		fault.RetryAfter = max(1, int((quarantine.Left+time.Second-1)/time.Second))
		return &fault
	}
	if unavailable, ok := errors.AsType[*lua.UnavailableError](err); ok {
		fault := *Misconfigured
		if unavailable.Memory() {
			fault = *OutOfMemory
		}
		fault.RetryAfter = max(1, int((unavailable.Left+time.Second-1)/time.Second))
		return &fault
	}
	failed, ok := errors.AsType[*lua.Error](err)
	switch {
	case ok && failed.Kind == lua.KindShed:
		return OutOfMemory
	case ok && failed.Kind == lua.KindTurns:
		return faultScriptsBusy
	case ok && failed.Limited():
		return faultScriptLimit
	case ok:
		return faultScriptError
	case errors.Is(err, lua.ErrBusy):
		return faultScriptsBusy
	case errors.Is(err, lua.ErrNotFound):
		return faultNoRoute
	case errors.Is(err, lua.ErrGone):
		return faultClientGone
	}
	return nil
}

func faultOfCall(f *upstream.Failure) *Fault {
	switch f.Reason {
	case upstream.NoTarget:
		if errors.Is(f.Err, upstream.ErrDrained) {
			return faultNoWeight
		}
		return faultNoTarget
	case upstream.Overflow:
		return faultOverflow
	case upstream.Refused:
		return faultRefused
	case upstream.ResetByTarget:
		return faultReset
	case upstream.ConnectFailed:
		return faultConnect
	case upstream.ConnectTimeout:
		return faultConnectTimeout
	case upstream.ResponseTimeout:
		return faultResponseTimeout
	case upstream.BadResponse:
		return faultBadResponse
	case upstream.Aborted:
		if f.Err != nil && !errors.As(f.Err, new(*upstream.Failure)) {
			return faultOf(f.Err)
		}
		return faultClientGone
	}
	return faultSend
}

func faultOfViolation(v message.Violation) *Fault {
	switch v {
	case message.HeaderTooLarge:
		return faultHeaderTooLarge
	case message.TargetTooLong:
		return faultURLTooLong
	case message.BodyTooLarge:
		return faultBodyTooLarge
	case message.BadHost:
		return faultBadHost
	case message.BadExpect:
		return faultExpectation
	case message.BadChunk, message.BadTrailer, message.WrongLength:
		return faultBadBody
	case message.BadContentLength, message.BadTransferEncoding, message.ConflictingFraming:
		return faultBadFraming
	}
	return faultBadRequest
}
