package proxy

import (
	"strconv"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// forward sends the request to the tenant's pool. On success the head of the
// response is there, and its body is still to be read.
func (x *exchange) forward() error {
	t := x.tenant
	x.call.Request, x.call.Allowance = x, x.memory
	x.call.Timeouts = t.timeouts
	x.nameTotal()
	x.call.Payload = x.buffered
	if x.script.resized {
		x.call.Payload = x.script.body
	}
	x.call.HEAD = string(x.method) == "HEAD"
	x.call.Idempotent = isIdempotent(x.method)
	x.call.Streaming = x.req.Framing != http1.NoBody && x.buffered == nil && !x.script.resized
	x.call.Expecting = x.call.Streaming && !x.continued
	x.upload.withheld = x.call.Expecting
	if x.call.Streaming {
		if err := x.hold(uploadSize); err != nil {
			return err
		}
	}
	x.client.modern.Store(x.req.Minor == 1)
	x.call.Start = socket.Nanotime()
	x.client.beginWait(&x.call)
	err := x.call.Do(t.pool)
	x.headerTime = x.call.HeaderTime
	if err != nil {
		x.client.endWait()
		return err
	}
	x.begunCall = true
	if err := x.holdHead(x.call.HeadSize()); err != nil {
		return err
	}
	if x.call.Response.Status == 101 {
		return x.checkUpgrade()
	}
	if x.call.Streaming {
		x.upload.answered.Store(true)
		x.client.Sock.SetReadExpiry(x.call.Expiry)
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
	if x.script.resized && (len(x.call.Payload) > 0 || x.req.Framing != http1.NoBody || string(x.method) == "POST") {
		dst = append(dst, "Content-Length: "...)
		dst = append(strconv.AppendInt(dst, int64(len(x.call.Payload)), 10), '\r', '\n')
	}
	if x.call.Expecting {
		dst = append(dst, "Expect: 100-continue\r\n"...)
	}
	dst = x.appendForwarded(dst)
	dst = append(dst, "X-Request-Id: "...)
	dst = append(dst, x.id...)
	dst = append(dst, '\r', '\n')
	dst = x.appendConnectionOptions(dst)
	return append(dst, '\r', '\n')
}

func (x *exchange) appendRequestLine(dst []byte, t *upstream.Target) []byte {
	dst = append(dst, x.method...)
	dst = append(dst, ' ')
	if x.req.Form != message.AsteriskForm {
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
	t := x.tenant
	if t.stripPrefix != "" && x.req.Form != message.AsteriskForm {
		rest, err := route.Strip(x.sendPath, t.stripPrefix)
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
	x.sendPath = x.path
	if x.written == nil {
		return nil
	}
	if n := 3 * len(x.written); cap(x.sendBuf) < n {
		x.sendBuf = make([]byte, 0, n)
	}
	x.sendPath, err = route.Spell(x.sendBuf, x.written, x.tenant.spelling)
	return err
}

// appendHost writes the client's Host as it came, or the target's own.
func (x *exchange) appendHost(dst []byte, t *upstream.Target) []byte {
	dst = append(dst, "Host: "...)
	if x.script.host != "" {
		dst = append(dst, x.script.host...)
	} else if x.tenant.preserveHost && len(x.req.Authority) > 0 {
		dst = append(dst, x.req.Authority...)
	} else {
		dst = append(dst, t.Address().Authority...)
	}
	return append(dst, '\r', '\n')
}

// appendRequestFields copies what is not the gateway's own business: byte for
// byte and in order.
func (x *exchange) appendRequestFields(dst []byte) []byte {
	for i := range x.req.Header {
		f := &x.req.Header[i]
		switch f.ID {
		case message.Unknown: // the common case first
			if f.Dropped {
				continue
			}
		case message.ContentLength, message.TransferEncoding:
			if x.script.resized { // see AppendRequest
				continue
			}
			// The framing as it was judged, in the one spelling that nobody
			// reads otherwise. Connection can't take it away.
			dst = x.appendFraming(dst, f)
			continue
		case message.Host, message.Connection, message.TE, message.KeepAlive, message.ProxyAny, message.HTTP2Settings,
			message.Expect, message.XRequestID, message.XForwardedFor, message.XForwardedProto, message.XForwardedHost,
			message.Forwarded, message.Via, message.XGatewayHops:
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
			if x.req.Framing != http1.Chunked || f.Dropped || x.script.resized {
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
	if string(x.req.Method) != "OPTIONS" || string(x.req.Header.Get(message.MaxForwards)) != "0" {
		return false
	}
	x.status = 200
	x.local = localResponse{contentType: "text/plain; charset=utf-8", allow: faultMethodRefused.Allow}
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

func (x *exchange) appendFraming(dst []byte, f *message.Field) []byte {
	dst = append(append(dst, f.Name...), ": "...)
	if f.ID == message.TransferEncoding {
		return append(dst, "chunked\r\n"...)
	}
	return append(strconv.AppendInt(dst, x.req.Length, 10), '\r', '\n')
}

// Interim relays an informational response such as 103 Early Hints; it is
// upstream.Request's. HTTP/1.0 clients don't know them (RFC 9110 §15.2).
func (x *exchange) Interim(r *http1.Response) error {
	if x.req.Minor == 0 {
		return nil
	}
	out := appendStatusLine(x.out[:0], r.Status, r.Reason)
	for i := range r.Header {
		f := &r.Header[i]
		if f.Dropped || isHopByHop(f.ID) || f.ID == message.ContentLength || f.ID == message.XRequestID || f.ID == message.XGatewayError {
			continue
		}
		out = message.AppendField(out, f.Name, f.Value)
	}
	x.out = append(out, '\r', '\n')
	x.client.beginAnswer(socket.Nanotime())
	if err := x.write(x.out); err != nil {
		return errClientGone
	}
	x.client.pauseAnswer()
	return nil
}

// write writes something of the gateway's own to the client. The end of the
// request doesn't bound it: it may be what is being said.
func (x *exchange) write(p []byte) error {
	s := x.clientSink()
	s.total = 0
	return s.write(p)
}

func (x *exchange) clientSink() sink {
	return sink{
		conn: x.client.Conn.Conn, sock: x.client.Sock, idle: x.bounds.writeIdle, total: x.call.Expiry, minRate: x.bounds.minRate,
		busy: &x.client.writing,
	}
}
