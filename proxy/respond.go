package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// respond sends the response: the target's, or the gateway's own.
func (x *exchange) respond() error {
	if !x.begunCall {
		return x.respondLocally()
	}
	if x.call.Response.Status == 101 {
		return x.tunnel()
	}
	x.status = x.call.Response.Status
	now := x.call.HeadAt
	if x.tenant.scripts != nil { // they may have taken their time
		now = socket.Nanotime()
	}
	x.client.beginAnswer(now)
	if x.tenant.scripts == nil {
		x.releaseBuffered() // no target is asked again
	}
	x.amend(x.status, &x.call.Response.Header)
	compress := x.compressible()
	x.out = x.appendResponseHead(x.out[:0])
	x.begun = true
	if err := x.sendResponseBody(compress); err != nil {
		x.cut = true
		x.code = x.cutCode(err)
		x.cause = fmt.Errorf("after %d bytes: %w", x.bytesOut, x.cutCause(err))
		if x.code == codeResponseCut || x.code == codeSlowResponse {
			x.call.Cut()
		}
	}
	return nil
}

// appendResponseHead writes the target's head as it came, but for what ends
// at this hop and how the body is framed for this client.
func (x *exchange) appendResponseHead(dst []byte) []byte {
	r := &x.call.Response
	dst = appendStatusLine(dst, r.Status, r.Reason)
	dst = x.appendResponseFields(dst, r.Header, !x.recoded && r.Status != 204, x.chunkedOut())
	if x.snap.addDate && r.Header.Value(dateName) == nil {
		dst = appendDate(dst)
	}
	dst = x.appendRequestID(dst)
	if x.snap.via != "" {
		dst = appendVia(dst, r.Header, r.Minor, x.snap.via)
	}
	if x.chunkedOut() {
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	dst = x.appendConnection(dst, r.Header)
	return append(dst, '\r', '\n')
}

// appendResponseFields writes what of a response's header is not this hop's
// business. length and trailer say whether Content-Length and Trailer are
// still true.
func (x *exchange) appendResponseFields(dst []byte, h message.Header, length, trailer bool) []byte {
	for i := range h {
		f := &h[i]
		switch {
		case f.ID == message.ContentLength:
			if !length {
				continue
			}
		case f.ID == message.Upgrade && demandsUpgrade(x.status, h):
		case f.Dropped, isHopByHop(f.ID), f.ID == message.XRequestID, f.ID == message.XGatewayError:
			continue
		case f.ID == message.Via && x.snap.via != "", f.ID == message.Vary && x.varies:
			continue
		case f.ID == message.Trailer && !trailer:
			continue
		case x.recoded:
			var done bool
			if dst, done = appendRecoded(dst, f); done {
				continue
			}
		}
		dst = message.AppendField(dst, f.Name, f.Value)
	}
	if x.recoded && x.status != 304 {
		dst = append(dst, "Content-Encoding: gzip\r\n"...)
	}
	if x.varies {
		dst = appendVary(dst, h)
	}
	return dst
}

// chunkedOut reports whether the response to the client is chunked: whenever
// its length isn't known and the client knows chunks.
func (x *exchange) chunkedOut() bool {
	if x.script.response.Begun {
		return x.req.Minor == 1
	}
	if !x.begunCall && !x.begun || x.local.body != nil {
		return false
	}
	r := &x.call.Response
	return x.req.Minor == 1 && (r.Framing == http1.Chunked || r.Framing == http1.UntilClose || x.compressing)
}

func (x *exchange) appendRequestID(dst []byte) []byte {
	dst = append(dst, "X-Request-Id: "...)
	dst = append(dst, x.id...)
	return append(dst, '\r', '\n')
}

// appendConnection decides whether the client's connection goes on, and says
// so; h is the header of the response.
func (x *exchange) appendConnection(dst []byte, h message.Header) []byte {
	r := &x.call.Response
	unframed := x.begunCall && x.req.Minor == 0 && (r.Framing == http1.Chunked || r.Framing == http1.UntilClose || x.compressing)
	if unframed || x.upload.running() || !x.upload.complete() || x.upload.done == nil && !x.keepable() || x.server.draining.Load() {
		x.close = true
	}
	switch upgrade := demandsUpgrade(x.status, h); {
	case x.close && upgrade:
		return append(dst, "Connection: close, Upgrade\r\n"...)
	case x.close:
		return append(dst, "Connection: close\r\n"...)
	case x.req.Minor == 0 && upgrade:
		return append(dst, "Connection: keep-alive, Upgrade\r\n"...)
	case x.req.Minor == 0:
		return append(dst, "Connection: keep-alive\r\n"...)
	case upgrade:
		return append(dst, "Connection: Upgrade\r\n"...)
	}
	return dst
}

// sendResponseBody copies the body to the client as it comes. x.out holds the
// head, which goes out with the first part.
func (x *exchange) sendResponseBody(compress bool) error {
	x.sink = x.clientSink()
	x.pump = pump{to: &x.sink, chunked: x.chunkedOut(), out: x.out}
	p := &x.pump
	defer func() { x.out = p.out[:0] }()
	var encoder *gzipEncoder
	if compress {
		encoder = acquireEncoder(x.bounds.compression.level, p)
		defer encoder.release()
	}
	body := &x.call.Body
	for {
		if !body.Ready() {
			if err := flushAll(encoder, p); err != nil {
				return &clientError{err}
			}
			if encoder == nil && p.splices(body, x.call.Conn.Conn, x.call.Conn.Sock) {
				if err := x.spliceResponse(); err != nil {
					return err
				}
			}
			x.expectSpan()
		}
		span, err := body.Next()
		if err == io.EOF {
			return x.endBody(encoder, p)
		}
		if err != nil {
			_ = flushAll(encoder, p) // what came before the fault is the client's
			return err
		}
		x.bytesOut += int64(len(span))
		if err := addSpan(encoder, p, span); err != nil {
			return &clientError{err}
		}
	}
}

// expectSpan bounds the wait for more of the response.
func (x *exchange) expectSpan() {
	x.client.lastWrite.Store(socket.Nanotime())
	x.call.Conn.Sock.SetReadExpiry(upstream.Expiry(x.call.Timeouts.Idle, x.call.Expiry))
}

// spliceResponse moves the body on from socket to socket, until it is done or
// there is no pipe: then the rest, or a part of it, is copied.
func (x *exchange) spliceResponse() error {
	body := &x.call.Body
	for !body.Done() {
		x.expectSpan()
		pipe, err := x.call.Conn.Sock.ReadPipe(body.Left())
		if err == socket.ErrNoSplice {
			return nil
		}
		if err != nil {
			return body.Spliced(0, err)
		}
		x.bytesOut += int64(pipe.Len())
		_ = body.Spliced(pipe.Len(), nil)
		if err := x.sink.splice(pipe); err != nil {
			return &clientError{err}
		}
	}
	return nil
}

func (x *exchange) endBody(encoder *gzipEncoder, p *pump) error {
	if encoder != nil {
		if err := encoder.end(); err != nil {
			return &clientError{err}
		}
	}
	trailer := x.call.Body.Trailer()
	for i := range trailer {
		trailer[i].Dropped = trailer[i].Dropped || x.recoded && isOfPlainBytes(trailer[i].Name)
	}
	if err := p.end(trailer); err != nil {
		return &clientError{err}
	}
	return nil
}

func addSpan(encoder *gzipEncoder, p *pump, span []byte) error {
	if encoder != nil {
		return encoder.write(span)
	}
	return p.add(span)
}

func flushAll(encoder *gzipEncoder, p *pump) error {
	if encoder != nil {
		if err := encoder.flush(); err != nil {
			return err
		}
	}
	return p.flush()
}

// clientError is an error of writing to the client.
type clientError struct{ err error }

func (e *clientError) Error() string { return "cannot write to the client: " + cause.Text(e.err) }
func (e *clientError) Unwrap() error { return e.err }

// cutCode names what cut a response short, for the log.
func (x *exchange) cutCode(err error) string {
	slow := errors.Is(err, socket.ErrTimeout)
	fault, isFault := errors.AsType[*Fault](err)
	switch {
	case x.server.draining.Load() && (errors.Is(err, faultDrained) || errors.Is(err, net.ErrClosed)):
		return faultDrained.Code
	case isFault:
		return fault.Code
	case errors.Is(err, errClientGone):
		return faultClientGone.Code
	case errors.As(err, new(*clientError)) && slow:
		return codeSlowClient
	case errors.As(err, new(*clientError)):
		return faultClientGone.Code
	case slow:
		return codeSlowResponse
	}
	return codeResponseCut
}

func appendStatusLine(dst []byte, status int, reason []byte) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, reason...)
	return append(dst, '\r', '\n')
}
