package exchange

import (
	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// local makes the response one of the gateway's own; "" is no type.
func (x *exchange) local(status int, contentType string, body []byte) {
	r := &x.response
	r.Target, r.Status, r.Header = false, status, &r.Local
	if contentType != "" {
		r.Local.Set(typeName, []byte(contentType))
	}
	r.Body = append(r.Body[:0], body...)
}

// respondLocally sends a response with its body in memory, which codable says may
// be compressed. What can't be written is cut; the error is always nil.
func (x *exchange) respondLocally(codable bool) error {
	x.endCall(true)
	r := &x.response
	x.defaultStatus()
	head := string(x.Message.Method) == "HEAD"
	length := int64(len(r.Body))
	if x.Status == 304 || head && length == 0 { // what GET would get is unknown
		length = message.Unsized
	}
	none := head || bodiless(x.Status)
	if x.Status == 205 {
		length = 0
	}
	x.begin(length, none, codable)
	if none || len(r.Body) == 0 {
		return x.endLocal(x.stream.End(nil))
	}
	if !r.Fault && len(r.Body) > atOnce {
		x.stream.Bound(x.bounds.writeIdle, x.bounds.minRate, x.call.Expiry)
	}
	x.BytesOut = int64(len(r.Body))
	to := x.encoded()
	defer to.release()
	err := to.write(r.Body)
	if err == nil {
		err = to.end(nil)
	}
	return x.endLocal(err)
}

// atOnce is how much is written whatever the time: the end of the request doesn't
// bound what may be saying so.
const atOnce = 4 << 10

// defaultStatus finds the status where scripts have not set one, or an odd one.
func (x *exchange) defaultStatus() {
	if x.Status = x.response.Status; x.Status == 0 {
		x.Status = 200
	}
}

// endLocal ends a local response; what can't be written is cut.
func (x *exchange) endLocal(err error) error {
	if err != nil {
		x.cutFor(x.cutCode(&clientError{err}))
	}
	return nil
}

// Flush sends what the scripts have written so far.
func (x *exchange) Flush() error {
	r := &x.response
	begins := x.state == unanswered
	if begins {
		x.beginFlushed()
	}
	if len(r.Body) == 0 && !begins {
		return nil
	}
	if err := x.sendFlushed(); err != nil {
		return lua.ErrGone
	}
	return nil
}

// beginFlushed makes the head of a response of unknown length.
func (x *exchange) beginFlushed() {
	r := &x.response
	x.endCall(true)
	x.defaultStatus()
	r.Target, r.Begun = false, true
	x.stream.Bound(x.bounds.writeIdle, x.bounds.minRate, x.call.Expiry)
	length := int64(message.Unsized)
	if x.Status == 205 {
		length = 0
	}
	x.begin(length, x.withoutBody(), false)
}

// withoutBody reports whether the client gets no content.
func (x *exchange) withoutBody() bool {
	return bodiless(x.Status) || string(x.Message.Method) == "HEAD"
}

// sendFlushed sends a part of the body, and the head before it.
func (x *exchange) sendFlushed() error {
	part := x.response.Body
	x.response.Body = part[:0]
	if len(part) > 0 && !x.withoutBody() {
		x.BytesOut += int64(len(part))
		if err := x.stream.Write(part); err != nil {
			return err
		}
	}
	return x.stream.Flush()
}

func (x *exchange) endFlushed() {
	err := x.sendFlushed()
	if err == nil && !x.withoutBody() {
		err = x.stream.End(nil)
	}
	if err != nil {
		x.Cause, x.Code = err, x.cutCode(&clientError{err})
		x.cutFor(x.Code)
	}
}
