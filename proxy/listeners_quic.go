package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http3"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"

	"github.com/quic-go/quic-go"
)

// A listener with http3 has its port over UDP too. That socket can't be shared by two
// processes, nor be had twice by one: packets of a connection would come to either. So
// who goes has its clients come anew (GOAWAY), and whoever follows waits for the port,
// while clients come over TCP.

// altSvcAge is how long clients remember that they can come by HTTP/3 (seconds).
const altSvcAge = 86400

// altSvc is what answers of a listener say of it.
func altSvc(e *entry, c *listener.Config) []byte {
	at, ok := e.Addr().(*net.TCPAddr)
	if !c.HTTP3 || !ok {
		return nil
	}
	port := at.Port
	if c.HTTP3Port > 0 {
		port = c.HTTP3Port
	}
	return []byte(http3.Protocol + `=":` + strconv.Itoa(port) + `"; ma=` + strconv.Itoa(altSvcAge))
}

// openQUIC opens the port over UDP that a section asks for and isn't open. One that is
// to be free soon isn't waited for here.
func (s *Server) openQUIC(o *opened, e *entry, c *listener.Config) error {
	if !c.HTTP3 || e.quic != nil {
		return nil
	}
	q, err := s.listenQUIC(e)
	if err == nil {
		o.quic[e] = q
		return nil
	}
	starting := s.listeners.serve == nil
	if errors.Is(err, syscall.EADDRINUSE) && (s.replaces && starting || e.retiring > 0) {
		return nil
	}
	return err
}

func (s *Server) listenQUIC(e *entry) (*listener.QUIC, error) {
	return e.ListenQUIC(listener.QUICOptions{
		TLS:     s.listeners.quic,
		Config:  func() *quic.Config { return s.clients.QUICConfig(e.Settings().HandshakeTimeout) },
		Failed:  func(c *listener.QUICConn, err error) { s.noQUIC(e, c, err) },
		Crowded: quic.ApplicationErrorCode(http3.ExcessiveLoad),
	})
}

// noQUIC counts and logs a handshake that has failed.
func (s *Server) noQUIC(e *entry, c *listener.QUICConn, err error) {
	if reason, kind, failed := quicFailure(err); failed {
		e.CountFailure(kind)
		s.noHandshake(e.Number(), c.Peer.String(), c.ServerName, reason)
	}
}

// quicFailure says why a handshake over QUIC has failed, as of one over TCP. failed is
// false where none has: the port was closed, or the connection was, once it was there.
func quicFailure(err error) (reason string, kind int, failed bool) {
	timeout, _ := errors.AsType[net.Error](err)
	of, _ := errors.AsType[*quic.TransportError](err)
	switch {
	case errors.Is(err, quic.ErrServerClosed), errors.Is(err, quic.ErrTransportClosed), errors.As(err, new(*quic.ApplicationError)):
		return "", 0, false
	case errors.Is(err, listener.ErrCrowdedOut):
		return listener.ErrCrowdedOut.Error(), cause.HandshakeCrowdedOut, true
	case timeout != nil && timeout.Timeout():
		return "the handshake was not complete in time (handshake_timeout, server.timeouts.header)", cause.HandshakeTimeout, true
	case of != nil && of.ErrorCode.IsCryptoError():
		err = ofTLS(of)
	case of != nil && of.Remote:
		err = io.EOF // it has ended the connection
	}
	return cause.Text(err), cause.HandshakeKind(err), true
}

// ofTLS is what crypto/tls would have said over TCP: QUIC has alerts for its own errors
// (RFC 9001 §4.8).
func ofTLS(of *quic.TransportError) error {
	alert := tls.AlertError(of.ErrorCode - firstAlert) //nolint:gosec // G115: it is one of 256
	if of.Remote {
		return &net.OpError{Op: "remote error", Err: alert}
	}
	for _, beneath := range of.Unwrap() {
		if beneath != nil && beneath != net.ErrClosed {
			return beneath
		}
	}
	return alert
}

// firstAlert is QUIC's error for the alert 0.
const firstAlert = 0x100

// useQUIC puts a listener's port over UDP into use, which may be a new one, or out of
// it. It needs listeners.mu, and Run.
func (s *Server) useQUIC(e *entry, fresh *listener.QUIC) {
	l := &s.listeners
	switch {
	case !e.config.HTTP3:
		s.retireQUIC(e)
	case fresh != nil:
		e.quic = fresh
		l.wait.Go(func() { s.clients.ServeQUIC(fresh) })
	case e.quic == nil && !e.awaits:
		e.awaits = true
		l.wait.Go(func() { s.awaitQUIC(e) })
	}
}

// quicPoll is how often it is looked whether a port has become free, or may be closed.
const quicPoll = 50 * time.Millisecond

// awaitQUIC opens a port once it is free, if it is still wanted.
func (s *Server) awaitQUIC(e *entry) {
	ticker := time.NewTicker(quicPoll)
	defer ticker.Stop()
	for {
		select {
		case <-s.listeners.until.Done():
			return
		case <-ticker.C:
		}
		if s.tryQUIC(e) {
			return
		}
	}
}

// tryQUIC reports whether there is nothing more to wait for.
func (s *Server) tryQUIC(e *entry) (done bool) {
	l := &s.listeners
	l.mu.Lock()
	defer l.mu.Unlock()
	if !e.config.HTTP3 || e.quic != nil || e.Closing() {
		e.awaits = false
		return true
	}
	q, err := s.listenQUIC(e)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return false
	case err != nil:
		s.log.Error().Str("listener", e.config.Called()).Str("error", cause.Text(err)).Msg("the listener has no HTTP/3")
	default:
		s.useQUIC(e, q)
	}
	e.awaits = false
	return true
}

// retireQUIC closes a listener's port over UDP, once its connections have ended, or the
// drain time-out has passed. Until then new ones are refused. It needs listeners.mu.
func (s *Server) retireQUIC(e *entry) {
	q := e.quic
	if q == nil {
		return
	}
	e.quic = nil
	e.retiring++
	q.Close()
	s.listeners.retired.Go(func() {
		s.drainQUIC(q)
		q.End()
		s.listeners.mu.Lock()
		defer s.listeners.mu.Unlock()
		e.retiring--
	})
}

func (s *Server) drainQUIC(q *listener.QUIC) {
	began := socket.Nanotime()
	ticker := time.NewTicker(quicPoll)
	defer ticker.Stop()
	for s.clients.LeaveQUIC(q) > 0 {
		if socket.Nanotime()-began >= int64(s.current.Load().config.Server.DrainTimeout) {
			s.clients.CloseQUIC(exchange.Drained, q)
		}
		<-ticker.C
	}
}
