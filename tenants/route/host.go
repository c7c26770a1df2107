package route

import (
	"bytes"
	"net/netip"
)

const (
	maxHost = 255

	// Letters, digits, hyphen, dot and underscore. RFC 3986 §3.2.2 allows more
	// in a reg-name; no name that resolves has it.
	hostLow  = digitBits | 1<<'-' | 1<<'.'
	hostHigh = letterBits | 1<<('_'-64)
)

// CanonicalHost returns the host of a Host field, an :authority or an
// absolute-form target, without its port: names in lower case and without the
// trailing dot, IPv6 addresses in brackets and in the form of RFC 5952. The
// port is checked and dropped.
//
// host aliases hostField where it needs no change, otherwise dst, which is
// overwritten from its start, must not overlap hostField, and is grown when it
// is too small (255 bytes suffice). Nothing is allocated then, except for IPv6
// addresses. err is always a Refusal.
func CanonicalHost(dst, hostField []byte) (host []byte, err error) {
	if len(hostField) > 0 && hostField[0] == '[' {
		return canonicalIPv6(dst[:0], hostField)
	}
	host = hostField
	if i := bytes.IndexByte(hostField, ':'); i >= 0 {
		host = hostField[:i]
		if !validPort(hostField[i+1:]) {
			return nil, RefusedHostPort
		}
	}
	if n := len(host); n > 1 && host[n-1] == '.' {
		host = host[:n-1]
	}
	lower, err := checkName(host)
	if err != nil {
		return nil, err
	}
	if lower {
		return host, nil
	}
	dst = dst[:0]
	for _, c := range host {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst, nil
}

// checkName checks a name without port and trailing dot, and says whether
// it is in lower case.
func checkName(host []byte) (lower bool, err error) {
	if len(host) == 0 {
		return false, RefusedHostEmpty
	}
	if len(host) > maxHost {
		return false, RefusedHostLength
	}
	seen, last := uint8(nameLower), uint8(nameDot) // before the first label as after a dot
	for _, c := range host {
		kind := nameBytes[c]
		if kind == notInName {
			return false, RefusedHostByte
		}
		if kind == nameDot && last == nameDot {
			return false, RefusedHostLabel
		}
		seen |= kind
		last = kind
	}
	if last == nameDot {
		return false, RefusedHostLabel
	}
	return seen&nameUpper == 0, nil
}

// What a byte is in a name of a host.
const (
	nameLower = 0 // or what has no case
	nameUpper = 1
	nameDot   = 2
	notInName = 4
)

var nameBytes = func() (t [256]uint8) {
	for i := range t {
		switch c := byte(i); {
		case c == '.':
			t[i] = nameDot
		case 'A' <= c && c <= 'Z':
			t[i] = nameUpper
		case !IsNameByte(c):
			t[i] = notInName
		}
	}
	return t
}()

// canonicalIPv6 is the slow path for a host in brackets.
func canonicalIPv6(dst, hostField []byte) ([]byte, error) {
	i := bytes.IndexByte(hostField, ']')
	if i < 0 || i > maxHost {
		return nil, RefusedHostIPv6
	}
	rest := hostField[i+1:]
	if len(rest) > 0 && (rest[0] != ':' || !validPort(rest[1:])) {
		return nil, RefusedHostPort
	}
	address, err := netip.ParseAddr(string(hostField[1:i]))
	if err != nil || !address.Is6() || address.Zone() != "" {
		return nil, RefusedHostIPv6
	}
	dst = append(dst, '[')
	dst = address.AppendTo(dst)
	return append(dst, ']'), nil
}

// validPort says whether port is empty, which RFC 3986 §3.2.3 allows, or a
// number up to 65535 of at most five digits.
func validPort(port []byte) bool {
	if len(port) > 5 {
		return false
	}
	n := 0
	for _, c := range port {
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return n <= 65535
}

// IsNameByte reports whether a byte can stand in a name of a host: a letter, a
// digit, ".", "-" or "_".
func IsNameByte(c byte) bool { return in(c, hostLow, hostHigh) }
