package exchange

import (
	"strconv"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// forward sends the request to the tenant's pool. On success the head of the
// response is there, and its body is still to be read.
func (x *exchange) forward() error {
	x.stage(Forward)
	t := x.Tenant
	x.call.Request, x.call.Allowance = x, x.memory
	x.call.Timeouts = t.Timeouts
	x.nameTotal()
	x.call.Payload = x.content.buffered
	if x.script.resized {
		x.call.Payload = x.script.body
	}
	x.call.HEAD = string(x.method) == "HEAD"
	x.call.Idempotent = isIdempotent(x.method)
	x.call.Streaming = x.Message.Length != 0 && x.content.buffered == nil && !x.script.resized
	x.call.Expecting = x.call.Streaming && x.stream.Expects()
	x.upload.withheld = x.call.Expecting
	if x.call.Streaming {
		if err := x.hold(uploadSize); err != nil {
			return err
		}
	}
	x.call.Start = socket.Nanotime()
	x.stream.BeginWait(&x.call, x.call.Start)
	err := x.call.Do(t.Pool)
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

// AppendRequest builds the request for one target; it is upstream.Request's.
func (x *exchange) AppendRequest(dst []byte, t *upstream.Target) []byte {
	dst = x.appendRequestLine(dst, t)
	dst = x.appendHost(dst, t)
	dst = x.appendRequestFields(dst)
	dst = x.appendLength(dst)
	if x.call.Expecting {
		dst = append(dst, "Expect: 100-continue\r\n"...)
	}
	dst = x.appendForwarded(dst)
	dst = append(dst, "X-Request-Id: "...)
	dst = append(dst, x.ID...)
	dst = append(dst, '\r', '\n')
	dst = x.appendConnectionOptions(dst)
	return append(dst, '\r', '\n')
}

// appendLength frames the request by what is known of its body, whatever fields
// the client had for it. An empty one has a length where the client has said so.
func (x *exchange) appendLength(dst []byte) []byte {
	length := int64(len(x.call.Payload))
	switch {
	case x.call.Streaming && x.Message.Length == message.Unsized:
		return append(dst, "Transfer-Encoding: chunked\r\n"...)
	case x.call.Streaming:
		length = x.Message.Length
	case length > 0 || x.Message.Came(message.ContentLength):
	case x.script.resized && (x.Message.Length != 0 || string(x.method) == "POST"):
	default:
		return dst
	}
	dst = strconv.AppendInt(append(dst, "Content-Length: "...), length, 10)
	return append(dst, crlf...)
}

func (x *exchange) appendRequestLine(dst []byte, t *upstream.Target) []byte {
	dst = append(dst, x.method...)
	dst = append(dst, ' ')
	if x.Message.Form != message.AsteriskForm {
		dst = append(dst, t.Address().BasePath...)
	}
	dst = append(dst, x.sendPath...)
	dst = append(dst, x.query...)
	return append(dst, " HTTP/1.1\r\n"...)
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

// appendHost writes the client's Host as it came, or the target's own.
func (x *exchange) appendHost(dst []byte, t *upstream.Target) []byte {
	dst = append(dst, "Host: "...)
	if x.script.host != "" {
		dst = append(dst, x.script.host...)
	} else if x.Tenant.PreserveHost && len(x.Message.Authority) > 0 {
		dst = append(dst, x.Message.Authority...)
	} else {
		dst = append(dst, t.Address().Authority...)
	}
	return append(dst, '\r', '\n')
}

// appendRequestFields copies what is not the gateway's own business: byte for
// byte and in order.
func (x *exchange) appendRequestFields(dst []byte) []byte {
	for i := range x.Message.Header {
		f := &x.Message.Header[i]
		switch f.ID {
		case message.Unknown: // the common case first
			if f.Dropped {
				continue
			}
		case message.ContentLength, message.TransferEncoding, message.Host, message.Connection, message.TE, message.KeepAlive,
			message.ProxyAny, message.HTTP2Settings, message.Expect, message.XRequestID, message.XForwardedFor, message.XForwardedProto,
			message.XForwardedHost, message.Forwarded, message.Via, message.XGatewayHops:
			continue
		case message.MaxForwards:
			if f.Dropped {
				continue
			}
			if string(x.method) == "OPTIONS" {
				dst = appendOneLess(dst, f)
				continue
			}
		case message.Upgrade:
			if x.upgrading() {
				dst = appendUpgrade(dst, f)
			}
			continue
		case message.Trailer:
			if x.Message.Length != message.Unsized || f.Dropped || x.script.resized {
				continue
			}
		default:
			if f.Dropped {
				continue
			}
		}
		dst = message.AppendField(dst, f.Name, f.Value)
	}
	return dst
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
func appendOneLess(dst []byte, f *message.Field) []byte {
	n, err := strconv.ParseUint(string(f.Value), 10, 32)
	if err != nil || n == 0 {
		return message.AppendField(dst, f.Name, f.Value)
	}
	dst = append(append(dst, f.Name...), ": "...)
	return append(strconv.AppendUint(dst, n-1, 10), '\r', '\n')
}

// Interim relays an informational response such as 103 Early Hints; it is
// upstream.Request's.
func (x *exchange) Interim(r *message.Response) error {
	for i := range r.Header {
		f := &r.Header[i]
		f.Dropped = f.Dropped || isHopByHop(f.ID) || f.ID == message.ContentLength || f.ID == message.XRequestID || f.ID == message.XGatewayError
	}
	if err := x.stream.Interim(r); err != nil {
		return ErrClientGone
	}
	return nil
}

// Attempted tells of an attempt; it is upstream.Request's.
func (x *exchange) Attempted(t *upstream.Target, failure error) {
	for _, o := range x.plane.Observers.attempt {
		o.Attempt(&x.Record, t, failure)
	}
}
