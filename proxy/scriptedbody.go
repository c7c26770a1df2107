package proxy

import (
	"errors"
	"fmt"
	"io"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// ReadBody reads all of the client's body.
func (x *exchange) ReadBody(limit int64) ([]byte, error) {
	s := &x.script
	switch {
	case s.read || s.request.Replaced:
		return s.body, nil
	case x.buffered != nil && x.body.Done(): // sent on already, and still here
		return x.buffered, nil
	case x.req.Framing == http1.NoBody:
		return nil, nil
	case s.response.Target || x.call.Attempts > 0:
		return nil, errors.New("the body is no longer there: read request.body before next()")
	case x.begun && !x.continued: // the client waits for a 100 that can no longer be sent
		return nil, errors.New("the response has begun: read request.body before response:flush()")
	}
	body, err := x.readWhole(min(limit, x.bounds.maxBody))
	if err != nil {
		fault := faultOf(err)
		x.close = x.close || fault.Close
		if fault == faultClientGone {
			return nil, lua.ErrGone
		}
		return nil, &lua.Ending{Err: err}
	}
	s.body, s.read = body, true
	return body, nil
}

func (x *exchange) readWhole(limit int64) ([]byte, error) {
	if x.req.Length > limit {
		return nil, faultBodyTooLarge
	}
	x.body.Limit(limit)
	if !x.continued {
		x.continued = true
		if err := x.write(continueLine); err != nil {
			return nil, errClientGone
		}
	}
	body, err := x.readGrowing(limit)
	if err != nil {
		x.memory.Release(int64(cap(body)))
		return nil, err
	}
	x.script.took = int64(cap(body))
	x.client.Sock.SetReadExpiry(0)
	return body, nil
}

// readGrowing reads the body into memory that grows as it arrives: what was
// announced and never comes takes none.
func (x *exchange) readGrowing(limit int64) (body []byte, err error) {
	if x.req.Framing == http1.Length {
		limit = x.req.Length
	}
	for !x.body.Done() {
		if x.req.Framing == http1.Length {
			if len(body) == cap(body) {
				grown := x.memory.Grow(body, limit)
				if grown == nil {
					return body, x.outOfMemory()
				}
				body = grown
			}
			n, err := x.readBody(body[len(body):cap(body)])
			body = body[:len(body)+n]
			if err != nil {
				return body, err
			}
			continue
		}
		span, err := x.nextBody()
		if err == io.EOF {
			break
		}
		if err == nil {
			body, err = x.append(body, span, limit)
		}
		if err != nil {
			return body, err
		}
	}
	return body, nil
}

// append appends a part of a body of at most limit bytes, and charges what that
// takes.
func (x *exchange) append(body, span []byte, limit int64) ([]byte, error) {
	for cap(body)-len(body) < len(span) {
		grown := x.memory.Grow(body, max(limit, int64(len(body)+len(span))))
		if grown == nil {
			return body, x.outOfMemory()
		}
		body = grown
	}
	return append(body, span...), nil
}

// ReadResponse reads all of the target's body.
func (x *exchange) ReadResponse(limit int64) error {
	r := &x.script.response
	r.Body = r.Body[:0]
	if x.call.Response.Length > limit {
		return fmt.Errorf("the response's body has %d bytes, lua.max_body is %d", x.call.Response.Length, limit)
	}
	body := &x.call.Body
	for {
		x.call.Conn.Sock.SetReadExpiry(upstream.Expiry(x.call.Timeouts.Idle, x.call.Expiry))
		span, err := body.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			why := x.pausedCause(err)
			x.call.Cut()
			x.Answer(x.cutFault(err))
			x.cause = why
			return &lua.Ending{Err: x.fault}
		}
		if int64(len(r.Body)+len(span)) > limit {
			// A part has been read: what is left must not pass for the whole.
			x.Answer(faultBadResponse)
			x.cause = fmt.Errorf("the response's body is larger than lua.max_body, %d bytes", limit)
			return &lua.Ending{Err: x.fault}
		}
		if err := x.appendResponse(span, limit); err != nil {
			cause := x.cause
			x.Answer(faultMemory)
			x.cause = cause
			return &lua.Ending{Err: x.fault}
		}
	}
	r.Target = false
	x.endCall()
	return nil
}

// appendResponse is append for the response's body, of which what is kept
// between requests isn't charged.
func (x *exchange) appendResponse(span []byte, limit int64) error {
	s := &x.script
	before := int64(cap(s.response.Body))
	if s.charged == 0 && before > 0 && before < int64(len(s.response.Body)+len(span)) {
		if err := x.hold(before); err != nil { // which growing releases
			return err
		}
		s.charged = before
	}
	body, err := x.append(s.response.Body, span, limit)
	s.response.Body = body
	if after := int64(cap(body)); after != before {
		s.charged = after
	}
	return err
}
