package listener

import (
	"crypto/tls"
	"net"
	"net/netip"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// admit counts the connection; nil without an error is a refused one.
func (l *Listener) admit(nc net.Conn) (*Conn, error) {
	var peer netip.Addr
	if tcp, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		peer = tcp.AddrPort().Addr().Unmap()
	}
	settings, shared := l.settings.Load(), l.opts.Shared
	if l.tally.full(settings.MaxConnections) || shared != nil && shared.full(shared.Most) {
		l.refuse(nc, peer, false)
		return nil, nil
	}
	introduction, err := l.introduction(settings.Introduction, peer)
	if err != nil {
		return nil, err
	}
	counts, ok := counted{}, true
	if introduction == nil { // else it counts for the client, of whom nothing is known yet
		counts, ok = l.join(peer)
	}
	if !ok {
		l.refuse(nc, peer, true)
		return nil, nil
	}
	sock, err := socket.New(nc, l.opts.Sweeper)
	if err != nil {
		l.part(counts)
		return nil, err
	}
	l.tally.enter()
	if shared != nil {
		shared.enter()
	}
	conn := &Conn{Conn: sock, Sock: sock, Peer: peer, Protocols: settings.Protocols, due: introduction, counts: counts, owner: l}
	if settings.TLS != nil {
		conn.Conn, conn.Secure = tls.Server((*beneath)(conn), settings.TLS), true
		if !l.handshakes.begin(conn, settings.MaxHandshakes, l.closed) {
			_ = conn.Close()
			return nil, nil
		}
	}
	return conn, nil
}

// introduction is nil where a peer has to begin with no header.
func (l *Listener) introduction(i *Introduction, peer netip.Addr) (*Introduction, error) {
	due, err := i.judge(peer)
	if err != nil {
		l.countRefused()
		if l.opts.Stranger != nil {
			l.opts.Stranger(peer, err)
		}
	}
	if !due {
		return nil, err
	}
	return i, nil
}

func (l *Listener) countRefused() {
	l.tally.refused.Add(1)
	if l.opts.Shared != nil {
		l.opts.Shared.refused.Add(1)
	}
}

// refuse answers with at most what fits into an empty socket buffer, so that
// a refused client can't hold the accept loop.
func (l *Listener) refuse(nc net.Conn, peer netip.Addr, crowded bool) {
	l.countRefused()
	answer := l.opts.Full
	if crowded {
		answer = l.opts.Crowded
	}
	if l.opts.Refused != nil {
		l.opts.Refused(peer, crowded)
	}
	if l.settings.Load().TLS == nil {
		_ = nc.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		_, _ = nc.Write(answer)
		dropArrived(nc)
	}
	_ = nc.Close()
}

// counted is for whom a connection counts, with the listener and with those that share a
// tally with it; zero where it isn't bounded.
type counted struct{ own, shared *joined }

// address is for which it counts; the zero Addr is for none.
func (c counted) address() (of netip.Addr) {
	if c.own != nil {
		of = c.own.address
	}
	return of
}

// join counts a connection for its peer's address, until part.
func (l *Listener) join(peer netip.Addr) (counts counted, ok bool) {
	address, ok := l.countedAs(peer)
	if !ok {
		return counted{}, true
	}
	return l.count(address)
}

// joinLate is join for a connection that others may close meanwhile.
func (l *Listener) joinLate(c *Conn) (ok bool) {
	address, ok := l.countedAs(c.Peer)
	if !ok {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.closed.Load() { // and has left, or will leave, as one that never joined
		return true
	}
	c.counts, ok = l.count(address)
	return ok
}

// countedAs is the address for which a client's connections count; ok is false
// where they aren't bounded.
func (l *Listener) countedAs(peer netip.Addr) (address netip.Addr, ok bool) {
	if exempt := l.settings.Load().Exempt; !peer.IsValid() || exempt != nil && exempt(peer) {
		return netip.Addr{}, false
	}
	if peer.Is6() {
		return netip.PrefixFrom(peer, sitePrefix).Masked().Addr(), true
	}
	return peer, true
}

// count counts for the listener, and for those that share a tally with it.
func (l *Listener) count(address netip.Addr) (counts counted, ok bool) {
	if counts.own = l.tally.join(address, l.settings.Load().MaxPerAddress); counts.own == nil {
		return counted{}, false
	}
	if shared := l.opts.Shared; shared != nil {
		if counts.shared = shared.join(address, shared.OfOne); counts.shared == nil {
			l.tally.part(counts.own)
			return counted{}, false
		}
	}
	return counts, true
}

// part ends what count has begun.
func (l *Listener) part(counts counted) {
	if counts.own == nil {
		return
	}
	l.tally.part(counts.own)
	if counts.shared != nil {
		l.opts.Shared.part(counts.shared)
	}
}

// sitePrefix is the length of the networks of IPv6 that one client has whole.
const sitePrefix = 64

// leave ends what join has begun for a connection.
func (l *Listener) leave(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.part(c.counts)
}
