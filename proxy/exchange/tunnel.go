package exchange

import (
	"cmp"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// tunnel passes the 101 on and then bytes both ways, until both sides have
// ended or nothing moves for the tenant's idle time-out.
func (x *exchange) tunnel() error {
	if err := x.awaitUpload(); err != nil {
		return err
	}
	if err := x.hold(tunnelSize); err != nil {
		return err
	}
	t, ok := x.stream.(Tunneler)
	if !ok {
		return faultBadResponse
	}
	r := &x.call.Response
	x.Status, x.state = 101, tunnelled
	x.amend(101, &r.Header)
	x.completeHeader()
	x.head.Status, x.head.Reason, x.head.Header, x.head.Length, x.head.Bodiless = 101, r.Reason, r.Header, message.Unsized, true
	client, err := t.Tunnel(&x.head, x.call.Timeouts.Idle)
	if err != nil {
		return ErrClientGone
	}
	x.stream.EndWait()
	x.plane.tunnels.Add(1)
	defer x.plane.tunnels.Add(-1)
	x.runTunnel(client, x.call.Conn.Tunnel(x.call.Timeouts.Idle))
	return nil
}

// awaitUpload waits until the target has had the whole request: what follows
// it is the other protocol's (RFC 9110 §7.8). The upload's own time-outs bound
// the wait.
func (x *exchange) awaitUpload() error {
	if x.upload.done == nil {
		return nil
	}
	<-x.upload.done
	if !x.upload.sent {
		return cmp.Or(x.call.Aborted(), error(faultSend))
	}
	return nil
}

func (x *exchange) runTunnel(client, target TunnelEnd) {
	idle := x.call.Timeouts.Idle
	var last atomic.Int64 // when something moved
	last.Store(socket.Nanotime())
	up := tunnelWay{from: client, to: target, idle: idle, last: &last}
	down := tunnelWay{from: target, to: client, idle: idle, last: &last}
	var wait sync.WaitGroup
	guarded := func(w *tunnelWay) {
		defer func() {
			if cause := recover(); cause != nil {
				x.plane.LogPanic(cause)
				client.Abort(faultInternal)
				target.Abort(faultInternal)
			}
		}()
		w.run()
	}
	wait.Go(func() { guarded(&up) })
	guarded(&down)
	wait.Wait()
	x.BytesIn, x.BytesOut = x.content.Read()+up.moved, down.moved
	if errors.Is(up.err, socket.ErrTimeout) || errors.Is(down.err, socket.ErrTimeout) {
		x.Code, x.Cause = codeTunnelTimeout, x.tunnelCause()
	}
}

// TunnelEnd is one side of a tunnel. One goroutine may receive while another
// sends.
type TunnelEnd interface {
	// Receive waits for bytes until expiry (socket.Nanotime), 0 is forever. They
	// are valid until Release, which comes before the next call.
	Receive(expiry int64) ([]byte, error)
	Release()
	Send(p []byte) error
	// CloseWrite ends the sending side, Abort what waits on either, with cause.
	CloseWrite() error
	Abort(cause error)
}

// tunnelWay is one direction of a tunnel.
type tunnelWay struct {
	from, to TunnelEnd
	idle     time.Duration
	last     *atomic.Int64
	moved    int64
	err      error
}

// run copies until from ends; then it ends the sending side of to, so that a
// half-closed tunnel goes on. Any other error ends both ways.
func (w *tunnelWay) run() {
	w.err = w.copy()
	if errors.Is(w.err, io.EOF) && w.to.CloseWrite() == nil {
		return
	}
	w.from.Abort(w.err)
	w.to.Abort(w.err)
}

func (w *tunnelWay) copy() error {
	for {
		data, err := w.receive()
		if err != nil {
			return err
		}
		if err := w.to.Send(data); err != nil {
			return err
		}
		w.moved += int64(len(data))
		w.from.Release()
		w.last.Store(socket.Nanotime())
	}
}

// receive waits for bytes; a time-out counts only if the other way was idle too.
func (w *tunnelWay) receive() ([]byte, error) {
	for {
		expiry := int64(0)
		if w.idle > 0 {
			expiry = w.last.Load() + int64(w.idle)
		}
		data, err := w.from.Receive(expiry)
		if err == nil || !errors.Is(err, socket.ErrTimeout) || socket.Nanotime() >= w.last.Load()+int64(w.idle) {
			return data, err
		}
	}
}
