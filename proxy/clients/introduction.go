package clients

import (
	"crypto/tls"
	"net"
	"net/netip"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener/proxyprotocol"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// Introduction is exchange.Introducer's. It is made when the first target asks for it.
func (c *client) Introduction() *upstream.Introduction {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.told == nil {
		c.told = c.introduction()
	}
	return c.told
}

func (c *client) introduction() *upstream.Introduction {
	o := &upstream.Introduction{}
	if h := c.Introduced; h != nil {
		o.Source, o.Destination = h.Source, h.Destination
		o.ALPN, o.Authority, o.UniqueID = h.TLVs.Find(proxyprotocol.ALPN), h.TLVs.Find(proxyprotocol.Authority), h.TLVs.Find(proxyprotocol.UniqueID)
		said, overTLS := h.TLVs.TLS()
		o.Secure, o.TLS = overTLS, said.Version
	} else {
		o.Source, o.Destination = addrPort(c.Sock.RemoteAddr()), addrPort(c.Sock.LocalAddr())
	}
	if secure, ok := c.Conn.Conn.(*tls.Conn); ok {
		state := secure.ConnectionState()
		o.Secure, o.TLS, o.Certified = true, tlsName(state.Version), c.Accepted.Certificate() != nil
		o.ALPN, o.Authority = []byte(state.NegotiatedProtocol), []byte(state.ServerName)
	}
	return o
}

// tlsName is a version as the PROXY protocol has it.
func tlsName(version uint16) string { return strings.Replace(tls.VersionName(version), " ", "v", 1) }

// addrPort is the zero AddrPort for a Unix socket.
func addrPort(at net.Addr) netip.AddrPort {
	over, ok := at.(interface{ AddrPort() netip.AddrPort }) // TCP's, or UDP's
	if !ok {
		return netip.AddrPort{}
	}
	whole := over.AddrPort()
	return netip.AddrPortFrom(whole.Addr().Unmap(), whole.Port())
}
