package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// codeExpectsTLS is the error's code of the answer to HTTP on a TLS listener.
const codeExpectsTLS = "tls_expected"

// expectsTLS answers a client that speaks HTTP where TLS is expected.
var expectsTLS = func() []byte {
	const body = "400 Bad Request: this port speaks HTTPS, and was spoken to in HTTP without TLS\ncode: " + codeExpectsTLS + "\n"
	return fmt.Appendf(nil, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nX-Gateway-Error: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		codeExpectsTLS, len(body), body)
}()

// noTLS ends a connection on which no request could be read, if that is because
// TLS wasn't begun: it is logged and counted, and who speaks HTTP is told.
func (c *client) noTLS(err error) {
	secure, ok := c.Conn.Conn.(*tls.Conn)
	if !ok || c.served > 0 {
		return
	}
	state := secure.ConnectionState()
	if state.HandshakeComplete || errors.Is(err, io.EOF) && state.Version == 0 || errors.Is(err, net.ErrClosed) {
		return // it only looked whether somebody listens, or we have closed it
	}
	reason := cause.Text(unwrapNothing(err))
	if errors.Is(err, socket.ErrTimeout) {
		reason = fmt.Sprintf("the handshake was not complete within server.timeouts.header (%s)", settings.Duration(c.server.limits.Load().header))
	}
	c.server.handshakes.failed(c.server, string(c.ip), state.ServerName, reason)
	if cause.PlainHTTP(err) && c.Sock.TryWrite(expectsTLS) > 0 {
		c.lingers = true
		c.linger()
	}
}

// unwrapNothing returns what the reader has met.
func unwrapNothing(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

const (
	// maxHandshakeLines bounds the lines about handshakes at once; one more comes
	// every handshakePause.
	maxHandshakeLines = 10
	// maxServerName bounds what is logged of the name that a client asks for; TLS
	// allows 64 KiB, DNS this much.
	maxServerName  = 255
	handshakePause = int64(10e9)
)

// handshakes logs TLS handshakes of clients that failed, within a rate: anybody
// can make them fail.
type handshakes struct {
	mu     sync.Mutex // guards all below
	spent  int        // lines of maxHandshakeLines
	filled int64      // when one was given back last (socket.Nanotime)
	silent uint64     // failures since the last line
}

func (h *handshakes) failed(s *Server, peer, name, reason string) {
	s.counters.handshakes.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	now := socket.Nanotime()
	if back := (now - h.filled) / handshakePause; back > 0 {
		h.spent, h.filled = max(0, h.spent-int(min(back, maxHandshakeLines))), now
	}
	if h.spent >= maxHandshakeLines {
		h.silent++
		return
	}
	h.spent++
	event := s.log.Warn().Str("peer", peer).Str("server_name", clipped(name, maxServerName)).Str("reason", reason)
	if h.silent > 0 {
		event = event.Uint64("not_logged_before", h.silent)
		h.silent = 0
	}
	event.Msg("a TLS handshake with a client failed")
}
