package modules

import (
	"fmt"
	"net/netip"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/tenants/network"
)

// The bounds of what the module ip reads.
const (
	ipMaxText     = 64     // bytes of an address or a network
	ipMaxNetworks = 10_000 // of one set
)

// What is counted for one address that is read and looked up, in instructions, and
// for one network of a set that is made, where all of them are sorted.
const (
	ipWork    = 5
	ipSetWork = 40
)

// openIP makes the module ip: addresses and networks of them, IPv4 and IPv6. IPv4 in
// IPv6 (::ffff:10.0.0.1) is IPv4 everywhere, and zones (fe80::1%eth0) make no
// difference. A text that is no address is nil and a message; a network that is none
// is raised, since it is the script's own.
func openIP(L *glua.LState, _ *Tenant) *glua.LTable {
	return L.SetFuncs(L.CreateTable(0, 1), map[string]glua.LGFunction{
		"set": ipSet, "parse": ipParse, "normalize": ipNormalize, "network": ipNetwork, "is_private": ipIsPrivate,
	})
}

// ipNetworks is the value of a set.
type ipNetworks struct {
	set      network.Set
	unix     bool // the word unix is in it
	networks int
}

// Size is vm.Sized's.
func (s *ipNetworks) Size() int { return 64 + ipNetworkBytes*s.networks }

// ipNetworkBytes is what a network of a set takes: two addresses.
const ipNetworkBytes = 48

// ipVM is what the module keeps in each VM.
type ipVM struct{ meta *glua.LTable }

func newIPVM(L *glua.LState) *ipVM {
	methods := L.SetFuncs(L.CreateTable(0, 1), map[string]glua.LGFunction{"contains": ipContains})
	state := &ipVM{meta: L.CreateTable(0, 1)}
	state.meta.RawSetString("__index", vm.Freeze(L, "a set of networks", methods))
	state.meta.RawSetString("__metatable", glua.LFalse)
	state.meta.RawSetString("__tostring", L.NewFunction(func(L *glua.LState) int {
		L.Push(glua.LString(fmt.Sprintf("set of %d networks", ipSelf(L).networks)))
		return 1
	}))
	return state
}

// ip.set(networks) -> set: networks, compiled: a list of texts like "10.0.0.0/8" or
// "192.0.2.7", at most 10000, or one. "unix" stands for clients on Unix sockets, as
// request.remote_addr has them. Make it when the script is loaded.
func ipSet(L *glua.LState) int {
	var list []netip.Prefix
	made := &ipNetworks{}
	add := func(v glua.LValue) {
		text, ok := v.(glua.LString)
		if !ok {
			vm.ArgError(L, 1, "the list must hold texts, not a "+v.Type().String())
		}
		if text == network.Unix {
			made.unix = true
			return
		}
		list = append(list, ipPrefix(L, 1, string(text)))
	}
	run := vm.RunOf(L)
	switch v := L.Get(1).(type) {
	case glua.LString:
		add(v)
	case *glua.LTable:
		t, n := plain(v), 0
		for key, value := vm.Next(L, t, glua.LNil); key != glua.LNil; key, value = vm.Next(L, t, key) {
			if key.Type() != glua.LTNumber {
				vm.ArgError(L, 1, "a list of networks expected, got a table with "+key.Type().String()+" keys")
			}
			if n++; n > ipMaxNetworks {
				vm.ArgError(L, 1, fmt.Sprintf("more than %d networks", ipMaxNetworks))
			}
			run.Charge(L, 3*ipNetworkBytes+32) // with what making it takes
			run.Spend(L, ipSetWork)
			add(value)
		}
	default:
		vm.TypeError(L, 1, "list of networks")
	}
	run.Charge(L, 256)
	made.set, made.networks = network.NewSet(list), len(list)
	ud := L.NewUserData()
	ud.Value, ud.Metatable = made, perVM(L, "keystone.ip", newIPVM).meta
	L.Push(ud)
	return 1
}

// ipPrefix is a network of the script's.
func ipPrefix(L *glua.LState, n int, text string) netip.Prefix {
	if len(text) <= ipMaxText {
		if prefix, ok := network.Parse(text); ok {
			return prefix
		}
	}
	text = vm.Clip(text)
	vm.ArgError(L, n, fmt.Sprintf("%q is no network, expected the like of 10.0.0.0/8 or 2001:db8::1%s", text, network.Meant(text)))
	return netip.Prefix{}
}

func ipSelf(L *glua.LState) *ipNetworks {
	if ud, ok := L.Get(1).(*glua.LUserData); ok {
		if s, ok := ud.Value.(*ipNetworks); ok {
			return s
		}
	}
	vm.ArgError(L, 1, "set of networks expected")
	return nil
}

