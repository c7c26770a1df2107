package generator

import (
	"errors"
	"io"
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/response"
)

// worker sends one request after the other. What it does for each allocates
// nothing, as long as connections are kept.
type worker struct {
	run    *run
	shard  *shard
	answer response.Reader
	buffer []byte
}

// outcome is how a request ended.
type outcome struct {
	status         int // 0 is a failure
	kind           Kind
	received, sent int64
}

// pause is how long a closed loop waits after a failure to connect, so that a
// server that is down isn't hammered.
const pause = 50 * time.Millisecond

// loop sends requests until the window ends.
func (w *worker) loop() {
	r := w.run
	for now := r.now(); now < r.end && !r.stopped.Load(); {
		o := w.send(ticket{due: now}, now)
		if o.status == 0 && (o.kind == Connect || o.kind == TLS) {
			r.wait(r.now() + pause)
		}
		now = r.now()
	}
}

// serve sends requests when they are due.
func (w *worker) serve() {
	r := w.run
	for {
		r.pacer.idle.Add(1)
		t, more := <-r.pacer.tickets
		r.pacer.idle.Add(-1)
		if !more {
			return
		}
		if now := r.now(); now < r.end && !r.stopped.Load() {
			w.send(t, now)
		}
	}
}

// send sends the next request, and records how it went. The time is that of
// sending.
func (w *worker) send(t ticket, sent time.Duration) outcome {
	r := w.run
	n := r.next.Add(1) - 1
	o := w.exchange(&r.requests[r.cycle[n%uint64(len(r.cycle))]], sent)
	w.record(t, sent, r.now(), &o)
	return o
}

// exchange sends a request on a connection of its own or a kept one, and reads
// the response.
func (w *worker) exchange(rq *request, begun time.Duration) (o outcome) {
	c := rq.client
	kept, err := c.AcquireConn(c.timeout, w.run.options.Close)
	if err != nil {
		o.kind = kindOfDial(err)
		w.run.recorder.note(o.kind, err)
		return o
	}
	on, ok := kept.Conn().(*conn)
	if !ok {
		panic("BUG: a connection that connect has not made")
	}
	received, sent := on.received, on.sent
	status, reusable, err := w.talk(on, rq, w.run.start.Add(begun+c.timeout))
	o.received, o.sent = on.received-received, on.sent-sent
	if err != nil {
		kind, cause := kindOf(on, err)
		w.run.recorder.note(kind, cause)
		o.kind = kind
	} else {
		o.status = status
	}
	if reusable && !w.run.options.Close {
		c.ReleaseConn(kept)
	} else {
		c.CloseConn(kept)
	}
	return o
}

// talk writes a request and reads the response. A server may answer before it
// has read all of a body, and close: the response counts even so.
func (w *worker) talk(on *conn, rq *request, deadline time.Time) (status int, reusable bool, err error) {
	if err := on.SetDeadline(deadline); err != nil {
		on.broken = err
		return 0, false, err
	}
	_, refused := on.Write(rq.head)
	if refused == nil && rq.body != nil {
		_, refused = on.Write(rq.body)
	}
	status, reusable, err = w.read(on, rq.noBody)
	return status, reusable && refused == nil, err
}

// read reads a response. reusable is whether the connection can take another
// request.
func (w *worker) read(from io.Reader, noBody bool) (status int, reusable bool, err error) {
	if w.buffer == nil {
		w.buffer = make([]byte, readBuffer)
	}
	for w.answer.Reset(noBody); ; {
		n, err := from.Read(w.buffer)
		if n > 0 {
			done, wrong := w.answer.Feed(w.buffer[:n])
			if done || wrong != nil {
				return w.answer.Status, done && !w.answer.Close, wrong
			}
		}
		if errors.Is(err, io.EOF) && w.answer.End() {
			return w.answer.Status, false, nil
		}
		if err != nil {
			return 0, false, err
		}
	}
}

// record counts an outcome, if the request was due in the window.
func (w *worker) record(t ticket, sent, ended time.Duration, o *outcome) {
	r := w.run
	w.shard.mu.Lock()
	defer w.shard.mu.Unlock()
	tally := w.shard.now
	if ended >= r.options.Warmup && ended < r.end && !r.stopped.Load() {
		tally.received += o.received
		tally.sent += o.sent
		if o.status > 0 {
			tally.answered++
		}
	}
	if t.due < r.options.Warmup {
		return
	}
	switch {
	case o.status > 0:
		tally.statuses[o.status]++
		tally.latency.Add(ended - t.due)
		if r.pacer != nil {
			tally.service.Add(ended - sent)
		}
	case r.isCut.Load():
		tally.cut++
	default:
		tally.failures[o.kind]++
	}
	if r.pacer != nil && sent-t.due > lateAfter {
		if t.free {
			tally.lateOwn++
		} else {
			tally.lateBusy++
		}
	}
}
