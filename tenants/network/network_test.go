package network_test

import (
	"net/netip"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/network"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"10.0.0.0/8":              "10.0.0.0/8",
		"10.1.2.3/8":              "10.0.0.0/8",
		"0.0.0.0/0":               "0.0.0.0/0",
		"192.0.2.7":               "192.0.2.7/32",
		"2001:db8::/32":           "2001:db8::/32",
		"2001:DB8::1":             "2001:db8::1/128",
		"::/0":                    "::/0",
		"::ffff:192.0.2.7":        "192.0.2.7/32",
		"::ffff:10.1.0.0/104":     "10.0.0.0/8",
		"::ffff:0:0/96":           "0.0.0.0/0",
		"::ffff:10.1.0.0/95":      "",
		"fe80::1%eth0":            "",
		"::ffff:1.2.3.4%eth0":     "",
		"fe80::%eth0/10":          "",
		"10.0.0.0/33":             "",
		"10.0.0.0/-1":             "",
		"10.0.0.0/08":             "",
		"10.0.0/8":                "",
		"010.0.0.0/8":             "",
		"10.0.0.0/255.0.0.0":      "",
		"10.0.0.1-10.0.0.9":       "",
		" 10.0.0.0/8":             "",
		"10.0.0.0/8 ":             "",
		"example.com":             "",
		"":                        "",
		"unix":                    "",
		"[::1]":                   "",
		"192.0.2.7:80":            "",
		"0x0a000001":              "",
		"10.0.0.0/8,192.0.2.0/24": "",
	} {
		prefix, ok := network.Parse(text)
		if ok != (want != "") || ok && prefix.String() != want {
			t.Errorf("%q: got %v %v, want %q", text, prefix, ok, want)
		}
	}
}

func TestSet(t *testing.T) {
	t.Parallel()
	set := network.NewSet(prefixes("10.0.0.0/8", "10.1.0.0/16", "192.0.2.0/24", "192.0.3.0/24", "2001:db8::/32", "255.255.255.255", "::1"))
	for address, want := range map[string]bool{
		"9.255.255.255": false, "10.0.0.0": true, "10.255.255.255": true, "11.0.0.0": false,
		"192.0.1.255": false, "192.0.2.0": true, "192.0.3.255": true, "192.0.4.0": false,
		"255.255.255.254": false, "255.255.255.255": true,
		"::": false, "::1": true, "::2": false, "2001:db7:ffff::": false, "2001:db8::": true,
		"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff": true, "2001:db9::": false,
		"::ffff:10.1.2.3": true, "::ffff:11.0.0.0": false, "::10.1.2.3": false, "2001:db8::1%eth0": true,
	} {
		if got := set.Contains(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: got %v, want %v", address, got, want)
		}
	}
	if set.Contains(netip.Addr{}) || (network.Set{}).Contains(netip.MustParseAddr("::1")) || !(network.Set{}).Empty() || set.Empty() {
		t.Error("the zero address is in a set, or an address in the empty one")
	}
	for family, other := range map[string]string{"0.0.0.0/0": "::1", "::/0": "10.0.0.1"} {
		if network.NewSet(prefixes(family)).Contains(netip.MustParseAddr(other)) {
			t.Errorf("%s contains %s, which is of the other family", family, other)
		}
	}
}

func TestContainsAllocates0(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts for the process
	set, address := network.NewSet(prefixes("10.0.0.0/8", "2001:db8::/32")), netip.MustParseAddr("::ffff:10.1.2.3")
	if n := testing.AllocsPerRun(100, func() { set.Contains(address) }); n > 0 {
		t.Errorf("Contains allocates %v times, want 0", n)
	}
}

func prefixes(list ...string) (parsed []netip.Prefix) {
	for _, text := range list {
		prefix, ok := network.Parse(text)
		if !ok {
			panic(text)
		}
		parsed = append(parsed, prefix)
	}
	return parsed
}

// FuzzNetworks compares with net/netip: a network is found to be one or not, and
// an address to be in one of several or not, as netip.Prefix.Contains has it.
func FuzzNetworks(f *testing.F) {
	f.Add("10.0.0.0/8", "10.128.0.0/9", "2001:db8::/32", "10.200.0.1")
	f.Add("::ffff:10.0.0.0/104", "0.0.0.0/0", "::/0", "::ffff:10.0.0.1")
	f.Add("10.0.0.1/31", "10.0.0.2/31", "10.0.0.4", "10.0.0.3")
	f.Add("fe80::%1/10", "::1%1", "::ffff:1.2.3.4/95", "fe80::1%1")
	f.Fuzz(func(t *testing.T, a, b, c, address string) {
		at, err := netip.ParseAddr(address)
		if err != nil {
			at = netip.AddrFrom4([4]byte{10, 0, 0, 1})
		}
		plain := at.Unmap().WithZone("")
		var list []netip.Prefix
		want := false
		for _, text := range []string{a, b, c} {
			prefix, ok := network.Parse(text)
			if oracle, valid := parsed(text); ok != valid || prefix != oracle {
				t.Fatalf("%q: got %v %v, netip says %v %v", text, prefix, ok, oracle, valid)
			}
			if ok {
				list = append(list, prefix)
				want = want || prefix.Contains(plain)
			}
		}
		if got := network.NewSet(list).Contains(at); got != want {
			t.Errorf("%v in %v: got %v, want %v", at, list, got, want)
		}
	})
}

// parsed is what a network is, found by the addresses at its two ends.
func parsed(text string) (netip.Prefix, bool) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		address, err := netip.ParseAddr(text)
		if err != nil || address.Zone() != "" {
			return netip.Prefix{}, false
		}
		prefix = netip.PrefixFrom(address, address.BitLen())
	}
	prefix = prefix.Masked()
	if mapped := netip.MustParsePrefix("::ffff:0:0/96"); prefix.Addr().Is6() && mapped.Contains(prefix.Addr()) && prefix.Bits() >= 96 {
		return netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96), true
	}
	original, err := netip.ParsePrefix(text)
	if err == nil && original.Addr().Is4In6() { // in part
		return netip.Prefix{}, false
	}
	return prefix, true
}
