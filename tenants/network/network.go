// Package network reads networks of addresses, as configurations name them, and
// finds out whether an address is in one of many. What being in one means is left
// to the callers: policies, the guard of requests that are made in a tenant's name,
// the proxies that are trusted.
//
//	networks := network.NewSet(prefixes)   // of network.Parse
//	if networks.Contains(client) { … }
package network

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Parse parses a network, such as "10.0.0.0/8", or a single address. What stands
// behind the prefix's length is ignored: 10.1.2.3/8 is 10.0.0.0/8. IPv4 in IPv6 is
// IPv4, as Address has it, and zones are refused; so is a network that is IPv4 in
// IPv6 only in part, which no such address would be found in.
func Parse(s string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(s); err == nil {
		if addr.Zone() != "" {
			return netip.Prefix{}, false
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil || prefix.Addr().Is4In6() && prefix.Bits() < mappedBits {
		return netip.Prefix{}, false
	}
	return Unmap(prefix).Masked(), true
}

// Meant guesses what was meant by a text that Parse refuses: "; " and what to write,
// or nothing.
func Meant(s string) string {
	address, length, isPrefix := strings.Cut(s, "/")
	addr, err := netip.ParseAddr(address)
	bits, atoi := strconv.Atoi(length)
	_, withPort := netip.ParseAddrPort(s)
	switch {
	case strings.ContainsAny(s, ", "):
		return "; write a list, each network an element of its own"
	case withPort == nil:
		return "; write it without the port"
	case err == nil && addr.Zone() != "":
		return "; write it without the zone, " + addr.WithZone("").String()
	case err == nil && isPrefix && atoi == nil && bits > addr.BitLen():
		return "; a prefix has at most " + strconv.Itoa(addr.BitLen()) + " bits here"
	}
	return ""
}

// Unmap writes a network of IPv4 addresses in IPv6 as that of the IPv4 addresses.
func Unmap(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= mappedBits {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mappedBits)
	}
	return p
}

// mappedBits is the length of ::ffff:0:0/96, in which IPv4 in IPv6 lies.
const mappedBits = 96

// Set is networks, compiled. The zero Set is empty. It doesn't change, and may be
// used concurrently.
type Set struct {
	ranges []span // apart from each other, in order
}

// span is the addresses from one to another, both included.
type span struct{ from, to netip.Addr }

// NewSet compiles networks that Parse has returned. They may overlap.
func NewSet(list []netip.Prefix) Set {
	spans := make([]span, 0, len(list))
	for _, p := range list {
		p = p.Masked()
		spans = append(spans, span{p.Addr(), last(p)})
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Or(a.from.Compare(b.from), a.to.Compare(b.to)) })
	kept := spans[:0]
	for _, s := range spans {
		if n := len(kept); n > 0 && s.from.BitLen() == kept[n-1].to.BitLen() && s.from.Compare(kept[n-1].to) <= 0 {
			if kept[n-1].to.Less(s.to) {
				kept[n-1].to = s.to
			}
			continue
		}
		kept = append(kept, s)
	}
	return Set{slices.Clip(kept)}
}

// Unix is the word that stands in lists of networks for what has no address: a
// client on a Unix socket.
const Unix = "unix"

// ParseSet compiles a list that has been checked, of networks and perhaps Unix.
func ParseSet(list []string) (set Set, unix bool) {
	prefixes := make([]netip.Prefix, 0, len(list))
	for _, s := range list {
		if prefix, ok := Parse(s); ok {
			prefixes = append(prefixes, prefix)
		} else if s == Unix {
			unix = true
		}
	}
	return NewSet(prefixes), unix
}

// last is the last address of a network.
func last(p netip.Prefix) netip.Addr {
	octets := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(octets); i++ {
		octets[i/8] |= 0x80 >> (i % 8)
	}
	end, _ := netip.AddrFromSlice(octets)
	return end
}

// Contains reports whether an address is in one of the networks. IPv4 in IPv6 is
// IPv4, and a zone makes no difference. The zero Addr is in none.
func (s Set) Contains(address netip.Addr) bool {
	if len(s.ranges) == 0 || !address.IsValid() {
		return false
	}
	address = address.Unmap().WithZone("")
	low, high := 0, len(s.ranges) // the last range that begins at the address or before it is below high
	for low < high {
		middle := (low + high) / 2
		if s.ranges[middle].from.Compare(address) <= 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low > 0 && address.Compare(s.ranges[low-1].to) <= 0
}

// Empty reports whether no address is in the set.
func (s Set) Empty() bool { return len(s.ranges) == 0 }
