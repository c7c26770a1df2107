package streams_test

import (
	"context"
	"crypto/tls"
	"net"
	"testing"

	"github.com/quic-go/quic-go"
)

// packetConn is a socket over UDP at an address of this machine.
func packetConn(t testing.TB, ip string) *net.UDPConn {
	t.Helper()
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = udp.Close() })
	return udp
}

// dialFrom opens a connection from an address of this machine.
func (g *gateway) dialFrom(ip string, config *tls.Config) (*quic.Conn, error) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	return g.dialOver(ctx, packetConn(g.t, ip), config)
}

func (g *gateway) dialOver(ctx context.Context, socket net.PacketConn, config *tls.Config) (*quic.Conn, error) {
	transport := &quic.Transport{Conn: socket}
	g.t.Cleanup(func() { _ = transport.Close() })
	to, err := net.ResolveUDPAddr("udp", g.address())
	if err != nil {
		return nil, err
	}
	return transport.Dial(ctx, to, config, &quic.Config{MaxIdleTimeout: patience, HandshakeIdleTimeout: patience})
}

// deaf is a socket on which nothing arrives, but for the packet that asks a client to
// prove where it is, if it hears that.
type deaf struct {
	net.PacketConn
	hearsRetry bool
}

func (d *deaf) ReadFrom(p []byte) (n int, from net.Addr, err error) {
	for {
		n, from, err = d.PacketConn.ReadFrom(p)
		if err != nil || d.hearsRetry && n > 0 && p[0]&0xf0 == 0xf0 {
			return n, from, err
		}
	}
}
