package proxy

import (
	"cmp"
	"strconv"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// respondScripted sends the response that scripts have left.
func (x *exchange) respondScripted() error {
	r := &x.script.response
	if !r.Fault {
		x.fault, x.code = nil, ""
	}
	if err := x.holdScripted(); err != nil {
		return err // or, of a response that has begun, cuts it
	}
	if err := x.holdFields(); err != nil {
		return err
	}
	switch {
	case r.Begun:
		return x.endStream()
	case r.Target && x.passable():
		return x.respond()
	}
	x.endCall()
	x.status = r.Status
	if x.status == 0 {
		x.status = 200
	}
	return x.sendScripted()
}

// passable applies the status to the target's response. It reports whether
// its body can be passed on: whether a response to this client has a body just
// where one to the request that was sent has.
func (x *exchange) passable() bool {
	r := &x.call.Response
	if status := x.script.response.Status; status != r.Status {
		if r.Status == 101 || bodiless(status) {
			return false
		}
		wasBodiless := bodiless(r.Status)
		r.Status, r.Reason = status, []byte(message.StatusText(status))
		if wasBodiless {
			return false
		}
	}
	if x.call.HEAD != (string(x.req.Method) == "HEAD") {
		x.script.response.Body = x.script.response.Body[:0]
		return false
	}
	return true
}

// bodiless statuses never have content (RFC 9110 §6.4.1 and §15.3.6).
func bodiless(status int) bool { return status == 204 || status == 205 || status == 304 }

// sendScripted sends a response with its body in memory.
func (x *exchange) sendScripted() error {
	r := &x.script.response
	body := r.Body
	head := string(x.req.Method) == "HEAD"
	length := int64(len(body))
	x.amend(x.status, r.Header)
	if x.status == 304 || head && length == 0 { // what GET would get is unknown
		length = -1
	}
	x.negotiate(x.status, *r.Header, length)
	if x.compresses(head || bodiless(x.status)) {
		return x.sendCompressed(body)
	}
	out := x.appendScriptedHead(x.out[:0])
	if x.status == 205 {
		out = append(out, "Content-Length: 0\r\n"...)
	} else if !bodiless(x.status) && !x.recoded && (!head || len(body) > 0) { // the length that GET would get is unknown otherwise
		out = append(out, "Content-Length: "...)
		out = append(strconv.AppendInt(out, int64(len(body)), 10), '\r', '\n')
	}
	out = x.appendConnection(out, *r.Header)
	out = append(out, '\r', '\n')
	if bodiless(x.status) || head {
		body = nil
	}
	x.out, x.begun = out, true
	x.bytesOut = int64(len(body))
	x.client.beginAnswer(socket.Nanotime())
	var err error
	if len(body) <= gather {
		x.out = append(x.out, body...)
		err = x.write(x.out)
	} else {
		to := x.clientSink()
		err = to.writeVec(x.out, body, nil)
	}
	if err != nil {
		x.cut = true
	}
	return nil
}

// sendCompressed sends a response with its body in memory, compressed.
func (x *exchange) sendCompressed(body []byte) error {
	x.beginStream()
	defer func() { x.out = x.pump.out[:0] }()
	encoder := acquireEncoder(x.bounds.compression.level, &x.pump)
	defer encoder.release()
	err := encoder.write(body)
	if err == nil {
		err = encoder.end()
	}
	if err == nil {
		err = x.pump.end(nil)
	}
	if err != nil {
		x.cut = true
	}
	x.bytesOut = int64(len(body))
	return nil
}

var dateName = []byte("Date")

// appendScriptedHead writes status line and fields, but for the framing.
func (x *exchange) appendScriptedHead(out []byte) []byte {
	r := &x.script.response
	out = appendStatusLine(out, x.status, []byte(message.StatusText(x.status)))
	out = x.appendResponseFields(out, *r.Header, false, false)
	if (len(r.Body) > 0 || r.Begun) && !r.Header.Has(message.ContentType) {
		out = append(out, "Content-Type: text/plain; charset=utf-8\r\n"...)
	}
	if r.Header.Value(dateName) == nil {
		out = appendDate(out)
	}
	if x.code != "" {
		out = append(append(append(out, "X-Gateway-Error: "...), x.code...), '\r', '\n')
	}
	return x.appendRequestID(out)
}

// Flush sends what the scripts have written so far.
func (x *exchange) Flush() error {
	r := &x.script.response
	if !r.Begun {
		x.amend(cmp.Or(r.Status, 200), r.Header)
		x.beginStream()
	}
	if len(r.Body) == 0 && len(x.pump.out) == 0 {
		return nil
	}
	if err := x.stream(r.Body); err != nil {
		return lua.ErrGone
	}
	r.Body = r.Body[:0]
	return nil
}

// beginStream makes the head of a response of unknown length.
func (x *exchange) beginStream() {
	r := &x.script.response
	x.endCall()
	if x.status = r.Status; x.status == 0 {
		x.status = 200
	}
	r.Begun, x.begun = true, true
	out := x.appendScriptedHead(x.out[:0])
	switch {
	case x.status == 205:
		out = append(out, "Content-Length: 0\r\n"...)
	case bodiless(x.status):
	case x.req.Minor == 0:
		x.close = true
	default:
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	}
	out = x.appendConnection(out, *r.Header)
	x.out = append(out, '\r', '\n')
	x.client.beginAnswer(socket.Nanotime())
	x.sink = x.clientSink()
	x.pump = pump{to: &x.sink, chunked: x.req.Minor == 1 && !bodiless(x.status), out: x.out}
}

// stream sends a part of the body, and the head before it.
func (x *exchange) stream(part []byte) error {
	if len(part) > 0 && !bodiless(x.status) && string(x.req.Method) != "HEAD" {
		x.bytesOut += int64(len(part))
		if err := x.pump.add(part); err != nil {
			return err
		}
	}
	err := x.pump.flush()
	x.client.lastWrite.Store(socket.Nanotime())
	return err
}

func (x *exchange) endStream() error {
	defer func() { x.out = x.pump.out[:0] }()
	err := x.stream(x.script.response.Body)
	if err == nil && !bodiless(x.status) && string(x.req.Method) != "HEAD" {
		err = x.pump.end(nil)
	}
	if err != nil {
		x.cut, x.cause, x.code = true, err, x.cutCode(&clientError{err})
	}
	return nil
}
