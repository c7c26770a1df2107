package upstream

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

const (
	maxHostLength = 253
	maxNameLength = 128
	// maxSocketPath is what sockaddr_un holds on Linux, its final NUL excluded;
	// darwin holds four bytes less.
	maxSocketPath = 107
)

// Address is the parsed URL of a target. It is a value and never changes.
type Address struct {
	Scheme     string     // "http", "https", "h2", "h2c", "grpc", "grpcs" or "unix"
	Network    string     // "tcp" or "unix"
	Host       string     // name or IP address without brackets; empty for unix
	Port       uint16     // 0 for unix
	IP         netip.Addr // valid when Host is an IP address
	Socket     string     // path of the socket; empty for tcp
	BasePath   string     // "" or "/base", without a trailing slash
	ServerName string     // name in the certificate; empty without TLS
	Authority  string     // value of the Host field for requests of our own
}

// String returns the URL in its one canonical form, which identifies the
// target across reloads.
func (a Address) String() string {
	if a.Network == "unix" {
		return "unix://" + a.Socket
	}
	return a.Scheme + "://" + a.HostPort() + a.BasePath
}

// Secure reports whether it is spoken to over TLS.
func (a Address) Secure() bool { return a.Scheme == "https" || a.Scheme == "h2" || a.Scheme == "grpcs" }

// HTTP2 reports whether it is spoken to in HTTP/2, whatever it would choose.
func (a Address) HTTP2() bool {
	return a.Scheme == "h2" || a.Scheme == "h2c" || a.GRPC()
}

// GRPC reports whether the url says that the target speaks gRPC.
func (a Address) GRPC() bool { return a.Scheme == "grpc" || a.Scheme == "grpcs" }

// HostPort returns "host:port", with brackets round IPv6, or the path of the
// socket.
func (a Address) HostPort() string {
	if a.Network == "unix" {
		return a.Socket
	}
	return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))
}

