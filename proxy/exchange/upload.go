package exchange

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

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

// errUploadStopped ends an upload that the response has overtaken.
var errUploadStopped = errors.New("the response was complete before the request")

// Upload starts sending the body; it is upstream.Caller's. A client that waits
// for 100 Continue is told now.
func (x *exchange) Upload() {
	if err := x.beginBody(); err != nil {
		x.upload.withheld = true
		x.call.Abort(err)
		return
	}
	x.upload.withheld = false
	x.upload.done = make(chan struct{})
	go x.runUpload(x.upload.done)
}

func (x *exchange) runUpload(done chan struct{}) {
	defer close(done)
	defer func() {
		if cause := recover(); cause != nil {
			x.plane.LogPanic(cause)
			x.call.Abort(faultInternal)
		}
	}()
	to := x.call.Sender()
	err := x.sendBody(&to)
	// While the head of the response is awaited, its read expiry is still the
	// one that the call has set.
	switch {
	case err == nil:
		x.upload.sent = true
		x.call.AwaitAnswer(x.call.Timeouts.ResponseHeader)
	case to.Err != nil:
		// The target stopped reading; it may have answered before.
		x.call.AwaitAnswer(answerTime)
	case !x.upload.stopped.Load():
		// A cut or refused body must never look complete to the target.
		x.call.Abort(err)
	}
}

// sendBody copies the client's body to the target.
func (x *exchange) sendBody(to *upstream.Sender) error {
	for {
		if !x.content.Ready() {
			if err := to.Flush(); err != nil {
				return err
			}
			if source, ok := x.content.Body.(Source); ok && to.Splices() && source.Splices() {
				if err := x.spliceBody(source, to); err != nil {
					return err
				}
			}
		}
		span, err := x.nextBody()
		if err == io.EOF {
			x.upload.read.Store(true)
			x.dropIdentity(x.content.Trailer())
			return to.End(x.content.Trailer())
		}
		if err != nil {
			return err
		}
		x.noteRead()
		if err := to.Add(span); err != nil {
			return err
		}
	}
}

// noteRead comes before a part is written: a target may answer the last one
// before its write has returned.
func (x *exchange) noteRead() {
	if x.content.Done() {
		x.upload.read.Store(true)
	}
}

// spliceBody moves the body on from socket to socket, as spliceResponse does.
func (x *exchange) spliceBody(from Source, to *upstream.Sender) error {
	for !x.content.Done() {
		pipe, err := x.nextPipe(from)
		if err == socket.ErrNoSplice {
			return nil
		}
		if err != nil {
			pipe.Discard()
			return err
		}
		x.noteRead()
		if err := to.WritePipe(pipe); err != nil {
			return err
		}
	}
	return nil
}

// nextPipe returns the next part of the body in a pipe, which may be there even
// if there is an error.
func (x *exchange) nextPipe(from Source) (pipe *socket.Pipe, err error) {
	refused := false
	err = x.awaitBody(func() error {
		var err error
		pipe, err = from.ReadPipe()
		if refused = err == socket.ErrNoSplice; refused {
			return nil
		}
		return err
	})
	if err == nil && refused {
		err = socket.ErrNoSplice
	}
	return pipe, err
}

// answerTime is how long the answer of a target that has stopped reading is
// waited for.
const answerTime = time.Second

// lastWrite is how long the last write of a body that has been read may take
// once the response is there: the target reads it now, or it never will.
const lastWrite = 5 * time.Millisecond

// StopUpload ends the upload and waits for its end; it is upstream.Caller's.
func (x *exchange) StopUpload() { x.upload.stop(x) }

// stop ends an upload that still runs, and waits for its end.
func (u *upload) stop(x *exchange) {
	if !u.running() {
		return
	}
	u.stopped.Store(true)
	x.stream.Interrupt(errUploadStopped)
	x.call.Abort(errUploadStopped)
	<-u.done
	x.stream.Resume()
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
