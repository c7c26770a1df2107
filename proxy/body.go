package proxy

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// maxBuffered is the largest body that is read before a target is chosen. A
// slow client then holds no connection to a target, and the request can be
// sent again. All others stream.
const maxBuffered = 64 << 10

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// admitBody holds the body to the limit before the client is told to send it,
// and buffers a small one.
func (x *exchange) admitBody() error {
	if x.req.Length > x.bounds.maxBody {
		return faultBodyTooLarge
	}
	if x.req.Framing == http1.NoBody {
		return nil
	}
	x.body.Limit(x.bounds.maxBody)
	streamed := x.req.Framing != http1.Length || x.req.Length > maxBuffered
	if streamed && x.tenant.expects {
		return nil // the target says whether it wants it: see Upload
	}
	if !x.continued {
		x.continued = true
		if err := x.write(continueLine); err != nil {
			return errClientGone
		}
	}
	if streamed {
		return nil
	}
	return x.bufferBody()
}

// bufferBody reads a small body whole. A large buffer is taken only when what
// has arrived needs one.
func (x *exchange) bufferBody() error {
	buffer, got := memory.AcquireBuffer(memory.SmallBuffer), 0
	var err error
	for err == nil && !x.body.Done() {
		if got > memory.SmallBuffer/2 && len(buffer) == memory.SmallBuffer && x.req.Length > memory.SmallBuffer {
			if err = x.hold(memory.LargeBuffer); err != nil {
				break
			}
			large := memory.AcquireBuffer(memory.LargeBuffer)
			copy(large, buffer[:got])
			memory.ReleaseBuffer(buffer)
			buffer = large
		}
		var n int
		n, err = x.readBody(buffer[got:])
		got += n
	}
	if err != nil {
		memory.ReleaseBuffer(buffer)
		return err
	}
	x.buffered = buffer[:got] // only now: what was in it before was another request's
	x.client.Sock.SetReadExpiry(0)
	return nil
}

// readBody reads a part of the body into p.
func (x *exchange) readBody(p []byte) (n int, err error) {
	err = x.awaitBody(func() error {
		n, err = x.body.ReadInto(p)
		return err
	})
	return n, err
}

// nextBody returns the next part of the body, as Body.Next does.
func (x *exchange) nextBody() (span []byte, err error) {
	err = x.awaitBody(func() error {
		span, err = x.body.Next()
		return err
	})
	return span, err
}

// awaitBody bounds one read of the body: by body_idle, by the end of the
// request, and by the least rate over the last body_idle of waiting. Its errors
// are the client's.
func (x *exchange) awaitBody(read func() error) error {
	before := socket.Nanotime()
	x.client.Sock.SetReadExpiry(upstream.Expiry(x.bounds.bodyIdle, x.call.Expiry))
	if x.upload.answered.Load() { // looked at after the line above, which it undoes
		x.client.Sock.SetReadExpiry(x.call.Expiry)
	}
	err := read()
	arrived := x.body.Read() - x.judged
	x.judged += arrived
	slow := x.pace.Add(socket.Nanotime()-before, arrived, int64(x.bounds.bodyIdle), x.bounds.minRate)
	switch {
	case err == nil && slow && !x.upload.answered.Load():
		return faultSlowBody
	case err == nil || err == io.EOF:
		return err
	case errors.Is(err, socket.ErrTimeout) && x.call.Expiry != 0 && socket.Nanotime() >= x.call.Expiry:
		return faultRequestTimeout
	case errors.Is(err, socket.ErrTimeout):
		return faultSlowBody
	case errors.As(err, new(*Fault)) || errors.As(err, new(message.Violation)) || errors.Is(err, errUploadStopped) || errors.Is(err, memory.ErrNoMemory):
		return err
	}
	return errClientGone
}

// upload is the sending of a streamed body, on a goroutine of its own, so
// that a target may answer before it is done.
type upload struct {
	done chan struct{} // closed at its end; nil when there is none
	read atomic.Bool   // the whole body has been read
	// answered says that the response has begun: from then on the client may
	// be waiting for the target, and only their own time-outs bound both.
	answered atomic.Bool
	stopped  atomic.Bool
	sent     bool // completely; valid once done is closed
	withheld bool // until the target wants it
}

func (u *upload) reset() {
	u.done, u.sent, u.withheld = nil, false, false
	u.read.Store(false)
	u.answered.Store(false)
	u.stopped.Store(false)
}

// errUploadStopped ends an upload that the response has overtaken.
var errUploadStopped = errors.New("the response was complete before the request")

