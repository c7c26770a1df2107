package listener

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// maxSocketPath is what a socket's address holds, its final NUL left out.
const maxSocketPath = 107

// WrongAddress says what is wrong with an address to listen on, or nothing.
func WrongAddress(address string) string {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return "has no absolute path"
		}
		if len(path) > maxSocketPath {
			return "has a path of more than " + strconv.Itoa(maxSocketPath) + " bytes"
		}
		return ""
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "is not an address"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > 65535 {
		return "has no port from 0 to 65535"
	}
	if strings.ContainsAny(host, " /") {
		return "has no valid host"
	}
	return ""
}

// MeantAddress guesses what was meant by an address that none can listen on: a
// port or a host alone, or a URL. It is "" or "; write …".
func MeantAddress(address, port string) string {
	_, rest, isURL := strings.Cut(address, "://")
	if isURL {
		address = strings.TrimRight(rest, "/")
	}
	if _, err := strconv.ParseUint(address, 10, 16); err == nil {
		address = ":" + address
	} else if address != "" && !strings.ContainsAny(address, ":/") {
		address += ":" + port
	}
	if WrongAddress(address) != "" {
		return ""
	}
	return fmt.Sprintf("; write %q", address)
}

// IsUnix reports whether an address is that of a Unix socket.
func IsUnix(address string) bool { return strings.HasPrefix(address, "unix:") }

// SameAddress reports whether two addresses can't be listened on at once, as far as
// it shows in how they are written. Port 0 is always free.
func SameAddress(a, b string) bool {
	a, b = Canonical(a), Canonical(b)
	return a == b && (IsUnix(a) || !strings.HasSuffix(a, ":0"))
}

// Collide reports whether no two listeners can have these addresses at once: they are
// the same, or have one port, and one of them is all addresses.
func Collide(a, b string) bool {
	if SameAddress(a, b) {
		return true
	}
	if IsUnix(a) || IsUnix(b) {
		return IsUnix(a) && IsUnix(b) && filepath.Clean(pathOf(a)) == filepath.Clean(pathOf(b))
	}
	hostA, portA, okA := placeOf(a)
	hostB, portB, okB := placeOf(b)
	return okA && okB && portA == portB && portA != 0 && (hostA == "" || hostB == "" || hostA == hostB)
}

// placeOf is the port of an address, and its host: "" is all addresses of the machine,
// of IPv4 and IPv6, as Go listens.
func placeOf(address string) (host string, port int, ok bool) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, false
	}
	n, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return "", 0, false
	}
	port, host = int(n), strings.ToLower(host)
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip = ip.Unmap(); ip.IsUnspecified() {
			return "", port, true
		}
		host = ip.String()
	}
	return host, port, true
}

// Canonical is one spelling of an address: listeners are known by it.
func Canonical(address string) string {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "unix:/" + strings.TrimLeft(path, "/")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		port = strconv.FormatUint(n, 10)
	}
	if ip := net.ParseIP(host); ip != nil {
		host = ip.String()
	}
	return net.JoinHostPort(strings.ToLower(host), port)
}
