package exchange

import (
	"errors"
	"fmt"
	"io"

	"github.com/keystone-gateway/keystone-gateway/lua"
)

// ReadBody reads all of the client's body.
func (x *exchange) ReadBody(limit int64) ([]byte, error) {
	s := &x.script
	switch {
	case s.read || s.request.Replaced:
		return s.body, nil
	case x.content.buffered != nil && x.content.Done(): // sent on already, and still here
		return x.content.buffered, nil
	case x.Message.Length == 0:
		return nil, nil
	case x.response.Target || x.call.Attempts > 0:
		return nil, errors.New("the body is no longer there: read request.body before next()")
	case x.state != unanswered && x.stream.Expects(): // the client waits for a 100 that can no longer be sent
		return nil, errors.New("the response has begun: read request.body before response:flush()")
	}
	body, err := x.readWhole(min(limit, x.mostBody()))
	if err != nil {
		fault := faultOf(err)
		x.last = x.last || fault.Close
		if fault == faultClientGone {
			return nil, lua.ErrGone
		}
		return nil, &lua.Ending{Err: err}
	}
	s.body, s.read = body, true
	return body, nil
}

func (x *exchange) readWhole(limit int64) ([]byte, error) {
	if err := x.limitBody(limit); err != nil {
		return nil, err
	}
	if err := x.beginBody(); err != nil {
		return nil, err
	}
	body, err := x.readGrowing(limit)
	if err != nil {
		x.memory.Release(int64(cap(body)))
		return nil, err
	}
	x.script.took = int64(cap(body))
	x.stream.Expire(0)
	return body, nil
}

// readGrowing reads the body into memory that grows as it arrives: what was
// announced and never comes takes none.
func (x *exchange) readGrowing(limit int64) (body []byte, err error) {
	if x.Message.Length > 0 {
		limit = x.Message.Length
	}
	for !x.content.Done() {
		if x.Message.Length > 0 {
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
	r := &x.response
	if x.served.is {
		return x.readServed(limit)
	}
	r.Body = r.Body[:0]
	if x.call.Response.Length > limit {
		return fmt.Errorf("the response's body has %d bytes, lua.max_body is %d", x.call.Response.Length, limit)
	}
	body := &x.call.Body
	for {
		x.call.ExpectBody()
		span, err := body.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			if errors.Is(err, ErrClientGone) {
				return x.gone(x.pausedCause(err))
			}
			err = &caused{x.cutFault(err), x.pausedCause(err)}
			x.call.Cut()
			return x.end(err)
		}
		if int64(len(r.Body)+len(span)) > limit {
			// A part has been read: what is left must not pass for the whole.
			return x.end(&caused{faultBadResponse, fmt.Errorf("the response's body is larger than lua.max_body, %d bytes", limit)})
		}
		if err := x.appendResponse(span, limit); err != nil {
			return x.end(err)
		}
	}
	r.Target = false
	x.endCall(true)
	return nil
}

// end makes an error the response, and the end of a script that doesn't catch it.
func (x *exchange) end(err error) error {
	x.Answer(err)
	return &lua.Ending{Err: err}
}

// gone ends scripts whose client has gone, and keeps what more is known of that.
func (x *exchange) gone(why error) error {
	x.script.gone = &caused{faultClientGone, why}
	return lua.ErrGone
}

// appendResponse is append for the response's body, of which what is kept
// between requests isn't charged.
func (x *exchange) appendResponse(span []byte, limit int64) error {
	s := &x.script
	before := int64(cap(x.response.Body))
	if s.charged == 0 && before > 0 && before < int64(len(x.response.Body)+len(span)) {
		if err := x.hold(before); err != nil { // which growing releases
			return err
		}
		s.charged = before
	}
	body, err := x.append(x.response.Body, span, limit)
	x.response.Body = body
	if after := int64(cap(body)); after != before {
		s.charged = after
	}
	return err
}