// Upload starts sending the body; it is upstream.Request's. A client that waits
// for 100 Continue is told now.
func (x *exchange) Upload(conn *upstream.Conn) {
	x.upload.withheld = false
	if !x.continued {
		x.continued = true
		x.client.beginAnswer(socket.Nanotime())
		if err := x.write(continueLine); err != nil {
			x.upload.withheld = true
			x.call.Abort(errClientGone)
			return
		}
		x.client.pauseAnswer()
	}
	x.upload.done = make(chan struct{})
	go x.runUpload(conn, x.upload.done)
}

func (x *exchange) runUpload(conn *upstream.Conn, done chan struct{}) {
	defer close(done)
	defer func() {
		if cause := recover(); cause != nil {
			x.server.logPanic(cause)
			x.call.Abort(faultInternal)
		}
	}()
	to := sink{conn: conn.Conn, sock: conn.Sock, idle: x.call.Timeouts.Idle, total: x.call.Expiry}
	err := x.sendBody(&to)
	// While the head of the response is awaited, its read expiry is still the
	// one that the call has set.
	switch {
	case err == nil:
		x.upload.sent = true
		conn.Sock.SwapReadExpiry(x.call.Expiry, upstream.Expiry(x.call.Timeouts.ResponseHeader, x.call.Expiry))
	case to.err != nil:
		// The target stopped reading; it may have answered before.
		conn.Sock.SwapReadExpiry(x.call.Expiry, upstream.Expiry(lingerTime, x.call.Expiry))
	case !x.upload.stopped.Load():
		// A cut or refused body must never look complete to the target.
		x.call.Abort(err)
	}
}

// sendBody copies the client's body to the target.
func (x *exchange) sendBody(to *sink) error {
	chunked := x.req.Framing == http1.Chunked
	p := pump{to: to, chunked: chunked}
	for {
		if !x.body.Ready() {
			if err := p.flush(); err != nil {
				return err
			}
			if p.splices(&x.body, x.client.Conn.Conn, x.client.Sock) {
				if err := x.spliceBody(to); err != nil {
					return err
				}
			}
		}
		span, err := x.nextBody()
		if err == io.EOF {
			x.upload.read.Store(true)
			x.dropIdentity(x.body.Trailer())
			return p.end(x.body.Trailer())
		}
		if err != nil {
			return err
		}
		x.noteRead()
		if err := p.add(span); err != nil {
			return err
		}
	}
}

// noteRead comes before a part is written: a target may answer the last one
// before its write has returned.
func (x *exchange) noteRead() {
	if x.body.Done() {
		x.upload.read.Store(true)
	}
}

// spliceBody moves the body on from socket to socket, as spliceResponse does.
func (x *exchange) spliceBody(to *sink) error {
	for !x.body.Done() {
		pipe, err := x.nextPipe()
		if err == socket.ErrNoSplice {
			return nil
		}
		if err != nil {
			pipe.Discard()
			return err
		}
		x.noteRead()
		if err := to.splice(pipe); err != nil {
			return err
		}
	}
	return nil
}

// nextPipe returns the next part of the body in a pipe, which may be there even
// if there is an error.
func (x *exchange) nextPipe() (pipe *socket.Pipe, err error) {
	refused := false
	err = x.awaitBody(func() error {
		var err error
		pipe, err = x.client.Sock.ReadPipe(x.body.Left())
		if refused = err == socket.ErrNoSplice; refused {
			return nil
		}
		return x.body.Spliced(pipe.Len(), err)
	})
	if err == nil && refused {
		err = socket.ErrNoSplice
	}
	return pipe, err
}

// lastWrite is how long the last write of a body that has been read may take
// once the response is there: the target reads it now, or it never will.
const lastWrite = 5 * time.Millisecond

// StopUpload ends the upload and waits for its end; it is upstream.Request's.
func (x *exchange) StopUpload() { x.upload.stop(x) }

// stop ends an upload that still runs, and waits for its end.
func (u *upload) stop(x *exchange) {
	if !u.running() {
		return
	}
	u.stopped.Store(true)
	x.client.Sock.Abort(errUploadStopped)
	x.call.Abort(errUploadStopped)
	<-u.done
	x.client.Sock.ClearAbort()
}

// complete reports whether the target has had the whole request. The upload
// must have ended.
func (u *upload) complete() bool { return !u.withheld && (u.done == nil || u.sent) }

// running reports whether the upload still goes on.
func (u *upload) running() bool {
	if u.done == nil {
		return false
	}
	select {
	case <-u.done:
		return false
	default:
	}
	if !u.read.Load() {
		return true
	}
	timer := time.NewTimer(lastWrite)
	defer timer.Stop()
	select {
	case <-u.done:
		return false
	case <-timer.C:
		return true
	}
}
