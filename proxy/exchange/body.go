package exchange

import (
	"errors"
	"io"

	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// maxBuffered is the largest body that is read before a target is chosen. A
// slow client then holds no connection to a target, and the request can be
// sent again. All others stream.
const maxBuffered = 64 << 10

// content is the request's body while it is received.
type content struct {
	Body            // the stream's
	buffered []byte // all of a small one; from memory.AcquireBuffer
	pace     socket.Pace
	judged   int64 // how much of it pace knows of
}

// release forgets what is buffered.
func (c *content) release(held *memory.Charge) {
	if c.buffered == nil {
		return
	}
	if cap(c.buffered) > memory.SmallBuffer {
		held.Release(int64(cap(c.buffered)))
	}
	memory.ReleaseBuffer(c.buffered)
	c.buffered = nil
}

// limitBody holds the body to a limit, before the client is told to send it.
func (x *exchange) limitBody(most int64) error {
	if x.Message.Length > most {
		return faultBodyTooLarge
	}
	x.content.Limit(most)
	return nil
}

// beginBody tells a client that waits for it to send the body.
func (x *exchange) beginBody() error {
	if err := x.stream.Continue(); err != nil {
		return ErrClientGone
	}
	return nil
}

// admitBody lets the body in within the limit, and buffers a small one.
func (x *exchange) admitBody() error {
	if err := x.limitBody(x.mostBody()); err != nil || x.Message.Length == 0 {
		return err
	}
	if x.Message.Length == message.Unsized && hasCome(x.content.Body) {
		return x.bufferCome()
	}
	streamed := x.Message.Length == message.Unsized || x.Message.Length > maxBuffered
	if streamed && x.Tenant.Expects {
		return nil // the target says whether it wants it: see Upload
	}
	if err := x.beginBody(); err != nil || streamed {
		return err
	}
	return x.bufferBody()
}

// Comer is a Body of a protocol that tells whether all of it has come, though its
// length wasn't said, as that of most calls of gRPC has: it is buffered then, like
// any small one.
type Comer interface {
	// Ended reports that; Trailer is valid then, too.
	Ended() bool
}

// hasCome leaves out what has trailers, which only follow what is streamed.
func hasCome(body Body) bool {
	c, ok := body.(Comer)
	return ok && c.Ended() && len(body.Trailer()) == 0
}

// bufferCome buffers a body that has come, of at most maxBuffered bytes; what is
// more than that, streams, as far as it hasn't been read.
func (x *exchange) bufferCome() error {
	if err := x.beginBody(); err != nil {
		return err
	}
	buffer, got := memory.AcquireBuffer(memory.SmallBuffer), 0
	for {
		span, err := x.nextBody()
		if err == nil && got+len(span) > len(buffer) {
			buffer, err = x.widened(buffer, got, got+len(span))
		}
		switch {
		case err == io.EOF:
			x.content.buffered = buffer[:got]
			x.stream.Expire(0)
			return nil
		case err != nil:
			memory.ReleaseBuffer(buffer)
			return err
		}
		got += copy(buffer[got:], span)
	}
}

// widened moves what was got to a large buffer.
func (x *exchange) widened(buffer []byte, got, need int) ([]byte, error) {
	if need > memory.LargeBuffer {
		panic("BUG: a body of unknown length has come that no window allows")
	}
	if err := x.hold(memory.LargeBuffer); err != nil {
		return buffer, err
	}
	large := memory.AcquireBuffer(memory.LargeBuffer)
	copy(large, buffer[:got])
	memory.ReleaseBuffer(buffer)
	return large, nil
}

// bufferBody reads a small body whole. A large buffer is taken only when what
// has arrived needs one.
func (x *exchange) bufferBody() error {
	buffer, got := memory.AcquireBuffer(memory.SmallBuffer), 0
	var err error
	for err == nil && !x.content.Done() {
		if got > memory.SmallBuffer/2 && len(buffer) == memory.SmallBuffer && x.Message.Length > memory.SmallBuffer {
			if buffer, err = x.widened(buffer, got, memory.LargeBuffer); err != nil {
				break
			}
		}
		var n int
		n, err = x.readBody(buffer[got:])
		got += n
	}
	if err != nil {
		memory.ReleaseBuffer(buffer)
		return err
	}
	x.content.buffered = buffer[:got] // only now: what was in it before was another request's
	x.stream.Expire(0)
	return nil
}

// readBody reads a part of the body into p.
func (x *exchange) readBody(p []byte) (n int, err error) {
	err = x.awaitBody(func() error {
		n, err = x.content.ReadInto(p)
		return err
	})
	return n, err
}

// nextBody returns the next part of the body, as Body.Next does.
func (x *exchange) nextBody() (span []byte, err error) {
	err = x.awaitBody(func() error {
		span, err = x.content.Next()
		return err
	})
	return span, err
}

// awaitBody bounds one read of the body: by body_idle, by the end of the
// request, and by the least rate over the last body_idle of waiting. Its errors
// are the client's.
func (x *exchange) awaitBody(read func() error) error {
	before := socket.Nanotime()
	x.stream.Expire(upstream.Expiry(x.bounds.bodyIdle, x.call.Expiry))
	if x.upload.answered.Load() { // looked at after the line above, which it undoes
		x.stream.Expire(x.call.Expiry)
	}
	err := read()
	arrived := x.content.Read() - x.content.judged
	x.content.judged += arrived
	slow := x.content.pace.Add(socket.Nanotime()-before, arrived, int64(x.bounds.bodyIdle), x.bounds.minRate)
	if err == nil && slow && !x.upload.answered.Load() {
		return faultSlowBody
	}
	return x.bodyFault(err)
}

// bodyFault says what an error of reading the client's body means.
func (x *exchange) bodyFault(err error) error {
	switch {
	case err == nil || err == io.EOF:
		return err
	case errors.Is(err, socket.ErrTimeout) && x.late():
		return faultRequestTimeout
	case errors.Is(err, socket.ErrTimeout):
		return faultSlowBody
	case errors.As(err, new(*Fault)) || errors.As(err, new(message.Violation)) || errors.Is(err, errUploadStopped) || errors.Is(err, memory.ErrNoMemory):
		return err
	}
	return ErrClientGone
}
