package modules

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

// guard decides which addresses scripts may connect to. It is asked about
// every address just before the connection is made, after names have been
// resolved, so that neither a redirect nor a name that resolves differently
// the second time gets around it.
//
// The rule: of all prefixes that contain an address the longest decides;
// where a denied and an allowed one are equally long, it is allowed. What none
// contains is allowed. So an allowed 0.0.0.0/0 opens nothing that is denied by
// default, and an allowed 169.254.169.254/32 opens exactly that.
type guard struct{ denied, allowed []netip.Prefix }

// newGuard returns a guard that denies what alwaysDenied lists, and deny.
func newGuard(allow, deny []netip.Prefix) guard {
	return guard{denied: append(alwaysDenied(), unmapped(deny)...), allowed: unmapped(allow)}
}

// alwaysDenied lists what no script needs and what attackers ask for: the
// services by which clouds hand out credentials, and addresses that are not
// those of a host. Loopback and private networks are not among them, because
// an edge talks to internal services.
func alwaysDenied() []netip.Prefix {
	var list []netip.Prefix
	for _, text := range []string{
		"0.0.0.0/8", "::/128", // unspecified: Linux connects to itself
		"169.254.0.0/16", "fe80::/10", // link-local
		"224.0.0.0/4", "ff00::/8", // multicast
		"255.255.255.255/32",     // broadcast
		"169.254.169.254/32",     // metadata: nearly every cloud
		"169.254.170.2/32",       // metadata: AWS ECS
		"169.254.170.23/32",      // metadata: AWS EKS
		"fd00:ec2::254/128",      // metadata: AWS
		"fd00:ec2::23/128",       // metadata: AWS EKS
		"fd20:ce::254/128",       // metadata: Google
		"fd00:c1::a9fe:a9fe/128", // metadata: Oracle
		"192.0.0.192/32",         // metadata: Oracle
		"100.100.100.200/32",     // metadata: Alibaba
		"168.63.129.16/32",       // metadata: Azure's wire server
		"fd00:42::42/128",        // metadata: Scaleway
		"fe80::a9fe:a9fe/128",    // metadata: OpenStack
	} {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// unmapped writes prefixes of IPv4-mapped addresses as those of IPv4.
func unmapped(prefixes []netip.Prefix) []netip.Prefix {
	list := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		list = append(list, p)
	}
	return list
}

// refusedError is why a connection was not made.
type refusedError struct{ address netip.Addr }

func (e *refusedError) Error() string {
	return fmt.Sprintf("connecting to %s is not allowed", e.address)
}

// control is the ControlContext of a net.Dialer.
func (g guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("cannot judge the address %q: %w", address, err)
	}
	if g.refuses(target.Addr()) {
		return &refusedError{target.Addr().Unmap()}
	}
	return nil
}

// refuses reports whether an address, or one that is embedded in it, is denied.
func (g guard) refuses(addr netip.Addr) bool {
	// A prefix never contains an address with a zone.
	addr = addr.Unmap().WithZone("")
	return g.denies(addr) || slices.ContainsFunc(embedded(addr), g.denies)
}

func (g guard) denies(addr netip.Addr) bool {
	return longest(g.denied, addr) > longest(g.allowed, addr)
}

// longest returns the length of the longest prefix that contains addr, or -1.
func longest(prefixes []netip.Prefix, addr netip.Addr) int {
	bits := -1
	for _, p := range prefixes {
		if p.Contains(addr) {
			bits = max(bits, p.Bits())
		}
	}
	return bits
}

// embedded returns the IPv4 addresses that traffic to an IPv6 address may end
// at: a gateway that translates would take it there past a rule about IPv4.
func embedded(addr netip.Addr) []netip.Addr {
	if !addr.Is6() {
		return nil
	}
	b := addr.As16()
	at := func(i, j, k, l int) netip.Addr { return netip.AddrFrom4([4]byte{b[i], b[j], b[k], b[l]}) }
	within := func(prefix string) bool { return netip.MustParsePrefix(prefix).Contains(addr) }
	var list []netip.Addr
	switch {
	case within("::/96"), // IPv4-compatible, RFC 4291 section 2.5.5.1
		within("::ffff:0:0:0/96"), // IPv4-translated, RFC 2765
		within("64:ff9b::/96"):    // NAT64, RFC 6052
		list = append(list, at(12, 13, 14, 15))
	case within("64:ff9b:1::/48"): // NAT64 of local use, RFC 8215; its length is unknown: RFC 6052 section 2.2
		list = append(list, at(6, 7, 9, 10), at(7, 9, 10, 11), at(9, 10, 11, 12), at(12, 13, 14, 15))
	case within("2002::/16"): // 6to4, RFC 3056
		list = append(list, at(2, 3, 4, 5))
	case within("2001::/32"): // Teredo, RFC 4380: the server, and the client with its bits flipped
		list = append(list, at(4, 5, 6, 7), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
	}
	if b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe { // ISATAP, RFC 5214
		list = append(list, at(12, 13, 14, 15))
	}
	return list
}
