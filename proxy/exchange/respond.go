package exchange

import (
	"fmt"
	"io"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// respond sends the response that there is: the target's, the gateway's own, or
// what scripts have left.
func (x *exchange) respond() error {
	if x.Tenant != nil && x.Tenant.Scripts != nil {
		if !x.response.Fault {
			x.fault, x.Code = nil, ""
		}
		if err := x.holdResponse(); err != nil {
			return err // or, of a response that has begun, cuts it
		}
	}
	switch {
	case x.state == answering:
		x.endFlushed()
	case !x.response.Target:
		return x.respondLocally(true)
	case x.served.is:
		return x.passFile()
	case x.response.Status == 101 && x.call.Response.Status == 101:
		return x.tunnel()
	case x.passable():
		x.pass()
	default:
		x.response.Target = false
		return x.respondLocally(true)
	}
	return nil
}

// passable applies the status to the target's response. It reports whether
// its body can be passed on: whether a response to this client has a body just
// where one to the request that was sent has.
func (x *exchange) passable() bool {
	r := &x.call.Response
	if status := x.response.Status; status != r.Status {
		if r.Status == 101 || bodiless(status) {
			return false
		}
		wasBodiless := bodiless(r.Status)
		r.Status, r.Reason = status, nil
		if wasBodiless {
			return false
		}
	}
	if (string(x.sent.Method) == "HEAD") != (string(x.Message.Method) == "HEAD") {
		x.response.Body = x.response.Body[:0]
		return false
	}
	return true
}

// bodiless statuses never have content (RFC 9110 §6.4.1 and §15.3.6).
func bodiless(status int) bool { return status == 204 || status == 205 || status == 304 }

// pass passes the target's response on.
func (x *exchange) pass() {
	r := &x.call.Response
	x.Status, x.head.Reason = r.Status, r.Reason
	if x.Tenant.Scripts == nil {
		x.content.release(x.memory) // no target is asked again
	}
	x.stream.Bound(x.bounds.writeIdle, x.bounds.minRate, x.call.Expiry)
	x.begin(r.Length, r.Bodiless, true)
	to := x.encoded()
	defer to.release()
	if err := x.passBody(to); err != nil {
		x.cutShort(err)
		if x.endGRPC(to, err) {
			x.state = answering
		}
		if x.Code == codeResponseCut || x.Code == codeSlowResponse {
			x.call.Cut()
		}
	}
}

// cutShort says that a response which has begun isn't complete, and why.
func (x *exchange) cutShort(err error) {
	x.Code = x.cutCode(err)
	x.cutFor(x.Code)
	x.Cause = fmt.Errorf("after %d bytes: %w", x.BytesOut, x.cutCause(err))
}

// passBody copies the body to the client as it comes.
func (x *exchange) passBody(to encoded) error {
	body := &x.call.Body
	for {
		if !body.Ready() {
			if err := to.flush(); err != nil {
				return &clientError{err}
			}
			if drain, ok := x.stream.(Drain); ok && to.encoder == nil && drain.Splices() && body.Splices() {
				if err := x.spliceResponse(drain); err != nil {
					return err
				}
			}
			x.call.ExpectBody()
		}
		span, err := body.Next()
		if err == io.EOF {
			return x.endBody(to)
		}
		if err != nil {
			_ = to.flush() // what came before the fault is the client's
			return err
		}
		x.BytesOut += int64(len(span))
		if err := to.write(span); err != nil {
			return wroteTo(err)
		}
	}
}

// spliceResponse moves the body on from socket to socket, until it is done or
// there is no pipe: then the rest, or a part of it, is copied.
func (x *exchange) spliceResponse(drain Drain) error {
	body := &x.call.Body
	for !body.Done() {
		x.call.ExpectBody()
		pipe, err := body.ReadPipe()
		if err == socket.ErrNoSplice {
			return nil
		}
		if err != nil {
			return err
		}
		x.BytesOut += int64(pipe.Len())
		if err := drain.WritePipe(pipe); err != nil {
			return &clientError{err}
		}
	}
	return nil
}

func (x *exchange) endBody(to encoded) error {
	trailer := x.call.Body.Trailer()
	for i := range trailer {
		trailer[i].Dropped = trailer[i].Dropped || x.coding.recoded && isOfPlainBytes(trailer[i].Name)
	}
	if err := to.end(trailer); err != nil {
		return wroteTo(err)
	}
	return nil
}

// clientError is an error of writing to the client.
type clientError struct{ err error }

func (e *clientError) Error() string { return "cannot write to the client: " + cause.Text(e.err) }
func (e *clientError) Unwrap() error { return e.err }
