package exchange

import (
	"bytes"
	"net/netip"
	"slices"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// origin is what is known of the original client, besides its address.
type origin struct {
	trusted     bool   // the peer's forwarded fields are believed
	known       bool   // Forwarded says so
	unreadable  bool   // a trusted proxy names the client in a way that can't be read
	proto, host []byte // nil where it doesn't say
}

// adoptForwarded finds the original client's address: the peer's, or, behind
// trusted proxies, the last address that they name and that is not theirs. They
// name it in X-Forwarded-For, or, where that is missing, in Forwarded (RFC
// 7239), whose element then has the client's scheme and host too.
func (x *exchange) adoptForwarded() {
	x.Origin = x.Client.Peer
	if !x.origin.trusted {
		return
	}
	elements := false
	for i := len(x.Message.Header) - 1; i >= 0; i-- {
		switch x.Message.Header[i].ID {
		case message.XForwardedFor:
			if token, _ := message.NextToken(x.Message.Header[i].Value); token != nil {
				x.adoptList(i)
				return
			}
		case message.Forwarded:
			elements = true
		}
	}
	if elements {
		x.adoptElements()
	}
}

// adoptList reads the X-Forwarded-For fields from the one at index i backwards.
func (x *exchange) adoptList(i int) {
	for ; i >= 0; i-- {
		if x.Message.Header[i].ID != message.XForwardedFor {
			continue
		}
		for list := x.Message.Header[i].Value; len(list) > 0; {
			cut := bytes.LastIndexByte(list, ',')
			element := bytes.TrimSpace(list[cut+1:])
			list = list[:max(cut, 0)]
			if len(element) > 0 && !x.believe(element) {
				return
			}
		}
	}
}

// believe makes an element's address the client's. It is false where what
// stands before the element isn't believed: the address is not a trusted
// proxy's, or is none. Whoever is named as "unknown" or by a word is nobody's
// address, and not the proxy's.
func (x *exchange) believe(node []byte) bool {
	ip, ok := parseNode(node)
	if !ok {
		x.origin.unreadable = len(node) > 0
		return false
	}
	x.Origin = ip
	return x.Entrance.Trusts(ip)
}

// adoptElements reads Forwarded, the last element first.
func (x *exchange) adoptElements() {
	var buf [16]forwardedElement
	list := appendElements(buf[:0], x.Message.Header)
	x.origin.known = len(list) > 0
	for i := len(list) - 1; i >= 0; i-- {
		// A trusted proxy has written this element, whatever it says.
		x.origin.proto, x.origin.host = list[i].proto, list[i].host
		if !x.believe(list[i].node) {
			return
		}
	}
}

// forwardedElement is one element of Forwarded. What is missing, or can't be
// read without a copy, is nil; a node that can't be is noNode.
type forwardedElement struct{ node, proto, host []byte }

var noNode = []byte("?")

// maxElements bounds the elements of Forwarded that are looked at, from the
// last one on.
const maxElements = 64

// appendElements lists the elements of all Forwarded fields (RFC 7239 §4). They
// are read from the last one on: who has added one to the list of somebody else
// isn't hidden by a quotation mark that ends nowhere before it.
func appendElements(list []forwardedElement, h message.Header) []forwardedElement {
	for i := len(h) - 1; i >= 0; i-- {
		if h[i].ID != message.Forwarded {
			continue
		}
		for rest := h[i].Value; len(rest) > 0 && len(list) < maxElements; {
			var part []byte
			if rest, part = cutLast(rest); len(part) > 0 {
				list = append(list, parseElement(part))
			}
		}
	}
	slices.Reverse(list)
	return list
}

// cutLast cuts at the last comma that isn't within a quoted string, and trims
// the part after it.
func cutLast(list []byte) (rest, part []byte) {
	quoted := false
	for i := len(list) - 1; i >= 0; i-- {
		switch c := list[i]; {
		case c == '"' && !quoted:
			quoted = true
		case c == '"':
			quoted = escaped(list[:i])
		case c == ',' && !quoted:
			return list[:i], bytes.TrimSpace(list[i+1:])
		}
	}
	return nil, bytes.TrimSpace(list)
}

// escaped reports whether backslashes before a character escape it.
func escaped(before []byte) bool {
	return (len(before)-len(bytes.TrimRight(before, `\`)))%2 == 1
}

func parseElement(part []byte) (e forwardedElement) {
	for len(part) > 0 {
		var pair []byte
		pair, part = cutQuoted(part, ';')
		name, value, _ := bytes.Cut(pair, []byte{'='})
		value = unquote(value)
		switch {
		case message.EqualFold(name, "for"):
			if e.node = value; len(value) == 0 {
				e.node = noNode
			}
		case message.EqualFold(name, "proto") && message.IsToken(value):
			e.proto = value
		case message.EqualFold(name, "host") && isHostText(value):
			e.host = value
		}
	}
	return e
}

// cutQuoted cuts at the first separator that isn't within a quoted string, and
// trims the part before it.
func cutQuoted(list []byte, separator byte) (part, rest []byte) {
	quoted := false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == separator && !quoted:
			return bytes.TrimSpace(list[:i]), list[i+1:]
		}
	}
	return bytes.TrimSpace(list), nil
}

// unquote returns what a quoted string holds, or a token as it is; nil where a
// backslash stands in it, which no address, scheme or host needs.
func unquote(value []byte) []byte {
	if n := len(value); n > 1 && value[0] == '"' && value[n-1] == '"' {
		value = value[1 : n-1]
	}
	if bytes.ContainsAny(value, "\"\\") {
		return nil
	}
	return value
}

// isHostText accepts what a host with a port may consist of.
func isHostText(host []byte) bool {
	for _, c := range host {
		switch {
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == ':', c == '[', c == ']':
		default:
			return false
		}
	}
	return len(host) > 0
}

// parseNode reads an address, with a port perhaps: 192.0.2.1, 192.0.2.1:1234,
// 2001:db8::1, [2001:db8::1] or [2001:db8::1]:1234. Ports may be obfuscated
// (RFC 7239 §6.3). An IPv4 address in IPv6 is the IPv4 address, a zone is left
// out.
func parseNode(node []byte) (netip.Addr, bool) {
	if len(node) > 0 && node[0] == '[' {
		end := bytes.IndexByte(node, ']')
		if end < 0 || !isPortSuffix(node[end+1:]) {
			return netip.Addr{}, false
		}
		ip, ok := parseIP(node[1:end])
		return ip, ok && bytes.IndexByte(node[:end], ':') > 0
	}
	if colon := bytes.IndexByte(node, ':'); colon >= 0 && bytes.IndexByte(node[colon+1:], ':') < 0 {
		if !isPortSuffix(node[colon:]) {
			return netip.Addr{}, false
		}
		node = node[:colon]
	}
	return parseIP(node)
}

func isPortSuffix(s []byte) bool {
	if len(s) == 0 {
		return true
	}
	if s[0] != ':' || len(s) == 1 {
		return false
	}
	if s[1] == '_' {
		return message.IsToken(s[1:])
	}
	for _, c := range s[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(s) <= len(":65535")
}

// parseIP is netip.ParseAddr; for IPv4 it doesn't allocate.
func parseIP(text []byte) (netip.Addr, bool) {
	if ip, ok := parseIPv4(text); ok {
		return ip, true
	}
	if len(text) > 64 {
		return netip.Addr{}, false
	}
	ip, err := netip.ParseAddr(string(text))
	return ip.Unmap().WithZone(""), err == nil
}

func parseIPv4(text []byte) (netip.Addr, bool) {
	var octets [4]byte
	at := 0
	for i := range octets {
		if i > 0 {
			if at == len(text) || text[at] != '.' {
				return netip.Addr{}, false
			}
			at++
		}
		n, begin := 0, at
		for at < len(text) && '0' <= text[at] && text[at] <= '9' && at-begin < 3 {
			n = n*10 + int(text[at]-'0')
			at++
		}
		if at == begin || n > 255 || at-begin > 1 && text[begin] == '0' {
			return netip.Addr{}, false
		}
		octets[i] = byte(n)
	}
	return netip.AddrFrom4(octets), at == len(text)
}

// Trusts reports whether the forwarded fields of a peer are believed; the zero
// Addr is a peer on a Unix socket.
func (e *Entrance) Trusts(peer netip.Addr) bool {
	if !peer.IsValid() {
		return e.TrustUnix
	}
	return e.Trusted.Contains(peer)
}