// set:contains(address) -> boolean | nil, message: whether the address is in one of
// the networks. What is no address is in none.
func ipContains(L *glua.LState) int {
	s := ipSelf(L)
	text := vm.CheckString(L, 2)
	if text == network.Unix {
		L.Push(glua.LBool(s.unix))
		return 1
	}
	address, ok := ipAddress(L, text)
	if !ok {
		return ipFailed(L, text)
	}
	L.Push(glua.LBool(s.set.Contains(address)))
	return 1
}

// ipAddress reads an address, without its zone.
func ipAddress(L *glua.LState, text string) (address netip.Addr, ok bool) {
	vm.RunOf(L).Spend(L, ipWork)
	if len(text) > ipMaxText {
		return netip.Addr{}, false
	}
	// The library keeps zones, and makes errors of memory.
	if before, _, zoned := strings.Cut(text, "%"); zoned && strings.Contains(before, ":") && len(before)+1 < len(text) {
		text = before
	}
	address, err := netip.ParseAddr(text)
	return address.Unmap(), err == nil
}

func ipFailed(L *glua.LState, text string) int {
	text = vm.Clip(text)
	message := fmt.Sprintf("%q is no address", text)
	vm.RunOf(L).Charge(L, 2*len(message))
	L.Push(glua.LNil)
	L.Push(glua.LString(message))
	return 2
}

// ip.normalize(text) -> string | nil, message: the one text of the address that the
// text stands for: IPv6 in lower case and as short as it can be (RFC 5952).
func ipNormalize(L *glua.LState) int {
	text := vm.CheckString(L, 1)
	address, ok := ipAddress(L, text)
	if !ok {
		return ipFailed(L, text)
	}
	pushShort(L, address.String())
	return 1
}

// pushShort pushes a text of a few bytes.
func pushShort(L *glua.LState, text string) {
	vm.RunOf(L).Charge(L, len(text)+16)
	L.Push(glua.LString(text))
}

// ip.parse(text) -> table | nil, message: what is known of an address: address (as
// normalize has it), version (4 or 6), and whether it is private (10.0.0.0/8,
// 172.16.0.0/12, 192.168.0.0/16, fc00::/7), loopback, link_local, multicast or
// unspecified.
func ipParse(L *glua.LState) int {
	text := vm.CheckString(L, 1)
	address, ok := ipAddress(L, text)
	if !ok {
		return ipFailed(L, text)
	}
	run := vm.RunOf(L)
	run.Charge(L, 1<<10)
	run.Spend(L, 20)
	t := L.CreateTable(0, 8)
	t.RawSetString("address", glua.LString(address.String()))
	version := glua.LNumber(6)
	if address.Is4() {
		version = 4
	}
	t.RawSetString("version", version)
	for name, is := range map[string]bool{
		"private": address.IsPrivate(), "loopback": address.IsLoopback(), "multicast": address.IsMulticast(),
		"link_local": address.IsLinkLocalUnicast(), "unspecified": address.IsUnspecified(),
	} {
		t.RawSetString(name, glua.LBool(is))
	}
	L.Push(t)
	return 1
}

// ip.is_private(text) -> boolean | nil, message: whether the address is one of those
// that anybody may use within his own network (RFC 1918, RFC 4193).
func ipIsPrivate(L *glua.LState) int {
	text := vm.CheckString(L, 1)
	address, ok := ipAddress(L, text)
	if !ok {
		return ipFailed(L, text)
	}
	L.Push(glua.LBool(address.IsPrivate()))
	return 1
}

// ip.network(text, bits?) -> string | nil, message: the network of an address or of a
// network, of so many bits; without bits as it is written: "10.1.2.3/8" is
// "10.0.0.0/8". It is a key for what belongs together: ip.network(address, 64).
func ipNetwork(L *glua.LState) int {
	text := vm.CheckString(L, 1)
	bits, given := 0, L.Get(2) != glua.LNil
	if given {
		if n := checkNumber(L, 2); n >= 0 && n <= 128 && n == float64(int(n)) {
			bits = int(n)
		} else {
			vm.ArgError(L, 2, "a number of bits expected, 0 to 128")
		}
	}
	var prefix netip.Prefix
	address, ok := ipAddress(L, text)
	if ok {
		prefix = netip.PrefixFrom(address, address.BitLen())
	} else if len(text) <= ipMaxText {
		prefix, ok = network.Parse(text)
	}
	if !ok {
		return ipFailed(L, text)
	}
	if given && bits < prefix.Bits() { // a smaller network is not made of a larger one
		prefix = netip.PrefixFrom(prefix.Addr(), bits)
	}
	pushShort(L, prefix.Masked().String())
	return 1
}
