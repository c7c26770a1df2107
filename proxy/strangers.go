package proxy

import (
	"sync"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

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

// noHandshake counts and logs a TLS handshake with a client that failed; at is
// the number of the listener.
func (s *Server) noHandshake(at int, peer, name, reason string) {
	s.counters.handshakes.Add(1)
	silent, ok := s.handshakes.take()
	if !ok {
		return
	}
	event := s.log.Warn().Str("listener", s.listeners.called(at)).Str("peer", peer).Str("server_name", cause.Clip(name, maxServerName)).Str("reason", reason)
	if silent > 0 {
		event = event.Uint64("not_logged_before", silent)
	}
	event.Msg("a client's connection was closed: its TLS handshake has failed")
}
