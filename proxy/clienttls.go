package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// codeExpectsTLS is the error's code of the answer to HTTP on a TLS listener.
const codeExpectsTLS = "tls_expected"

// expectsTLS answers a client that speaks HTTP where TLS is expected.
var expectsTLS = refusal(400, codeExpectsTLS,
	"400 Bad Request: this port speaks HTTPS, and was spoken to in HTTP without TLS\ncode: "+codeExpectsTLS+"\n")

// refusal is the answer to a client of whom no request is read: to come again
// later, unless a body says what is wrong.
func refusal(status int, code, body string) []byte {
	r := message.Response{Status: status}
	r.Length = int64(len(body))
	if body != "" {
		r.Header.Add([]byte("Content-Type"), []byte("text/plain; charset=utf-8"))
	}
	r.Header.Add([]byte("X-Gateway-Error"), []byte(code))
	if body == "" {
		r.Header.Add([]byte("Retry-After"), []byte("1"))
	}
	return append(http1.AppendResponse(nil, &r, 1, false, true), body...)
}

// Handshake begins what comes before the first request, so that it is known by
// then who the client is and which protocol is spoken: a header of the PROXY
// protocol, and TLS. fasthttp calls it for each connection that it is given, and
// knows by ConnectionState what ALPN has chosen: HTTP/1 is what it is used for
// otherwise, and Server.NextProto is where another one comes in.
func (c *client) Handshake() (err error) {
	if c.served > 0 { // it has slept
		return nil
	}
	defer func() {
		if cause := recover(); cause != nil {
			c.server.plane.LogPanic(cause)
			c.broken = true
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
	c.Sock.SetReadExpiry(c.idleSince.Load() + c.server.limits.Load().header)
	if err = secure.Handshake(); err != nil {
		c.broken = true
		c.noTLS(secure, err)
	}
	return err
}

// ConnectionState says what the handshake has come to.
func (c *client) ConnectionState() (state tls.ConnectionState) {
	if secure, ok := c.Conn.Conn.(*tls.Conn); ok {
		state = secure.ConnectionState()
	}
	return state
}

// noTLS logs and counts a handshake that has failed; who speaks HTTP is told.
func (c *client) noTLS(secure *tls.Conn, err error) {
	state := secure.ConnectionState()
	if errors.Is(err, io.EOF) && state.Version == 0 || errors.Is(err, net.ErrClosed) {
		return // it only looked whether somebody listens, or we have closed it
	}
	reason := cause.Text(err)
	if errors.Is(err, socket.ErrTimeout) {
		reason = fmt.Sprintf("the handshake was not complete within server.timeouts.header (%s)", settings.Duration(c.server.limits.Load().header))
	}
	c.server.noHandshake(string(c.who.Address), state.ServerName, reason)
	if cause.PlainHTTP(err) && c.Sock.TryWrite(expectsTLS) > 0 {
		c.lingers = true
		c.linger()
	}
}

const (
	// maxLines bounds the lines of one kind that strangers cause at once; one more
	// comes every linePause.
	maxLines = 10
	// maxServerName bounds what is logged of the name that a client asks for; TLS
	// allows 64 KiB, DNS this much.
	maxServerName = 255
	linePause     = int64(10e9)
)

// lineBudget bounds lines of the log that anybody can cause. The zero value is
// ready.
type lineBudget struct {
	mu     sync.Mutex // guards all below
	spent  int        // of maxLines
	filled int64      // when one was given back last (socket.Nanotime)
	silent uint64     // occasions since the last line
}

// take asks for one line; silent is how many there were none for since the last.
func (b *lineBudget) take() (silent uint64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := socket.Nanotime()
	if back := (now - b.filled) / linePause; back > 0 {
		b.spent, b.filled = max(0, b.spent-int(min(back, maxLines))), now
	}
	if b.spent >= maxLines {
		b.silent++
		return 0, false
	}
	b.spent++
	silent, b.silent = b.silent, 0
	return silent, true
}

// noHandshake counts and logs a TLS handshake with a client that failed.
func (s *Server) noHandshake(peer, name, reason string) {
	s.counters.handshakes.Add(1)
	silent, ok := s.handshakes.take()
	if !ok {
		return
	}
	event := s.log.Warn().Str("peer", peer).Str("server_name", clipped(name, maxServerName)).Str("reason", reason)
	if silent > 0 {
		event = event.Uint64("not_logged_before", silent)
	}
	event.Msg("a TLS handshake with a client failed")
}
