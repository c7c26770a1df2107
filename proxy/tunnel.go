package proxy

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// upgrading reports whether the request asks for another protocol and may
// (RFC 9110 §7.8). h2c is refused: a target that spoke it would be beyond
// every rule of the gateway; so is anything with a body.
func (x *exchange) upgrading() bool {
	return x.req.UpgradeAsked && x.req.Minor == 1 && x.req.Framing == http1.NoBody && !x.req.Header.Has(http1.HTTP2Settings) &&
		upgradable(x.req.Header)
}

func upgradable(h http1.Header) bool {
	found := false
	for i := range h {
		if h[i].ID != http1.Upgrade {
			continue
		}
		for token, rest := http1.NextToken(h[i].Value); token != nil; token, rest = http1.NextToken(rest) {
			name, _, _ := bytes.Cut(token, []byte{'/'})
			lower := string(bytes.ToLower(name))
			if lower == "h2c" || lower == "h2" || lower == "http" || lower == "tls" {
				return false
			}
			found = true
		}
	}
	return found
}

// checkUpgrade refuses a 101 that nobody asked for, or for a protocol that
// was not offered.
func (x *exchange) checkUpgrade() error {
	chosen := x.call.Response.Header.Get(http1.Upgrade)
	if x.upgrading() && x.call.Response.UpgradeAsked && len(chosen) > 0 {
		for i := range x.req.Header {
			if x.req.Header[i].ID == http1.Upgrade && http1.HasToken(x.req.Header[i].Value, string(bytes.ToLower(chosen))) {
				return nil
			}
		}
	}
	return faultBadResponse
}

// tunnel passes the 101 on and then bytes both ways, until both sides have
// ended or nothing moves for the tenant's idle time-out.
func (x *exchange) tunnel() error {
	if err := x.hold(tunnelSize); err != nil {
		return err
	}
	r := &x.call.Response
	x.status, x.begun, x.tunnelled = 101, true, true
	out := appendStatusLine(x.out[:0], r.Status, r.Reason)
	for i := range r.Header {
		f := &r.Header[i]
		if f.ID == http1.Upgrade || !f.Dropped && !isHopByHop(f.ID) && f.ID != http1.ContentLength && f.ID != http1.XRequestID && (f.ID != http1.Via || x.snap.via == "") {
			out = http1.AppendField(out, f.Name, f.Value)
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
	x.bytesIn, x.bytesOut = up.moved, down.moved
	if errors.Is(up.err, socket.ErrTimeout) || errors.Is(down.err, socket.ErrTimeout) {
		x.code = codeTunnelTimeout
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
