package listener_test

import (
	"net/netip"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
)

// TestPerAddress: whose connections count together, and whose not at all.
func TestPerAddress(t *testing.T) {
	t.Parallel()
	exempt := netip.MustParsePrefix("10.0.0.0/8")
	l, err := listener.Listen(listener.Options{Address: "127.0.0.1:0", Settings: listener.Settings{MaxPerAddress: 2, Exempt: exempt.Contains}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for name, test := range map[string]struct {
		peers []string
		last  bool // whether the last one is let in
	}{
		"one address":               {peers: []string{"192.0.2.1", "192.0.2.1", "192.0.2.1"}},
		"loopback":                  {peers: []string{"127.0.0.1", "127.0.0.1", "127.0.0.1"}},
		"neighbours":                {peers: []string{"192.0.2.1", "192.0.2.1", "192.0.2.2"}, last: true},
		"one network of IPv6":       {peers: []string{"2001:db8::1", "2001:db8::2", "2001:db8::ffff:1"}},
		"two networks of IPv6":      {peers: []string{"2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"}, last: true},
		"a trusted proxy":           {peers: []string{"10.1.2.3", "10.1.2.3", "10.1.2.3"}, last: true},
		"a Unix socket's zero Addr": {peers: []string{"", "", ""}, last: true},
	} {
		var leaves []func()
		for i, peer := range test.peers {
			address, _ := netip.ParseAddr(peer)
			leave, ok := l.Join(address)
			if want := i < len(test.peers)-1 || test.last; ok != want {
				t.Errorf("%s: the connection %d: %t, want %t", name, i, ok, want)
			}
			if ok {
				leaves = append(leaves, leave)
			}
		}
		for _, leave := range leaves {
			leave()
		}
		if n := l.Addresses(); n != 0 {
			t.Errorf("%s: %d addresses are left", name, n)
		}
	}
}
