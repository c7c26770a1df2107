package proxy

import (
	"cmp"
	"crypto/tls"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
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
	r := &x.call.Response
	x.amend(101, &r.Header)
	x.status, x.begun, x.tunnelled = 101, true, true
	out := appendStatusLine(x.out[:0], r.Status, r.Reason)
	for i := range r.Header {
		f := &r.Header[i]
		if f.ID == message.Upgrade || !f.Dropped && !isHopByHop(f.ID) && f.ID != message.ContentLength && f.ID != message.XRequestID && (f.ID != message.Via || x.snap.via == "") {
			out = message.AppendField(out, f.Name, f.Value)
		}
	}
	out = x.appendRequestID(out)
	if x.snap.via != "" {
		out = appendVia(out, r.Header, r.Minor, x.snap.via)
	}
	x.out = append(out, "Connection: Upgrade\r\n\r\n"...)
	x.client.beginAnswer(socket.Nanotime())
	if err := x.write(x.out); err != nil {
		return errClientGone
	}
	x.client.endWait()
	x.server.counters.tunnels.Add(1)
	defer x.server.counters.tunnels.Add(-1)
	x.runTunnel()
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
	x.client.Sock.SetReadExpiry(0)
	return nil
}

func (x *exchange) runTunnel() {
	idle := x.call.Timeouts.Idle
	var last atomic.Int64 // when something moved
	last.Store(socket.Nanotime())
	client := tunnelEnd{rw: x.client.Conn.Conn, sock: x.client.Sock, reader: &x.client.reader}
	target := tunnelEnd{rw: x.call.Conn.Conn, sock: x.call.Conn.Sock, reader: &x.call.Conn.Reader}
	up := tunnelWay{from: client, to: target, idle: idle, last: &last}
	down := tunnelWay{from: target, to: client, idle: idle, last: &last}
	var wait sync.WaitGroup
	guarded := func(w *tunnelWay) {
		defer func() {
			if cause := recover(); cause != nil {
				x.server.logPanic(cause)
				client.sock.Abort(faultInternal)
				target.sock.Abort(faultInternal)
			}
		}()
		w.run()
	}
	wait.Go(func() { guarded(&up) })
	guarded(&down)
	wait.Wait()
	x.bytesIn, x.bytesOut = x.body.Read()+up.moved, down.moved
	if errors.Is(up.err, socket.ErrTimeout) || errors.Is(down.err, socket.ErrTimeout) {
		x.code, x.cause = codeTunnelTimeout, x.tunnelCause()
	}
}

// tunnelEnd is one side of a tunnel.
type tunnelEnd struct {
	rw     io.ReadWriter
	sock   *socket.Conn
	reader *http1.Reader // what has been read already, and pooled buffers
}

// closeWrite ends the sending side.
func (e *tunnelEnd) closeWrite() error {
	if secure, ok := e.rw.(*tls.Conn); ok {
		e.sock.SetWriteExpiry(socket.Nanotime() + int64(lingerTime))
		if err := secure.CloseWrite(); err != nil {
			return err
		}
	}
	return e.sock.CloseWrite()
}

// tunnelWay is one direction of a tunnel.
type tunnelWay struct {
	from, to tunnelEnd
	idle     time.Duration
	last     *atomic.Int64
	moved    int64
	err      error
}

// run copies until from ends; then it ends the sending side of to, so that a
// half-closed tunnel goes on. Any other error ends both ways.
func (w *tunnelWay) run() {
	w.err = w.copy()
	if errors.Is(w.err, io.EOF) && w.to.closeWrite() == nil {
		return
	}
	w.from.sock.Abort(w.err)
	w.to.sock.Abort(w.err)
}

func (w *tunnelWay) copy() error {
	to := sink{conn: w.to.rw, sock: w.to.sock, idle: w.idle}
	for {
		if err := w.wait(); err != nil {
			return err
		}
		data := w.from.reader.Take()
		if err := to.write(data); err != nil {
			return err
		}
		w.moved += int64(len(data))
		w.from.reader.Release()
		w.last.Store(socket.Nanotime())
	}
}

// wait waits for bytes; a time-out counts only if the other way was idle too.
func (w *tunnelWay) wait() error {
	for {
		expiry := int64(0)
		if w.idle > 0 {
			expiry = w.last.Load() + int64(w.idle)
		}
		w.from.sock.SetReadExpiry(expiry)
		err := w.from.reader.Wait()
		if err == nil || !errors.Is(err, socket.ErrTimeout) || socket.Nanotime() >= w.last.Load()+int64(w.idle) {
			return err
		}
	}
}
