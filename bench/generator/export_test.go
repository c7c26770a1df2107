package generator

import (
	"context"
	"io"
	"net"
	"time"
)

// WithNetwork has connections made by dial, and the pacer sleep by time.Sleep:
// for synctest.
func (o Options) WithNetwork(dial func(ctx context.Context, network, address string) (net.Conn, error)) Options {
	o.dial, o.sleep = dial, time.Sleep
	return o
}

// ReadResponse reads one response.
func ReadResponse(r io.Reader, noBody bool) (status int, reusable bool, err error) {
	return new(worker).read(r, noBody)
}

// Sender returns what sends one request after the other, as a worker does, and
// says whether it was answered.
func Sender(o Options) (send func() bool, stop func(), err error) {
	o.dial = new(net.Dialer).DialContext
	r := &run{options: &o, recorder: newRecorder(), end: time.Hour, ctx: context.Background(), start: time.Now()}
	if err := r.prepare(r.ctx); err != nil {
		return nil, nil, err
	}
	w := &worker{run: r, shard: r.recorder.shard(0)}
	return func() bool { return w.send(ticket{due: r.now()}, r.now()).status > 0 }, r.close, nil
}

// Message is how an error is shown.
func Message(err error) string { return printable(err) }
