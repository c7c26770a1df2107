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
	c.server.noHandshake(string(c.ip), state.ServerName, reason)
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
