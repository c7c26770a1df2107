package streams_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"testing"

	"github.com/quic-go/quic-go"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// from opens a connection from an address, as hand does.
func from(t *testing.T, g *gateway, ip string) *hand {
	t.Helper()
	conn, err := g.dialFrom(ip, trusting("h3"))
	if err != nil {
		t.Fatal(err)
	}
	return &hand{Conn: conn, t: t}
}

// TestMostOfAddress: an address has so many connections; others have theirs, and who
// leaves makes room.
func TestMostOfAddress(t *testing.T) {
	t.Parallel()
	for name, listeners := range map[string]string{
		"of the listener": "[{address: '127.0.0.1:0', tls: true, http3: true, max_connections_per_address: 2}]",
		"of the server":   "[{address: '127.0.0.1:0', tls: true, http3: true}]",
	} {
		settings := "server: {trusted_proxies: [127.0.0.9]"
		if name == "of the server" {
			settings += ", max_connections_per_address: 2"
		}
		g := serveOn(t, listeners, settings+"}", "", echo)
		get := func(h *hand) string { return answer(h.send(true, head("GET", "/"))) }
		first, second := from(t, g, "127.0.0.1"), from(t, g, "127.0.0.1")
		if get(first) != "200" || get(second) != "200" {
			t.Errorf("%s: two of one address aren't served", name)
		}
		if got := from(t, g, "127.0.0.1").ended(); got != "connection H3_EXCESSIVE_LOAD" {
			t.Errorf("%s: a third one: %s", name, got)
		}
		if got := g.Counters().Refused; got != 1 {
			t.Errorf("%s: %d were refused, want 1", name, got)
		}
		if got := get(from(t, g, "127.0.0.2")); got != "200" {
			t.Errorf("%s: another address: %s", name, got)
		}
		for range 3 {
			if got := get(from(t, g, "127.0.0.9")); got != "200" {
				t.Errorf("%s: of a trusted proxy: %s", name, got)
			}
		}
		over := &http.Client{Transport: &http.Transport{TLSClientConfig: trusting()}, Timeout: patience} // whichever protocol
		if response, err := over.Do(g.request(http.MethodGet, "/", nil)); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				t.Errorf("%s: a third one over TCP is served", name)
			}
		}
		over.CloseIdleConnections()
		_ = first.CloseWithError(0x100, "")
		until.True(t, name+": there is room again", func() bool {
			h := from(t, g, "127.0.0.1")
			s, err := h.OpenStreamSync(t.Context())
			if err != nil {
				return false
			}
			_, _ = s.Write(head("GET", "/"))
			_ = s.Close()
			return answer(s) == "200"
		})
	}
}

// TestMostConnections: beyond the limit of all, whichever protocol they speak, connections
// are refused before their handshake.
func TestMostConnections(t *testing.T) {
	t.Parallel()
	g := serveOn(t, "[{address: '127.0.0.1:0', tls: true, http3: true, max_connections: 2}]", "", "", echo)
	over, err := tls.Dial("tcp", g.address(), trusting("h2"))
	if err != nil {
		t.Fatal(err)
	}
	first := connect(t, g)
	if got := answer(first.send(true, head("GET", "/"))); got != "200" {
		t.Error(got)
	}
	_, err = g.dialFrom("127.0.0.1", trusting("h3"))
	if of, ok := errors.AsType[*quic.TransportError](err); !ok || of.ErrorCode != quic.ConnectionRefused {
		t.Errorf("a third one: %v", err)
	}
	if g.Counters().Refused == 0 { // each of its first packets counts
		t.Error("none was refused")
	}
	_ = over.Close()
	until.True(t, "there is room again", func() bool {
		conn, err := g.dialFrom("127.0.0.1", trusting("h3"))
		if err == nil {
			_ = conn.CloseWithError(0x100, "")
		}
		return err == nil
	})
}

// TestHalfOpenHandshakes: clients that begin handshakes and go no further take no more
// places than they may, and leave some for others.
func TestHalfOpenHandshakes(t *testing.T) {
	t.Parallel()
	const most = 8
	g := serveOn(t, "[{address: '127.0.0.1:0', tls: true, http3: true, max_handshakes: 8, handshake_timeout: 10m}]", "", "", echo)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	begin := func(ip string, hearsRetry bool) {
		go func() { _, _ = g.dialOver(ctx, &deaf{packetConn(t, ip), hearsRetry}, trusting("h3")) }()
	}
	inFlight := func() int { return g.Listeners()[0].Handshakes }
	crowdedOut := func() uint64 { return g.Listeners()[0].Failures[cause.HandshakeCrowdedOut] }
	for range 3 * most {
		begin("127.0.0.1", true)
	}
	until.True(t, "half of the places are taken, and the rest refused", func() bool { return inFlight() == most/2 && crowdedOut() >= 3*most-most/2 })
	for range 3 * most { // which never prove where they are
		begin("127.0.0.1", false)
	}
	for range 3 {
		if got := answer(from(t, g, "127.0.0.2").send(true, head("GET", "/"))); got != "200" {
			t.Errorf("another client: %s", got)
		}
	}
	if n := inFlight(); n != most/2 {
		t.Errorf("%d are in flight, want %d", n, most/2)
	}
	_, err := g.dialFrom("127.0.0.1", trusting("h3"))
	if of, ok := errors.AsType[*quic.TransportError](err); !ok || of.ErrorCode != quic.ConnectionRefused {
		t.Errorf("one more of the address that has as many as it may: %v", err)
	}
}
