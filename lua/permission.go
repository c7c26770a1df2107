package lua

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
	"github.com/keystone-gateway/keystone-gateway/tenants/network"
)

// permission parses an entry of lua.http.allow.
func permission(s string) (p fetch.Permission, ok bool) {
	if p.Network, ok = network.Parse(s); ok {
		return p, true
	}
	host := s
	if colon := strings.LastIndexByte(s, ':'); colon >= 0 {
		port, err := strconv.ParseUint(s[colon+1:], 10, 16)
		if err != nil || port == 0 {
			return p, false
		}
		host, p.Port = s[:colon], uint16(port)
	}
	if inner, bracketed := strings.CutPrefix(host, "["); bracketed {
		inner, bracketed = strings.CutSuffix(inner, "]")
		p.Network, ok = network.Parse(inner)
		return p, ok && bracketed && strings.Contains(inner, ":")
	}
	if p.Network, ok = network.Parse(host); ok {
		return p, p.Network.Addr().Is4() // an IPv6 address with a port has brackets
	}
	p.Name = strings.ToLower(strings.TrimSuffix(host, "."))
	return p, isName(p.Name)
}

// isName reports whether s can be the name of a host, and no spelling of an
// address: those are judged as what they resolve to.
func isName(s string) bool {
	letter := false
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z':
			letter = true
		case '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return letter && len(s) <= 253 && !strings.HasPrefix(s, "0x")
}

// Permissions are what the section allows and denies, which must have been checked.
func (c *HTTPConfig) Permissions() (allow []fetch.Permission, deny []netip.Prefix) {
	return permissions(c.Allow), networks(c.Deny)
}

// permissions parses a checked list.
func permissions(list []string) []fetch.Permission {
	var all []fetch.Permission
	for _, s := range list {
		if p, ok := permission(s); ok {
			all = append(all, p)
		}
	}
	return all
}

// networks parses a checked list.
func networks(list []string) []netip.Prefix {
	var prefixes []netip.Prefix
	for _, s := range list {
		if prefix, ok := network.Parse(s); ok {
			prefixes = append(prefixes, prefix)
		}
	}
	return prefixes
}

// connectionBytes is what a connection of a script takes as long as it is open:
// buffers, two goroutines, the state of TLS.
const connectionBytes = 48 << 10

// place takes a place and the memory for a connection of the scripts.
func (s *Scripts) place() (giveBack func(), err error) {
	if !s.AcquireMemory(connectionBytes) {
		return nil, fmt.Errorf("lua.max_vm_memory %d is used up by the requests in flight: there is no memory for a connection", s.options.Config.MaxVMMemory.Int64())
	}
	ledger := s.ledger // all that an open connection keeps of the scripts
	if s.options.Places == nil {
		return func() { ledger.Release(connectionBytes) }, nil
	}
	leave, err := s.options.Places(s.options.Tenant)
	if err != nil {
		ledger.Release(connectionBytes)
		return nil, err
	}
	return func() {
		leave()
		ledger.Release(connectionBytes)
	}, nil
}
