package proxy

import (
	"net/netip"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/proxyprotocol"
)

// introductionOf is what the access log has of a header, with each request.
func introductionOf(sender netip.Addr, header *proxyprotocol.Header, secured proxyprotocol.TLS) []byte {
	var l logLine
	from := "unix"
	if sender.IsValid() {
		from = sender.String()
	}
	l.text(`,"proxy":"`, from)
	if header.Local {
		l.buf = append(l.buf, `,"proxy_local":true`...)
	}
	for _, member := range []struct {
		name  string
		value []byte
	}{
		{`,"proxy_server_name":"`, header.TLVs.Find(proxyprotocol.Authority)},
		{`,"proxy_alpn":"`, header.TLVs.Find(proxyprotocol.ALPN)},
		{`,"proxy_id":"`, header.TLVs.Find(proxyprotocol.UniqueID)},
		{`,"proxy_tls":"`, []byte(secured.Version)},
	} {
		if len(member.value) > 0 {
			l.text(member.name, cause.Clip(string(member.value), maxServerName))
		}
	}
	return l.buf
}

// noHeader counts and logs a connection that had to begin with a header of the
// PROXY protocol which is believed, and didn't; at is the number of the listener.
func (s *Server) noHeader(at int, peer netip.Addr, why error) {
	s.counters.noHeaders.Add(1)
	silent, ok := s.introductions.take()
	if !ok {
		return
	}
	event := s.log.Warn().Str("listener", s.listeners.called(at)).Str("peer", peer.String()).Str("reason", cause.Text(why))
	if silent > 0 {
		event = event.Uint64("not_logged_before", silent)
	}
	event.Msg("a connection was closed: it has no header of the PROXY protocol that is believed")
}