// ParseAddress parses the url of a service. The error says what was expected.
func ParseAddress(raw string) (Address, error) {
	if raw == "" {
		return Address{}, errors.New("url is empty, expected one like http://10.0.0.1:8080")
	}
	if words := withoutScheme(raw); words != "" {
		return Address{}, errors.New(words)
	}
	u, err := url.Parse(raw)
	if err != nil {
		// The text of a *url.Error repeats the URL, which may hold a password.
		if parse, ok := errors.AsType[*url.Error](err); ok {
			err = parse.Err
		}
		return Address{}, fmt.Errorf("url cannot be parsed, expected one like http://10.0.0.1:8080: %w", cause.Of(err))
	}
	if u.User != nil {
		return Address{}, errors.New("url contains a user, expected none: credentials belong into a request header")
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(raw, "#") {
		return Address{}, fmt.Errorf("url %q has a query or a fragment, expected neither", raw)
	}
	switch u.Scheme {
	case "unix":
		return parseSocket(raw, u)
	case "http", "https", "h2", "h2c", "grpc", "grpcs":
		return parseTCP(raw, u)
	case "":
		return Address{}, fmt.Errorf("url %q has no scheme, expected one like http://10.0.0.1:8080", raw)
	}
	return Address{}, fmt.Errorf("url %q has the scheme %q, expected http, https, h2, h2c, grpc, grpcs or unix", raw, u.Scheme)
}

// withoutScheme says what is missing where a url is just a host, with a port or
// a path perhaps: "10.0.0.1:8080" is none to url.Parse, and to it "app:8080" has
// the scheme "app".
func withoutScheme(raw string) string {
	host, _, _ := strings.Cut(raw, "/")
	before, _, _ := strings.Cut(host, ":")
	switch {
	case host == "", slices.Contains(schemes[:], before), strings.ContainsAny(raw, "@?# "), strings.Contains(raw, "//"):
		return ""
	}
	return fmt.Sprintf("url %q has no scheme, expected one like http://10.0.0.1:8080; write http://%s", raw, raw)
}

// schemes are those that a url may have.
var schemes = [...]string{"http", "https", "h2", "h2c", "grpc", "grpcs", "unix"}

func parseSocket(raw string, u *url.URL) (Address, error) {
	if u.Host != "" || u.Opaque != "" || !strings.HasPrefix(u.Path, "/") || strings.HasSuffix(u.Path, "/") {
		return Address{}, fmt.Errorf("url %q is not the path of a socket, expected one like unix:///run/app.sock", raw)
	}
	socket := path.Clean(u.Path)
	if len(socket) > maxSocketPath || strings.ContainsRune(socket, 0) {
		return Address{}, fmt.Errorf("url %q has a path of %d bytes, expected at most %d and no NUL", raw, len(socket), maxSocketPath)
	}
	return Address{Scheme: "unix", Network: "unix", Socket: socket, Authority: "localhost"}, nil
}

func parseTCP(raw string, u *url.URL) (Address, error) {
	a := Address{Scheme: u.Scheme, Network: "tcp", Host: strings.ToLower(u.Hostname()), Port: 80}
	if a.Secure() {
		a.Port = 443
	}
	if err := a.parseHost(); err != nil {
		return Address{}, fmt.Errorf("url %q %w", raw, err)
	}
	if err := a.parsePort(u); err != nil {
		return Address{}, fmt.Errorf("url %q %w", raw, err)
	}
	base, err := parseBase(u)
	if err != nil {
		return Address{}, fmt.Errorf("url %q %w", raw, err)
	}
	a.BasePath = base
	return a, nil
}

// parseHost checks Host and derives IP, ServerName and Authority from it.
func (a *Address) parseHost() error {
	name := strings.TrimSuffix(a.Host, ".")
	if ip, err := netip.ParseAddr(a.Host); err == nil {
		a.IP = ip.Unmap()
		a.Host = a.IP.String()
		name = a.IP.WithZone("").String()
		if a.IP.Is6() {
			a.Authority = "[" + name + "]"
		}
	} else if err := checkHost(name); err != nil {
		return err
	}
	if a.Authority == "" {
		a.Authority = name
	}
	if a.Secure() {
		a.ServerName = name
	}
	return nil
}

func (a *Address) parsePort(u *url.URL) error {
	text := u.Port()
	if text == "" {
		if strings.HasSuffix(u.Host, ":") {
			return errors.New("has a colon without a port, expected a port from 1 to 65535")
		}
		return nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return fmt.Errorf("has the port %s, expected 1 to 65535", text)
	}
	if uint16(port) != a.Port { // the scheme's own port is left out (RFC 9110 §7.2)
		a.Authority += ":" + text
	}
	a.Port = uint16(port)
	return nil
}

func checkHost(name string) error {
	if name == "" {
		return errors.New("has no host, expected one like http://10.0.0.1:8080")
	}
	if len(name) > maxHostLength {
		return fmt.Errorf("has a host of %d bytes, expected at most %d", len(name), maxHostLength)
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return errors.New("has a host with an empty label or one of more than 63 bytes, expected a DNS name or an IP address")
		}
	}
	for i := range len(name) {
		if c := name[i]; !isHostByte(c) {
			return fmt.Errorf("has the byte %q in its host, expected letters, digits, '-', '.' and '_' (international names in their xn-- form)", c)
		}
	}
	// A last label of digits only is a mistyped IPv4 address (WHATWG URL §3.5).
	last := name[strings.LastIndexByte(name, '.')+1:]
	if strings.Trim(last, "0123456789") == "" {
		return errors.New("has a host that is neither a DNS name nor an IP address")
	}
	return nil
}

func isHostByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_'
}

// parseBase refuses every base whose meaning a target might see differently.
func parseBase(u *url.URL) (string, error) {
	base := strings.TrimSuffix(u.EscapedPath(), "/")
	if base == "" {
		return "", nil
	}
	for segment := range strings.SplitSeq(base[1:], "/") {
		plain, err := url.PathUnescape(segment)
		if err != nil || plain == "" || plain == "." || plain == ".." || strings.ContainsAny(plain, "/\\;\x00") {
			return "", fmt.Errorf("has the segment %q in its path, expected plain ones such as /base", segment)
		}
	}
	return base, nil
}

func checkName(name string) error {
	if len(name) > maxNameLength {
		return fmt.Errorf("name is %d bytes long, expected at most %d", len(name), maxNameLength)
	}
	for _, c := range name {
		if c < ' ' || c == 0x7f || c == '\uFFFD' {
			return fmt.Errorf("name %q contains the character %q, expected printable ones", name, c)
		}
	}
	return nil
}

// displayName returns the name, or what stands for it where none is set.
func (c *ServiceConfig) displayName(a Address) string {
	if c.Name != "" {
		return c.Name
	}
	return a.HostPort()
}
