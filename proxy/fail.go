package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// fail answers with an error, unless the response has begun: then it is cut.
func (x *exchange) fail(err error) {
	fault := faultOf(err)
	x.fault, x.code = fault, fault.Code
	if x.cause == nil {
		x.cause = x.explain(fault, err)
	}
	x.upload.stop(x)
	if x.begunCall { // a response that can't be passed on
		x.begunCall = false
		x.call.End(false)
	}
	if fault.Close {
		x.close = true
	}
	if fault == faultClientGone {
		x.status = fault.Status // for the log; nobody is there to read an answer
		x.cut = true
		return
	}
	if x.begun {
		x.cut = true
		return
	}
	x.status = fault.Status
	x.local = localResponse{retryAfter: fault.RetryAfter, allow: fault.Allow, header: fault.header}
	x.local.contentType, x.local.body = x.describe(x.exposed(fault, err))
	_ = x.respondLocally() // the error that matters is the one being answered
}

// exposed puts a script's error message in the place of the fault's, where
// the tenant wants its clients to see it.
func (x *exchange) exposed(fault *Fault, err error) *Fault {
	failed, ok := errors.AsType[*lua.Error](err)
	if !ok || x.tenant == nil || !x.tenant.config.Lua.ExposeErrors {
		return fault
	}
	told := *fault
	told.Message = failed.Message
	return &told
}

// respondLocally sends an answer of the gateway's own.
func (x *exchange) respondLocally() error {
	header := x.local.fields()
	x.amend(x.status, &header)
	x.recoded, x.varies = false, false // what would have been said of another response
	out := appendStatusLine(x.out[:0], x.status, []byte(message.StatusText(x.status)))
	out = x.appendResponseFields(out, header, false, false)
	if !bodiless(x.status) {
		out = strconv.AppendInt(append(out, "Content-Length: "...), int64(len(x.local.body)), 10)
		out = append(out, '\r', '\n')
	}
	out = appendDate(out)
	if x.code != "" {
		out = append(append(append(out, "X-Gateway-Error: "...), x.code...), '\r', '\n')
	}
	out = x.appendRequestID(out)
	out = x.appendConnection(out, header)
	out = append(out, '\r', '\n')
	if string(x.req.Method) != "HEAD" && !bodiless(x.status) {
		out = append(out, x.local.body...)
		x.bytesOut = int64(len(x.local.body))
	}
	x.out, x.begun = out, true
	x.client.beginAnswer(socket.Nanotime())
	if err := x.write(out); err != nil {
		x.cut = true
	}
	return nil
}

// fields are the header of an answer, but for what is the gateway's own.
func (l *localResponse) fields() message.Header {
	h := slices.Clone(l.header)
	if l.contentType != "" {
		h.Set([]byte("Content-Type"), []byte(l.contentType))
	}
	if l.retryAfter > 0 {
		h.Set([]byte("Retry-After"), strconv.AppendInt(nil, int64(l.retryAfter), 10))
	}
	if l.allow != "" {
		h.Set([]byte("Allow"), []byte(l.allow))
	}
	return h
}

func appendDate(dst []byte) []byte {
	dst = append(dst, "Date: "...)
	dst = time.Now().UTC().AppendFormat(dst, "Mon, 02 Jan 2006 15:04:05 GMT")
	return append(dst, '\r', '\n')
}

// describe words a fault for the client: JSON if it asks for that, else text.
func (x *exchange) describe(f *Fault) (contentType string, body []byte) {
	if !acceptsJSON(x.req.Header) {
		return "text/plain; charset=utf-8", fmt.Appendf(nil, "%d %s: %s\ncode: %s\nrequest id: %s\n",
			f.Status, message.StatusText(f.Status), f.Message, f.Code, x.id)
	}
	type errorBody struct {
		Code      string `json:"code"`
		Message   string `json:"message"`
		RequestID string `json:"request_id"`
	}
	body, err := json.Marshal(map[string]errorBody{"error": {f.Code, f.Message, string(x.id)}})
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
	x.server.counters.panics.Add(1)
	tenant := ""
	if x.tenant != nil {
		tenant = x.tenant.name
	}
	x.server.log.Error().Str("request_id", string(x.id)).Str("tenant", tenant).Str("panic", fmt.Sprint(cause)).
		Bytes("stack", debug.Stack()).Msg("a request panicked")
	x.fail(faultInternal)
}

func (s *Server) logPanic(cause any) {
	s.counters.panics.Add(1)
	s.log.Error().Str("panic", fmt.Sprint(cause)).Bytes("stack", debug.Stack()).Msg("a goroutine panicked")
}
