package listener

import (
	"net"
	"net/netip"
	"sync"
)

// Own knows on which ports this process listens, and for whom. The zero value
// is ready; its methods may be called at once.
type Own struct {
	mu    sync.RWMutex
	ports map[uint16][Operator + 1]int // how many listeners of each purpose
}

// Purpose says whom a listener serves.
type Purpose int

// The purposes. Where several listeners have one port, the greatest counts.
const (
	None Purpose = iota
	Public
	Operator
)

// Add adds the address of a listener, open or about to be: "host:port", or a
// Unix socket, which has no port.
func (o *Own) Add(address string, purpose Purpose) { o.change(address, purpose, 1) }

// Remove takes back one Add.
func (o *Own) Remove(address string, purpose Purpose) { o.change(address, purpose, -1) }

func (o *Own) change(address string, purpose Purpose, by int) {
	if IsUnix(address) {
		return
	}
	_, name, err := net.SplitHostPort(address)
	if err != nil {
		return // there can't be a listener there
	}
	port, err := net.LookupPort("tcp", name)
	if err != nil || port <= 0 || port > 0xffff { // 0: it is chosen when the listener opens
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ports == nil {
		o.ports = map[uint16][Operator + 1]int{}
	}
	counts := o.ports[uint16(port)]
	counts[purpose] = max(0, counts[purpose]+by)
	o.ports[uint16(port)] = counts
}

// Find says whom the listener serves that a connection to an address would
// reach: any address of this machine with one of the ports is taken for its,
// since there are many ways for one to lead to the other.
func (o *Own) Find(at netip.AddrPort) Purpose {
	o.mu.RLock()
	counts := o.ports[at.Port()]
	o.mu.RUnlock()
	purpose := Operator
	for purpose > None && counts[purpose] == 0 {
		purpose--
	}
	if purpose == None || !IsLocal(at.Addr().Unmap()) {
		return None
	}
	return purpose
}

// IsLocal reports whether packets to an address stay on this machine: then the
// system sends them from that address.
func IsLocal(addr netip.Addr) bool {
	if addr.IsLoopback() || addr.IsUnspecified() {
		return true
	}
	if addr.Is4() && addr.As4()[0] == 0 { // Linux connects 0.0.0.0/8 nowhere, others to themselves
		return true
	}
	const discard = 9 // nothing is sent
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, discard)))
	if err != nil {
		return isInterface(addr)
	}
	defer func() { _ = conn.Close() }()
	from, ok := conn.LocalAddr().(*net.UDPAddr)
	return ok && from.AddrPort().Addr().Unmap().WithZone("") == addr.WithZone("") || isInterface(addr)
}

// isInterface reports whether an address is one of this machine's interfaces.
func isInterface(addr netip.Addr) bool {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return true // not known: better taken for it
	}
	for _, a := range list {
		if network, ok := a.(*net.IPNet); ok {
			if own, ok := netip.AddrFromSlice(network.IP); ok && own.Unmap() == addr.WithZone("") {
				return true
			}
		}
	}
	return false
}
