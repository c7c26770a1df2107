package listener

import "net/netip"

// Join counts a connection of that peer, unless its address has too many.
func (l *Listener) Join(peer netip.Addr) (leave func(), ok bool) {
	counts, ok := l.join(peer)
	return func() { l.leave(&Conn{counts: counts}) }, ok
}

// Addresses returns how many addresses have connections.
func (l *Listener) Addresses() int { return l.tally.addresses() }
