package upstream

import (
	"errors"
	"fmt"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/upstream/streams"
)

// A call over HTTP/2: what attempt, exchange and readHead do over HTTP/1.

// attemptShared sends the request as a stream of a connection that is shared. It is
// false where the target has chosen HTTP/1 after all. The target has been begun.
func (c *Call) attemptShared(t *Target, p *shared) (failure *Failure, ok bool) {
	wait, clipped := c.Timeouts.Connect, false
	if c.Expiry != 0 {
		left := time.Duration(c.Expiry - c.now)
		if left <= 0 {
			return c.outOfTime(socket.ErrTimeout), true
		}
		if wait <= 0 || left < wait {
			wait, clipped = left, true
		}
	}
	found := p.acquire(wait)
	c.now = socket.Nanotime()
	if errors.Is(found.err, errOther) {
		return nil, false
	}
	if found.err != nil {
		return c.unconnected(t, found.err, clipped), true
	}
	if found.took > 0 {
		c.ConnectTime = found.took
	}
	stream := streams.Acquire(found.conn, c.allowance())
	kept := false
	defer func() { // also when Caller panics
		if !kept {
			c.Caller.StopUpload()
			c.detach()
			stream.Release()
		}
	}()
	if err := c.attachStream(stream); err != nil {
		return c.fail(Aborted, err), true
	}
	served := found.conn.Served()
	if failure = c.exchangeShared(stream); failure != nil {
		failure.keptConn = served
		return failure, true
	}
	kept = true
	c.stream, c.Body.stream = stream, stream
	return nil, true
}

// allowance is nil where nothing bounds what a response is read through.
func (c *Call) allowance() streams.Allowance {
	if c.Allowance == nil {
		return nil
	}
	return c.Allowance
}

// exchangeShared sends the request and reads the response head.
func (c *Call) exchangeShared(s *streams.Stream) *Failure {
	address := &c.Target.address
	c.out = http2.AppendRequest(c.out[:0], c.Request, scheme(address.Secure()), address.BasePath, address.Authority)
	if c.Streaming {
		s.SetReadExpiry(c.Expiry) // Upload sets the rest when it is done
	} else {
		s.SetReadExpiry(c.headExpiry())
	}
	if err := s.Begin(c.out, c.Payload, !c.Streaming, c.isHEAD()); err != nil {
		return c.noStreamHead(err)
	}
	c.sending = sending{stream: s}
	if c.Streaming && !c.Request.Continue {
		c.Caller.Upload()
	}
	withheld := c.Request.Continue
	for range maxInterim + 1 {
		if withheld {
			var err error
			if withheld, err = c.awaitStreamContinue(s); err != nil {
				return c.noStreamHead(err)
			}
		}
		err := c.takeHead(s)
		if until, ok := c.waitsOn(err); ok {
			s.SetReadExpiry(until)
			err = c.takeHead(s)
		}
		if err != nil {
			return c.noStreamHead(err)
		}
		c.Target.observe(outcome{kind: answered})
		switch {
		case c.Response.Status >= 200:
			return nil
		case c.Response.Status != 100:
			if err := c.Caller.Interim(&c.Response.Response); err != nil {
				return c.fail(Aborted, err)
			}
		case withheld:
			withheld = false
			c.uploadShared(s)
		}
	}
	return c.fail(BadResponse, errTooManyInterim)
}

func scheme(secure bool) string {
	if secure {
		return "https"
	}
	return "http"
}

// takeHead makes the next head the response, in the call's own memory: it lives
// longer than the stream.
func (c *Call) takeHead(s *streams.Stream) error {
	r, size, err := s.ReadHead()
	if err != nil {
		return err
	}
	if cap(c.head) < size {
		c.head = make([]byte, 0, size)
	}
	c.head = c.head[:0]
	to := &c.Response
	to.Reset()
	for i := range r.Header {
		f := r.Header[i]
		f.Name, f.Value = c.keep(f.Name), c.keep(f.Value)
		to.Receive(f)
	}
	to.Version, to.Status, to.Length, to.Bodiless = r.Version, r.Status, r.Length, r.Bodiless
	to.Minor = 1
	return nil
}

// keep copies a part of the head, for which there is room.
func (c *Call) keep(p []byte) []byte {
	begin := len(c.head)
	c.head = append(c.head, p...)
	return c.head[begin:len(c.head):len(c.head)]
}

// awaitStreamContinue is awaitContinue for a stream.
func (c *Call) awaitStreamContinue(s *streams.Stream) (withheld bool, err error) {
	now := socket.Nanotime()
	s.SetReadExpiry(expiry(now, continueTime, c.Expiry))
	err = s.Wait()
	switch {
	case err == nil:
		s.SetReadExpiry(expiry(now, c.Timeouts.ResponseHeader, c.Expiry))
		return true, nil
	case isTimeout(err) && s.Aborted() == nil && (c.Expiry == 0 || socket.Nanotime() < c.Expiry):
		c.uploadShared(s)
		return false, nil
	}
	return true, err
}

func (c *Call) uploadShared(s *streams.Stream) {
	s.SetReadExpiry(c.Expiry)
	c.Caller.Upload()
}

// noStreamHead classifies an error before the response head was complete.
func (c *Call) noStreamHead(err error) *Failure {
	if cause := c.Aborted(); cause != nil {
		return c.fail(Aborted, cause)
	}
	var (
		wrong *http2.StreamError
		ended *streams.EndError
		reset *streams.ResetError
		conn  *http2.ConnError
		bad   message.Violation
	)
	switch {
	case isTimeout(err):
		return c.fail(ResponseTimeout, err).endedBy(c.reachedTimeout(true))
	case streams.Unprocessed(err):
		return c.fail(Refused, err)
	case errors.As(err, &wrong), errors.As(err, &bad), errors.As(err, &conn):
		return c.fail(BadResponse, err)
	case errors.As(err, &reset):
		return c.fail(ResetByTarget, err)
	case errors.As(err, &ended) && ended.Begun:
		return c.fail(BadResponse, err)
	}
	return c.fail(NoResponse, fmt.Errorf("the connection ended: %w", err))
}

// endShared is End for a stream.
func (c *Call) endShared(whole bool) {
	if whole && c.Body.Done() {
		c.Target.observe(outcome{kind: completed})
	}
	s := c.stream
	c.stream, c.Body.stream = nil, nil
	c.detach()
	s.Release()
	c.Target.End()
}

// Body is the content of a response, of either protocol.
type Body struct {
	http1.Body
	stream *streams.Stream // nil: HTTP/1
}

// Next returns the next part of the content, as http1.Body does.
func (b *Body) Next() ([]byte, error) {
	if b.stream != nil {
		return b.stream.Next()
	}
	return b.Body.Next()
}

// Ready reports whether Next would return at once.
func (b *Body) Ready() bool {
	if b.stream != nil {
		return b.stream.Ready()
	}
	return b.Body.Ready()
}

// Done reports whether all has been read.
func (b *Body) Done() bool {
	if b.stream != nil {
		return b.stream.Done()
	}
	return b.Body.Done()
}

// Splices reports whether the rest may be moved from socket to socket.
func (b *Body) Splices() bool { return b.stream == nil && b.Body.Splices() }

// Trailer is valid after io.EOF.
func (b *Body) Trailer() message.Header {
	if b.stream != nil {
		return b.stream.Trailer()
	}
	return b.Body.Trailer()
}
