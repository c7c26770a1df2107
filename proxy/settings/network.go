package settings

import "net/netip"

// ParseNetwork parses a network, such as "10.0.0.0/8", or a single address.
// IPv4 in IPv6 is IPv4, and zones are refused.
func ParseNetwork(s string) (netip.Prefix, bool) {
	if prefix, err := netip.ParsePrefix(s); err == nil {
		return prefix.Masked(), true
	}
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), true
	}
	return netip.Prefix{}, false
}
