package proxy

import (
	"context"
	"os"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

const (
	// drainPoll is how often a drain looks whether it is done.
	drainPoll = 20 * time.Millisecond
	// drainGrace is how long idle connections are kept when a drain begins:
	// a request may be on its way, and is answered with Connection: close.
	drainGrace = 500 * time.Millisecond
	// handedPoll is drainPoll of a process that was replaced, which may take hours.
	handedPoll = 100 * time.Millisecond
)

// announce says that the process is about to stop, and goes on for
// server.drain_notice.
func (s *Server) announce() {
	notice := s.current.Load().config.Server.DrainNotice.Std()
	s.leaving.Store(true)
	if notice <= 0 {
		return
	}
	s.log.Info().Int("pid", os.Getpid()).Stringer("drain_notice", notice).Msg("about to stop: the health endpoints say draining, requests are still served")
	time.Sleep(notice)
}

// HandOver tells that another process accepts on the same sockets: Run only ends
// what it has begun, within server.upgrade.drain_timeout. It is called once, while
// Run runs.
func (s *Server) HandOver() { close(s.handed) }

// handedOver reports whether another process accepts.
func (s *Server) handedOver() bool {
	select {
	case <-s.handed:
		return true
	default:
		return false
	}
}

// drain stops accepting, lets requests and tunnels finish within the drain
// time-out, and cuts the rest.
func (s *Server) drain(ctx context.Context) {
	s.draining.Store(true)
	s.endListeners()
	s.listeners.awaitEnd() // what was accepted is known from now on
	s.logDrain("draining")
	if !s.handedOver() || s.outlive(ctx) {
		s.drainClients(nil, func() bool { return true })
	}
	s.listeners.retired.Wait() // within the drain time-out, too
	end, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = s.fast.ShutdownWithContext(end) // its error is that something was still open
}

// drainClients closes the connections of a listener, nil for all, as they become idle
// and, when the drain time-out has passed, the rest, until there are none and
// ended says so too.
func (s *Server) drainClients(of *listener.Listener, ended func() bool) {
	began := socket.Nanotime()
	ticker := time.NewTicker(drainPoll)
	defer ticker.Stop()
	for {
		now := socket.Nanotime()
		idleBefore := now - int64(drainGrace)
		if now-began > int64(drainGrace) {
			idleBefore = now
		}
		left := s.clients.CloseIdle(idleBefore, of)
		if left == 0 && ended() {
			return
		}
		if now-began >= int64(s.current.Load().config.Server.DrainTimeout) {
			s.cut(left, of)
			if of == nil {
				return
			}
		}
		<-ticker.C
	}
}

// cut ends what is left of a drain.
func (s *Server) cut(left int, of *listener.Listener) {
	if left > 0 {
		s.log.Warn().Int("connections", left).Int64("requests", s.plane.InFlight()).Int64("tunnels", s.plane.Tunnels()).
			Msg("what is left is cut: the drain time-out has passed")
	}
	s.clients.CloseAll(exchange.Drained, of)
}

// outlive is a drain that nobody waits for: idle connections are left to end with
// their next response, or their idle time, so that no request meets a closed one. A
// signal ends it: then the rest has to be drained as usual.
func (s *Server) outlive(ctx context.Context) (signalled bool) {
	limit := time.NewTimer(s.current.Load().config.Server.Upgrade.DrainTimeout.Std())
	defer limit.Stop()
	ticker := time.NewTicker(handedPoll)
	defer ticker.Stop()
	for s.connections() > 0 {
		select {
		case <-ctx.Done():
			s.leaving.Store(true)
			s.logDrain("a signal: what is left of the process that was replaced ends within drain_timeout")
			return true
		case <-limit.C:
			s.cut(s.clients.CloseIdle(socket.Nanotime(), nil), nil)
			return false
		case <-ticker.C:
		}
	}
	return false
}

func (s *Server) logDrain(what string) {
	s.log.Info().Int("pid", os.Getpid()).Int64("requests", s.plane.InFlight()).Int64("tunnels", s.plane.Tunnels()).Int64("connections", s.connections()).Msg(what)
}
