package fetch

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"github.com/keystone-gateway/keystone-gateway/tenants/network"
)

// guard decides which addresses may be connected to. It is asked about
// every address just before the connection is made, after names have been
// resolved, so that neither a spelling, nor a redirect, nor a name that
// resolves differently the second time gets around it.
//
// The rule: of all prefixes that contain an address the longest decides;
// where a denied and an allowed one are equally long, it is allowed. What none
// contains is allowed. So an allowed 0.0.0.0/0 opens nothing that is denied by
// default, and an allowed 169.254.169.254/32 opens exactly that. A name that is
// allowed opens whatever it resolves to.
//
// What the gateway itself listens on is refused whatever is allowed, but for
// one address with one port.
type guard struct {
	denied  []netip.Prefix
	allowed []Permission
	own     func(netip.AddrPort) Ownership
}

// Permission is something that may be connected to although it is denied: a
// network, or what a name resolves to.
type Permission struct {
	Network netip.Prefix // the zero Prefix: Name says it
	Name    string       // as URLs have it, in lower case
	Port    uint16       // 0 is any
}

// Ownership says whether an address is one that this process listens on, or of what it
// alone may reach.
type Ownership int

// Of addresses: somebody else's, one that serves tenants, one that serves the
// operator, or the gateway alone.
const (
	NotOwn Ownership = iota
	OwnPublic
	OwnAdmin
)

// newGuard returns a guard that denies what alwaysDenied lists, and deny.
func newGuard(c *Config) guard {
	g := guard{denied: alwaysDenied(), own: c.Own}
	for _, p := range c.Deny {
		g.denied = append(g.denied, network.Unmap(p))
	}
	for _, p := range c.Allow {
		if p.Network.IsValid() {
			p.Network = network.Unmap(p.Network)
		}
		g.allowed = append(g.allowed, p)
	}
	if g.own == nil {
		g.own = func(netip.AddrPort) Ownership { return NotOwn }
	}
	return g
}

// alwaysDenied lists what no script needs and what attackers ask for: this
// machine, where what listens on loopback often trusts whoever reaches it, the
// services by which clouds hand out credentials, and addresses that are not
// those of a host. Private networks are not among them, because an edge talks
// to internal services.
func alwaysDenied() []netip.Prefix {
	var list []netip.Prefix
	for _, text := range []string{
		"127.0.0.0/8", "::1/128", // loopback
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

// refusedError is why a connection was not made.
type refusedError struct{ address netip.Addr }

func (e *refusedError) Error() string {
	return fmt.Sprintf("connecting to %s is not allowed", e.address)
}

// dialedKey is the key of a dial's host in its context.
type dialedKey struct{}

// dial wraps the dialling function of a dialler whose ControlContext is
// control, which sees addresses only: it hands on the name.
func (g *guard) dial(next func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, fmt.Errorf("cannot connect to %q: %w", address, err)
		}
		return next(context.WithValue(ctx, dialedKey{}, host), network, address)
	}
}

// control is the ControlContext of a net.Dialer.
func (g *guard) control(ctx context.Context, network, address string, _ syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return fmt.Errorf("connecting over %s is not allowed", network)
	}
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("cannot judge the address %q: %w", address, err)
	}
	name, _ := ctx.Value(dialedKey{}).(string)
	if g.refuses(name, target) {
		return &refusedError{target.Addr().Unmap()}
	}
	return nil
}

// refuses reports whether an address that a name has been resolved to, or one
// that is embedded in it, may not be connected to.
func (g *guard) refuses(name string, target netip.AddrPort) bool {
	// A prefix never contains an address with a zone.
	addr := target.Addr().Unmap().WithZone("")
	for _, a := range append(embedded(addr), addr) {
		if g.denies(name, netip.AddrPortFrom(a, target.Port())) {
			return true
		}
	}
	return false
}

func (g *guard) denies(name string, at netip.AddrPort) bool {
	switch g.own(at) {
	case OwnAdmin:
		return true
	case OwnPublic:
		// Another tenant would be reached past its guards: that must be meant.
		return !slices.ContainsFunc(g.allowed, func(p Permission) bool {
			return p.Port == at.Port() && p.Network.IsValid() && p.Network.IsSingleIP() && p.Network.Addr() == at.Addr()
		})
	}
	denied, allowed := -1, -1
	for _, p := range g.denied {
		if p.Contains(at.Addr()) {
			denied = max(denied, p.Bits())
		}
	}
	for i := range g.allowed {
		allowed = max(allowed, g.allowed[i].length(name, at))
	}
	return denied > allowed
}

// length is how exactly a permission fits: the length of its prefix, or -1
// where it doesn't. A name fits as exactly as one address.
func (p *Permission) length(name string, at netip.AddrPort) int {
	switch {
	case p.Port != 0 && p.Port != at.Port():
	case p.Network.IsValid():
		if p.Network.Contains(at.Addr()) {
			return p.Network.Bits()
		}
	case strings.EqualFold(strings.TrimSuffix(name, "."), p.Name):
		return at.Addr().BitLen()
	}
	return -1
}

// embedded returns the IPv4 addresses that traffic to an IPv6 address may end
// at: a gateway that translates would take it there past a rule about IPv4.
func embedded(addr netip.Addr) []netip.Addr {
	if !addr.Is6() || addr.IsLoopback() || addr.IsUnspecified() { // ::1 embeds nothing
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
