package exchange

import (
	"net/netip"

	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// introduction is what targets are told of the request's client: of its connection, or,
// where a trusted proxy says on whose behalf that was made, the address alone. Who
// isn't known, or named so that nobody can read it, isn't told of: the proxy's
// own address might be granted something.
func (x *exchange) introduction() *upstream.Introduction {
	x.told = upstream.Introduction{}
	switch {
	case x.origin.unreadable:
	case x.Origin != x.Client.Peer:
		x.told.Source = netip.AddrPortFrom(x.Origin, 0)
	case x.Client.Unnamed:
	default:
		if x.Client.Introducer != nil {
			return x.Client.Introducer.Introduction()
		}
		x.told.Source = netip.AddrPortFrom(x.Client.Peer, 0)
	}
	return &x.told
}
