package proxy

import (
	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// leave leaves the client's connection either at the start of the next request
// or about to be closed.
func (x *exchange) leave() {
	c := x.client
	switch {
	case x.tunnelled:
		x.close = true
		c.lingers = true // or what the client still sends would destroy what it has not read
	case x.cut:
		x.close = true
		if !x.delimited() {
			_ = c.Reset() // the only sign of a cut that the client gets
		}
	case x.close || x.server.draining.Load():
		x.close = true
		c.endWriting()
		c.lingers = x.unread()
	case !x.drainBody():
		x.close = true
		c.endWriting()
		c.lingers = true
	}
	if x.close {
		c.reader.Release()
	}
}

// unread reports whether the client may still be sending.
func (x *exchange) unread() bool {
	return x.client.headErr != nil || x.fault != nil && x.fault.Close || !x.body.Done() || x.client.reader.Buffered() > 0
}

// delimited reports whether the client can tell a cut response by its framing.
func (x *exchange) delimited() bool {
	if x.script.response.Begun {
		return x.req.Minor == 1
	}
	return x.chunkedOut() || x.call.Response.Framing == http1.Length && !x.compressing
}

// maxDrain bounds the rest of a body that is read to keep a connection.
const maxDrain = 64 << 10

// keepable reports whether the connection can serve another request: whether
// what is left of the body is worth reading.
func (x *exchange) keepable() bool {
	return x.body.Done() || x.continued && x.req.Framing == http1.Length && x.body.Left() <= maxDrain
}

func (x *exchange) drainBody() bool {
	if !x.keepable() {
		return false
	}
	if x.body.Done() {
		return true
	}
	x.client.Sock.SetReadExpiry(socket.Nanotime() + int64(lingerTime)) // for all of it
	for !x.body.Done() {
		if _, err := x.body.Next(); err != nil {
			return x.body.Done()
		}
	}
	return true
}
