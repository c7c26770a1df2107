package proxy_test

import (
	"net/netip"
	"os"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/test/port"
)

// TestOwnAddresses: the gateway knows where it listens, and no longer takes an address for
// its own once it has left it.
func TestOwnAddresses(t *testing.T) {
	t.Parallel()
	first, second := port.Reserve(t), port.Reserve(t)
	text := func(list string) string {
		return "listeners: [" + list + "]\nadmin: {enabled: false}\naccess_log: {enabled: false}\ntenants: [{name: a, domains: [a.example], services: [{url: 'http://127.0.0.1:1'}]}]\n"
	}
	server := serve(t, text("{address: '"+first+"'}, {address: '"+second+"'}"))
	owns := func(address string) bool {
		return server.Own().Find(netip.MustParseAddrPort(address)) == listener.Public
	}
	if !owns(first) || !owns(second) {
		t.Error("it doesn't know where it listens")
	}
	if err := os.WriteFile(server.File(), []byte(text("{address: '"+first+"'}")), 0o600); err != nil {
		t.Fatal(err)
	}
	if result := server.Reload(); !result.OK {
		t.Fatal(result)
	}
	eventually(t, "an address that was left is nobody's", func() bool { return !owns(second) })
	if !owns(first) {
		t.Error("it doesn't know any more where it listens")
	}
}
