package message

import (
	"bytes"
	"net/netip"
)

// SameAuthority reports whether two authorities name the same host and port
// (RFC 3986 §6.2.2 and §6.2.3): case, a trailing dot, the form of an IPv6
// address, and a port that is empty or the scheme's own make no difference.
func SameAuthority(a, b []byte, defaultPort int) bool {
	if bytes.EqualFold(a, b) {
		return true
	}
	hostA, portA := splitPort(a, defaultPort)
	hostB, portB := splitPort(b, defaultPort)
	return portA == portB && portA >= 0 && sameHost(hostA, hostB)
}

// splitPort cuts the port off an authority: -1 where it is no number.
func splitPort(authority []byte, defaultPort int) (host []byte, port int) {
	colon := bytes.LastIndexByte(authority, ':')
	if colon < 0 || bytes.IndexByte(authority[colon:], ']') >= 0 { // none, or within an IPv6 address
		return authority, defaultPort
	}
	host, digits := authority[:colon], authority[colon+1:]
	if len(digits) == 0 {
		return host, defaultPort
	}
	n, ok := ParseDecimal(digits)
	if !ok || n > 65535 {
		return host, -1
	}
	return host, int(n)
}

func sameHost(a, b []byte) bool {
	if len(a) > 0 && len(b) > 0 && a[0] == '[' && b[0] == '[' {
		x, errX := netip.ParseAddr(string(bytes.Trim(a, "[]")))
		y, errY := netip.ParseAddr(string(bytes.Trim(b, "[]")))
		return errX == nil && errY == nil && x == y
	}
	return len(a) > 0 && bytes.EqualFold(trimDot(a), trimDot(b))
}

func trimDot(host []byte) []byte { return bytes.TrimSuffix(host, []byte{'.'}) }
