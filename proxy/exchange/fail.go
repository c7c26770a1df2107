package exchange

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// fail answers with an error, unless the response has begun: then it is cut.
func (x *exchange) fail(err error) {
	fault := x.giveUp(err)
	switch {
	case fault == faultClientGone:
		x.Status = fault.Status // for the log; nobody is there to read an answer
		x.cutFor(fault.Code)
	case x.state != unanswered:
		x.cutFor(fault.Code)
	default:
		x.response.Reset() // nothing that scripts had set is on it
		x.coding = coding{}
		x.explainTo(x.exposed(fault, err))
		_ = x.respondLocally(false)
	}
}

// Answer makes the gateway's own error the response, for scripts to see; it is
// lua's.
func (x *exchange) Answer(err error) { x.explainTo(x.giveUp(err)) }

// giveUp ends what is under way because of an error. It is the only place where
// one becomes the exchange's.
func (x *exchange) giveUp(err error) *Fault {
	fault := faultOf(err)
	if fault == faultReset && x.grpcLimit > 0 && x.late() {
		fault = faultResponseTimeout // it was told the same grpc-timeout, and kept it
	}
	x.fault, x.Code, x.Cause = fault, fault.Code, x.explain(fault, err)
	x.endCall(false) // a response that can't be passed on
	x.last = x.last || fault.Close
	return fault
}

// explainTo makes the response tell the client of a fault.
func (x *exchange) explainTo(fault *Fault) {
	if x.speaksGRPC() {
		x.explainGRPC(fault)
		return
	}
	contentType, body := x.describe(fault)
	x.response.Local = append(x.response.Local, fault.header...)
	x.local(fault.Status, contentType, body)
	r := &x.response
	r.Fault = true
	if fault.RetryAfter > 0 {
		r.Local.Set(retryName, fmt.Append(nil, fault.RetryAfter))
	}
	if fault.Allow != "" {
		r.Local.Set(allowName, []byte(fault.Allow))
	}
}

// exposed puts a script's error message in the place of the fault's, where
// the tenant wants its clients to see it.
func (x *exchange) exposed(fault *Fault, err error) *Fault {
	failed, ok := errors.AsType[*lua.Error](err)
	if !ok || x.Tenant == nil || !x.Tenant.Config.Lua.ExposeErrors {
		return fault
	}
	told := *fault
	told.Message = failed.Message
	return &told
}

// describe words a fault for the client, unless a policy does: JSON if it asks for
// that, else text.
func (x *exchange) describe(f *Fault) (contentType string, body []byte) {
	if f.page != nil && x.holdPage(f.page) == nil {
		return "", f.page
	}
	if contentType, body = x.word(f); body != nil && x.holdPage(body) == nil {
		return contentType, body
	}
	if !acceptsJSON(x.Message.Header) {
		return "text/plain; charset=utf-8", fmt.Appendf(nil, "%d %s: %s\ncode: %s\nrequest id: %s\n",
			f.Status, message.StatusText(f.Status), f.Message, f.Code, x.ID)
	}
	type errorBody struct {
		Code      string `json:"code"`
		Message   string `json:"message"`
		RequestID string `json:"request_id"`
	}
	body, err := json.Marshal(map[string]errorBody{"error": {f.Code, f.Message, string(x.ID)}})
	if err != nil {
		panic("BUG: cannot encode strings as JSON: " + err.Error())
	}
	return "application/json", append(body, '\n')
}

// acceptsJSON looks for JSON in Accept. Weights are not compared: who names
// JSON at all can read it.
func acceptsJSON(h message.Header) bool {
	for i := range h {
		if h[i].ID != message.Accept {
			continue
		}
		value := bytes.ToLower(h[i].Value)
		if bytes.Contains(value, []byte("application/json")) || bytes.Contains(value, []byte("+json")) {
			return true
		}
	}
	return false
}

// recovered ends a request that panicked: the process lives on.
func (x *exchange) recovered(cause any) {
	x.plane.panics.Add(1)
	tenant := ""
	if x.Tenant != nil {
		tenant = x.Tenant.Name
	}
	x.plane.Log.Error().Str("request_id", string(x.ID)).Str("tenant", tenant).Str("panic", fmt.Sprint(cause)).
		Bytes("stack", debug.Stack()).Msg("BUG: a request was answered 500, or cut: it has panicked")
	x.fail(faultInternal)
}
