package clients

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/proxyprotocol"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// begin is the goroutine of a connection with TLS. Its handshake comes before fasthttp is
// given it, whose functions are deep: a handshake that its client leaves half done then
// waits on a stack of 8 KiB, and not of 16.
func (c *client) begin() {
	if c.shake() != nil {
		_ = c.Close()
		return
	}
	c.serve()
}

// serve has fasthttp serve the connection until it ends or sleeps.
func (c *client) serve() {
	var conn net.Conn = c
	if c.Secure {
		conn = secured{c}
	}
	_ = c.server.fast.ServeConn(conn) // its error is how the connection has ended
}

// secured is a client with TLS as fasthttp sees it: with what ALPN has chosen, which
// it asks each connection for that has these methods, and Server.NextProto serves.
type secured struct{ *client }

func (c secured) Handshake() error { return c.shake() }

func (c secured) ConnectionState() (state tls.ConnectionState) {
	if over, ok := c.Conn.Conn.(*tls.Conn); ok {
		state = over.ConnectionState()
	}
	return state
}

// clientOf is the client behind what fasthttp was given.
func clientOf(conn net.Conn) *client {
	if over, ok := conn.(secured); ok {
		return over.client
	}
	return conn.(*client) //nolint:forcetypeassert // there is nothing else
}

var errBroken = errors.New("the connection ended before its first request")

// shake begins what comes before the first request, so that it is known by then who the
// client is and which protocol is spoken: a header of the PROXY protocol, and TLS. It does
// so once.
func (c *client) shake() (err error) {
	if c.broken {
		return errBroken
	}
	if c.shaken {
		return nil
	}
	c.shaken = true
	defer func() {
		if cause := recover(); cause != nil {
			c.server.Plane.LogPanic(cause)
			c.broken, err = true, errBroken
		}
	}()
	if c.Due() {
		if err = c.introduce(); err != nil {
			c.broken = true
			return err
		}
	}
	secure, ok := c.Conn.Conn.(*tls.Conn)
	if !ok {
		return nil
	}
	timeout, _ := c.handshakeTimeout()
	c.Sock.SetReadExpiry(c.idleSince.Load() + timeout)
	err = secure.Handshake()
	c.EndHandshake()
	if err != nil {
		c.broken = true
		c.noTLS(secure, err)
		return err
	}
	if secure.ConnectionState().NegotiatedProtocol == proofProtocol {
		c.broken = true
		return errProof
	}
	if c.Accepted.Asks() {
		state := secure.ConnectionState()
		c.Accepted.End(&state, socket.Nanotime())
	}
	c.who.Accepted = &c.Accepted
	return nil
}

// handshakeTimeout is in nanoseconds; key is where it is set.
func (c *client) handshakeTimeout() (timeout int64, key string) {
	if own := c.Listener().Settings().HandshakeTimeout; own > 0 {
		return int64(own), "handshake_timeout"
	}
	return c.server.Limits.Load().Header, "server.timeouts.header"
}

// proofProtocol is what an authority speaks that has a name proved by TLS-ALPN-01.
const proofProtocol = "acme-tls/1"

// errProof ends a connection by which an authority had a name proved: its handshake
// was all of it (RFC 8737 §3).
var errProof = errors.New("the handshake has proved a name, nothing follows it")

// noTLS logs and counts a handshake that has failed; who speaks HTTP is told.
func (c *client) noTLS(secure *tls.Conn, err error) {
	state := secure.ConnectionState()
	if errors.Is(err, io.EOF) && state.Version == 0 || errors.Is(err, net.ErrClosed) {
		return // it only looked whether somebody listens, or we have closed it
	}
	reason, kind := cause.Text(err), cause.HandshakeKind(err)
	switch {
	case errors.Is(err, listener.ErrCrowdedOut):
		reason, kind = listener.ErrCrowdedOut.Error(), cause.HandshakeCrowdedOut
	case errors.Is(err, socket.ErrTimeout):
		timeout, key := c.handshakeTimeout()
		reason, kind = fmt.Sprintf("the handshake was not complete within %s (%s)", key, settings.Duration(timeout)), cause.HandshakeTimeout
	}
	header := spokePROXY(err)
	if header {
		reason, kind = "it was introduced by the PROXY protocol, which this listener doesn't expect (proxy_protocol.from)", cause.HandshakeProxyHeader
	}
	c.Listener().CountFailure(kind)
	c.server.NoHandshake(c.Listener().Number(), string(c.who.Address), state.ServerName, reason)
	if !header && cause.PlainHTTP(err) && c.Sock.TryWrite(expectsTLS) > 0 {
		c.lingers = true
		c.linger()
	}
}

// spokePROXY reports whether a handshake failed because a header of the PROXY protocol
// came before it.
func spokePROXY(err error) bool {
	record, ok := errors.AsType[tls.RecordHeaderError](err)
	return ok && proxyprotocol.MayBegin(record.RecordHeader[:])
}

// introduce learns from the header of the PROXY protocol who the client is. After
// an error the connection ends.
func (c *client) introduce() error {
	err := c.Introduce()
	if err != nil {
		if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, listener.ErrCrowded) { // it only looked whether somebody listens, we have closed it, or it has been answered
			c.server.NoHeader(c.Listener().Number(), c.Peer, err)
		}
		return err
	}
	header := c.Introduced
	c.who.Peer = c.Peer
	if header.Source.IsValid() {
		c.who.Address = c.Peer.AppendTo(nil)
	} else {
		c.who.Unnamed = true
	}
	secured, overTLS := header.TLVs.TLS()
	c.who.Secure = c.Secure || overTLS
	c.who.Introduction = c.server.Introduction(c.Sender, header, secured)
	c.idleSince.Store(socket.Nanotime()) // from now on a request is waited for
	return nil
}
