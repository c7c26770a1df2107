package exchange

import (
	"strconv"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// forward sends the request to its pool. On success the head of the
// response is there, and its body is still to be read.
func (x *exchange) forward() error {
	x.stage(Forward)
	pool := x.upstreams()
	x.call.Caller, x.call.Request, x.call.Allowance = x, &x.sent, x.memory
	x.call.Timeouts = *x.timeouts()
	x.narrow(&x.call.Timeouts)
	if pool.Introduces() {
		x.call.Introduction = x.introduction()
	}
	x.nameTotal()
	x.call.Payload = x.content.buffered
	if x.script.resized {
		x.call.Payload = x.script.body
	}
	x.call.Idempotent = isIdempotent(x.method)
	x.call.Streaming = x.Message.Length != 0 && x.content.buffered == nil && !x.script.resized
	x.compose()
	x.upload.withheld = x.sent.Continue
	if x.call.Streaming {
		if err := x.hold(uploadSize); err != nil {
			return err
		}
	}
	x.mirror()
	x.call.Key = x.targetKey()
	x.call.Start = socket.Nanotime()
	x.stream.BeginWait(&x.call, x.call.Start)
	err := x.call.Do(pool)
	x.HeaderTime = x.call.HeaderTime
	if err != nil {
		x.stream.EndWait()
		return err
	}
	if err := x.holdHead(x.call.HeadSize()); err != nil {
		return err
	}
	r := &x.response
	r.Target, r.Status, r.Header = true, x.call.Response.Status, &x.call.Response.Header
	x.keepTarget()
	if x.Message.UpgradeAsked && !x.agrees() {
		return faultBadResponse
	}
	if r.Status == 101 {
		return x.checkUpgrade()
	}
	if x.call.Streaming {
		x.upload.answered.Store(true)
		x.stream.Expire(x.call.Expiry)
	}
	return nil
}

// isIdempotent lists the methods of RFC 9110 §9.2.2 and QUERY.
func isIdempotent(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "QUERY":
		return true
	}
	return false
}

// compose makes of the client's request the one that is sent on, but for what is
// each target's: what stands before its paths, and its own name.
func (x *exchange) compose() {
	r := &x.sent
	r.Own = r.Own[:0] // of a call before it: scripts may have failed after one
	r.Method, r.Form, r.Authority = x.method, x.Message.Form, x.sentAuthority()
	r.Path, r.Query = x.sendPath, x.query
	r.UpgradeAsked, r.Trailers, r.Continue = x.upgrading(), x.Message.Trailers || x.speaksGRPC(), x.call.Streaming && x.stream.Expects()
	x.sendFields()
	x.sendLength()
	x.sendForwarded()
	x.send(idName, x.ID)
}

// send adds a field to the request that is sent on, which keeps the value.
func (x *exchange) send(name, value []byte) { add(&x.sent.Own, name, value) }

// sendLength says what is known of the body, whatever fields the client had for
// it. The length of an empty one is told where the client has told it.
func (x *exchange) sendLength() {
	length := int64(len(x.call.Payload))
	if x.call.Streaming {
		length = x.Message.Length
	}
	x.sent.Length = length
	switch {
	case length > 0, length == 0 && x.Message.Came(message.ContentLength):
	case length == 0 && x.script.resized && (x.Message.Length != 0 || string(x.method) == "POST"):
	default:
		return
	}
	x.send(lengthName, x.keepValue(strconv.AppendInt(x.values, length, 10)))
}

// strip finds the path to send on.
func (x *exchange) strip() error {
	if err := x.spell(); err != nil {
		return err
	}
	t := x.Tenant
	if t.StripPrefix != "" && x.Message.Form != message.AsteriskForm {
		rest, err := route.Strip(x.sendPath, t.StripPrefix)
		if err != nil {
			return err
		}
		x.sendPath = rest
	}
	return nil
}

// spell finds the spelling of the path to send on: the client's, as far as it
// doesn't change what was judged, and as the tenant has it.
func (x *exchange) spell() (err error) {
	x.sendPath = x.Path
	if x.written == nil {
		return nil
	}
	if n := 3 * len(x.written); cap(x.sendBuf) < n {
		x.sendBuf = make([]byte, 0, n)
	}
	x.sendPath, err = route.Spell(x.sendBuf, x.written, x.Tenant.Spelling)
	return err
}

// sentAuthority is the client's Host as it came, or none, for the target's own.
func (x *exchange) sentAuthority() []byte {
	switch {
	case x.script.host != "":
		return x.script.request.Authority
	case x.Tenant.PreserveHost:
		return x.Message.Authority
	}
	return nil
}

// notPassed are the fields of requests that are each hop's, or the gateway's own
// business.
var notPassed = hopByHop | message.SetOf(message.Upgrade, message.ContentLength, message.Host, message.Expect, message.XRequestID, message.XForwardedFor,
	message.XForwardedProto, message.XForwardedHost, message.Forwarded, message.Via, message.XGatewayHops)

// sendFields passes the others on: byte for byte and in order.
func (x *exchange) sendFields() {
	if x.certs != nil {
		x.certs.drop(x.Message.Header) // also what scripts have set
	}
	without := notPassed
	if x.Message.Length != message.Unsized || x.script.resized {
		without = without.With(message.Trailer)
	}
	if string(x.method) == "OPTIONS" && x.Message.Header.Has(message.MaxForwards) {
		without = without.With(message.MaxForwards)
		x.sendEach(message.MaxForwards, appendOneLess)
	}
	if x.sent.UpgradeAsked {
		x.sendEach(message.Upgrade, appendUpgrade)
	}
	x.sent.Header, x.sent.Without = x.Message.Header, without
}

// sendEach adds the fields of that ID, with what change appends of their values; none
// where that is nothing.
func (x *exchange) sendEach(id message.ID, change func(dst, value []byte) []byte) {
	for i := range x.Message.Header {
		if f := &x.Message.Header[i]; f.ID == id && !f.Dropped {
			if value := x.keepValue(change(x.values, f.Value)); len(value) > 0 {
				x.sent.Own = append(x.sent.Own, message.Field{Name: f.Name, Value: value, ID: id})
			}
		}
	}
}

// endsHere answers an OPTIONS request that may not be forwarded any more
// (RFC 9110 §7.6.2).
func (x *exchange) endsHere() bool {
	if string(x.Message.Method) != "OPTIONS" || string(x.Message.Header.Get(message.MaxForwards)) != "0" {
		return false
	}
	x.local(200, "text/plain; charset=utf-8", nil)
	x.response.Local.Set(allowName, []byte(faultMethodRefused.Allow))
	return true
}

// appendOneLess writes Max-Forwards for the next hop; what is no number passes.
func appendOneLess(dst, value []byte) []byte {
	n, err := strconv.ParseUint(string(value), 10, 32)
	if err != nil || n == 0 {
		return append(dst, value...)
	}
	return strconv.AppendUint(dst, n-1, 10)
}

// Interim relays an informational response such as 103 Early Hints; it is
// upstream.Caller's.
func (x *exchange) Interim(r *message.Response) error {
	r.Without = notPassedBack.With(message.Upgrade).With(message.ContentLength)
	if err := x.stream.Interim(r); err != nil {
		return ErrClientGone
	}
	return nil
}

// Attempted tells of an attempt; it is upstream.Caller's.
func (x *exchange) Attempted(t *upstream.Target, failure error) {
	for _, o := range x.plane.Observers.attempt {
		o.Attempt(&x.Record, t, failure)
	}
}
