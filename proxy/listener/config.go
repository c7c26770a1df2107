package listener

import (
	_ "embed" // for Source
	"os"
	"slices"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/network"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

//go:embed config.go
var source string

// Source returns the text of this file, whose comments document its sections in
// the JSON Schema and in docs/configuration.md.
func Source() string { return source }

// Config is one element of the section listeners.
type Config struct {
	// Name of the listener in logs, metrics and the admin API, and in
	// tenants[].listeners: 1 to 64 letters, digits, dots, hyphens and underscores,
	// unique among the listeners. Default: none, and it is called by its address.
	Name string `yaml:"name"`

	// Where to listen: "host:port", "[IPv6]:port" ("[::]:443" is all addresses, of
	// IPv4 too), ":port", which is the same, or "unix:/path/to.sock". A reload knows a
	// listener by it: what else is said of one is changed while it is open, one
	// that is no longer listed accepts no more, and its connections end after
	// their requests.
	Address string `yaml:"address" required:"true"`

	// Mode of a Unix socket, such as 0660: who may write to it may connect. Default:
	// none, what the process's umask leaves.
	Mode string `yaml:"mode"`

	// Owner of a Unix socket: "user", "user:group" or ":group", by name or number.
	// Default: none, the process's.
	Owner string `yaml:"owner"`

	// Whether TLS 1.2 and 1.3 are spoken, with the certificates of tls and
	// certificates. Default: false.
	TLS bool `yaml:"tls"`

	// What clients may speak: "http/1.1", which is HTTP/1.0 too, "h2", HTTP/2 where TLS
	// is spoken, chosen by ALPN, and "h2c", HTTP/2 without TLS, of clients that know
	// that it is spoken here. Default: [h2, http/1.1] with tls: true, [http/1.1]
	// without.
	Protocols []string `yaml:"protocols"`

	// Whether HTTP/3 is spoken too, by QUIC on the same port over UDP, with the same
	// certificates and limits: answers over TLS then say so to clients, by Alt-Svc. Needs
	// tls: true. Default: false.
	HTTP3 bool `yaml:"http3"`

	// Port that Alt-Svc tells clients of with http3, where they see another one than the
	// gateway. 0 is the listener's. Default: 0.
	HTTP3Port int `yaml:"http3_port" min:"0" max:"65535"`

	// Whether requests that have come without TLS are answered with 308 and their own
	// URL with https, and serve nothing else here but ACME challenges, the health
	// endpoints of admin.on_public and the paths of redirect_except. What a
	// trusted proxy, or a header of the PROXY protocol, says to have come over TLS is
	// served. Default: false.
	RedirectToHTTPS bool `yaml:"redirect_to_https"`

	// Port of the URLs that redirect_to_https leads to, where clients see another one
	// than the gateway. 0 is that of the first listener with TLS, 443 before others.
	// Default: 0.
	HTTPSPort int `yaml:"https_port" min:"0" max:"65535"`

	// Paths, such as "/health", that redirect_to_https leaves to the tenants, and all
	// that is below them. Default: none.
	RedirectExcept []string `yaml:"redirect_except"`

	// Load balancers in front that say by a header of the PROXY protocol who their
	// client is. Keys that are left out are those of server.proxy_protocol.
	ProxyProtocol ProxyProtocolConfig `yaml:"proxy_protocol"`

	// Networks whose X-Forwarded-*, Forwarded and X-Request-Id fields are believed and
	// extended on this listener; "unix" stands for clients on a Unix socket.
	// Default: those of server.trusted_proxies.
	TrustedProxies []string `yaml:"trusted_proxies"`

	// Open connections of this listener at most, within server.max_connections; more
	// are answered with 503 and closed. 0 is no limit of its own. Default: 0.
	MaxConnections int `yaml:"max_connections" min:"0"`

	// Open connections of this listener from one client address at most, within
	// server.max_connections_per_address, where it is explained. 0 is no limit of
	// its own. Default: 0.
	MaxConnectionsPerAddress int `yaml:"max_connections_per_address" min:"0"`

	// TLS handshakes in flight at most. Beyond, new connections wait in the kernel, and
	// the handshake that has been in flight for longest is given up once it is a
	// second old: clients that connect and then say nothing can't keep others out. 0
	// is no limit. Default: 1000.
	MaxHandshakes int `yaml:"max_handshakes" min:"0"`

	// From connecting to the end of the TLS handshake. Then the connection is closed.
	// Default: 0s, server.timeouts.header.
	HandshakeTimeout settings.Duration `yaml:"handshake_timeout"`

	// Requests on one connection at most; the last one is answered with
	// "Connection: close". 0 is no limit. Default: 0.
	MaxRequestsPerConnection int `yaml:"max_requests_per_connection" min:"0"`
}

// SetDefaults fills a fresh element of the list.
func (c *Config) SetDefaults() {
	*c = Config{ProxyProtocol: DefaultProxyProtocol(), MaxHandshakes: 1000}
}

// maxName bounds a listener's name: it is a label of metrics.
const maxName = 64

// Called is the listener's name, or its address where it has none.
func (c *Config) Called() string {
	if c.Name != "" {
		return c.Name
	}
	return c.Address
}

// Check reports what can't work. written tells which keys the file has.
func (c *Config) Check(r settings.Reporter, written func(field any) bool) {
	if c.Name != "" && (len(c.Name) > maxName || strings.Trim(c.Name, nameBytes) != "") {
		r.Errorf(&c.Name, "listener name %q is not one, expected 1 to %d letters, digits, dots, hyphens and underscores", c.Name, maxName)
	}
	switch wrong := WrongAddress(c.Address); {
	case c.Address == "":
		r.Errorf(c, "listener without an address, expected one like \":8080\", \"[::]:8080\" or \"unix:/run/gateway.sock\"")
	case wrong != "":
		r.Errorf(&c.Address, "address %q %s, expected \"host:port\", \"[IPv6]:port\" or \"unix:/path\"%s", c.Address, wrong, MeantAddress(c.Address, "8080"))
	}
	c.checkFile(r)
	c.checkRedirect(r)
	c.checkHandshakes(r)
	c.checkProtocols(r)
	c.checkHTTP3(r)
	c.ProxyProtocol.Check(r, written)
	CheckNetworks(r, c.TrustedProxies)
	for key, value := range map[string]*int{
		"max_connections": &c.MaxConnections, "max_connections_per_address": &c.MaxConnectionsPerAddress, "max_requests_per_connection": &c.MaxRequestsPerConnection, "max_handshakes": &c.MaxHandshakes,
	} {
		if *value < 0 {
			r.Errorf(value, "%s %d is negative, expected a number, or 0 for no limit", key, *value)
		}
	}
}

// checkHandshakes checks what only TLS has.
func (c *Config) checkHandshakes(r settings.Reporter) {
	if c.HandshakeTimeout != 0 && (c.HandshakeTimeout.Std() < 10*time.Millisecond || c.HandshakeTimeout.Std() > 10*time.Minute) {
		r.Errorf(&c.HandshakeTimeout, "handshake_timeout %s is out of range, expected 10ms to 10m, or 0 for server.timeouts.header", &c.HandshakeTimeout)
	}
	if c.HandshakeTimeout != 0 && !c.TLS {
		r.Errorf(&c.HandshakeTimeout, "handshake_timeout is set without tls: true, expected both")
	}
}

// checkProtocols checks that what is spoken is known, and fits TLS.
func (c *Config) checkProtocols(r settings.Reporter) {
	for i, name := range c.Protocols {
		switch {
		case name == "h3":
			r.Errorf(&c.Protocols[i], "protocol h3 is not one of TCP's, expected http3: true beside protocols")
		case protocolOf(name) == 0:
			r.Errorf(&c.Protocols[i], "protocol %q is unknown, expected http/1.1, h2 or h2c", name)
		case name == "h2" && !c.TLS:
			r.Errorf(&c.Protocols[i], "protocol h2 is for listeners with tls: true, expected that, or h2c")
		case name == "h2c" && c.TLS:
			r.Errorf(&c.Protocols[i], "protocol h2c is for listeners without TLS, expected h2")
		case slices.Contains(c.Protocols[:i], name):
			r.Errorf(&c.Protocols[i], "protocols has %q twice, expected each once", name)
		}
	}
}

// checkHTTP3 checks that there is a port over UDP, and what QUIC needs.
func (c *Config) checkHTTP3(r settings.Reporter) {
	switch {
	case !c.HTTP3:
	case IsUnix(c.Address):
		r.Errorf(&c.HTTP3, "http3 is set for the address %q, and a Unix socket has no port over UDP, expected \"host:port\"", c.Address)
	case !c.TLS:
		r.Errorf(&c.HTTP3, "http3 is set without tls: true, which HTTP/3 can't do without, expected both")
	case len(c.ProxyProtocol.From) > 0:
		r.Errorf(&c.HTTP3, "http3 is set with proxy_protocol, whose headers don't come over UDP, expected one of them")
	}
	if c.HTTP3Port < 0 || c.HTTP3Port > 0xffff {
		r.Errorf(&c.HTTP3Port, "http3_port %d is not a port, expected 1 to 65535, or 0 for the listener's", c.HTTP3Port)
	}
}

// Speaks are the protocols of the section, which must have been checked.
func (c *Config) Speaks() (list Protocols) {
	for _, name := range c.Protocols {
		list |= protocolOf(name)
	}
	switch {
	case list != 0:
		return list
	case c.TLS:
		return HTTP1 | HTTP2
	}
	return HTTP1
}

func protocolOf(name string) Protocols {
	switch name {
	case "http/1.1":
		return HTTP1
	case "h2", "h2c":
		return HTTP2
	}
	return 0
}

const nameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"

// checkFile checks what only Unix sockets have.
func (c *Config) checkFile(r settings.Reporter) {
	if c.Mode != "" {
		if _, err := ParseMode(c.Mode); err != nil {
			r.Errorf(&c.Mode, "mode %q %v", c.Mode, err)
		}
	}
	if c.Owner != "" {
		if _, err := FindOwner(c.Owner); err != nil {
			r.Errorf(&c.Owner, "owner %q %v, expected \"user\", \"user:group\" or \":group\" of this machine", c.Owner, err)
		}
	}
	if IsUnix(c.Address) {
		return
	}
	if c.Mode != "" {
		r.Errorf(&c.Mode, "mode is set for the address %q, expected it with a Unix socket alone", c.Address)
	}
	if c.Owner != "" {
		r.Errorf(&c.Owner, "owner is set for the address %q, expected it with a Unix socket alone", c.Address)
	}
}

// checkRedirect checks what belongs to redirect_to_https.
func (c *Config) checkRedirect(r settings.Reporter) {
	for i := range c.RedirectExcept {
		if err := route.CheckPrefix(c.RedirectExcept[i]); err != nil || c.RedirectExcept[i] == "" {
			r.Errorf(&c.RedirectExcept[i], "redirect_except: %q is no path, expected one like /health", c.RedirectExcept[i])
		}
		if slices.Contains(c.RedirectExcept[:i], c.RedirectExcept[i]) {
			r.Errorf(&c.RedirectExcept[i], "redirect_except has %q twice, expected each path once", c.RedirectExcept[i])
		}
	}
	if c.HTTPSPort < 0 || c.HTTPSPort > 0xffff {
		r.Errorf(&c.HTTPSPort, "https_port %d is not a port, expected 1 to 65535, or 0 for that of the listener with TLS", c.HTTPSPort)
	}
	switch {
	case c.RedirectToHTTPS && c.TLS:
		r.Errorf(&c.RedirectToHTTPS, "redirect_to_https is set for a listener with tls: true, where there is nothing to redirect, expected one of them")
	case !c.RedirectToHTTPS && len(c.RedirectExcept) > 0:
		r.Errorf(&c.RedirectExcept, "redirect_except is set without redirect_to_https: true, expected both")
	}
}

// CheckNetworks reports which of a list of trusted proxies are no networks.
func CheckNetworks(r settings.Reporter, list []string) {
	for i := range list {
		if _, ok := network.Parse(list[i]); !ok && list[i] != network.Unix {
			r.Errorf(&list[i], "trusted proxy %q is not a network, expected one like 10.0.0.0/8 or 192.0.2.7, or \"unix\"%s", list[i], network.Meant(list[i]))
		}
	}
}

// Guarded are the mode and the owner of a Unix socket. The section must have been
// checked.
func (c *Config) Guarded() (mode os.FileMode, owner *Owner, err error) {
	if c.Mode != "" {
		if mode, err = ParseMode(c.Mode); err != nil {
			return 0, nil, err
		}
	}
	if c.Owner != "" {
		owner, err = FindOwner(c.Owner)
	}
	return mode, owner, err
}

// ProxyProtocolConfig is the section proxy_protocol of a listener.
type ProxyProtocolConfig struct {
	// Networks, such as "10.0.0.0/8" or "192.0.2.7", whose connections begin with
	// a header of the PROXY protocol, version 1 or 2, all of them; "unix" stands
	// for peers on a Unix socket. The client's address then is the one that the
	// header says. Default: none, and no header is read.
	From []string `yaml:"from"`

	// Whether connections from elsewhere are closed. If false, they are served as
	// they are; a header that they begin with is no HTTP, and gets 400.
	// Default: true.
	Required bool `yaml:"required"`

	// From accepting the connection to the end of the header. Then it is closed.
	// Default: 5s.
	Timeout settings.Duration `yaml:"timeout"`
}

// DefaultProxyProtocol is what a section proxy_protocol is laid over.
func DefaultProxyProtocol() ProxyProtocolConfig {
	return ProxyProtocolConfig{Required: true, Timeout: settings.Duration(5 * time.Second)}
}

// Check reports what can't work. written tells which keys the file has.
func (c *ProxyProtocolConfig) Check(r settings.Reporter, written func(field any) bool) {
	for i := range c.From {
		if _, ok := network.Parse(c.From[i]); !ok && c.From[i] != network.Unix {
			r.Errorf(&c.From[i], "%q of proxy_protocol.from is not a network, expected one like 10.0.0.0/8 or 192.0.2.7, or %q%s", c.From[i], network.Unix, network.Meant(c.From[i]))
		}
	}
	if len(c.From) == 0 && written(c) && !written(&c.From) {
		r.Errorf(c, "proxy_protocol has no from, expected the networks whose headers are believed, such as from: [10.0.0.0/8]")
	}
	if c.Timeout.Std() < 10*time.Millisecond || c.Timeout.Std() > time.Minute {
		r.Errorf(&c.Timeout, "proxy_protocol.timeout %s is out of range, expected 10ms to 1m", &c.Timeout)
	}
}

// Introduction is what the section means; nil where it asks for nothing. It must
// have been checked.
func (c *ProxyProtocolConfig) Introduction() *Introduction {
	if len(c.From) == 0 {
		return nil
	}
	i := &Introduction{Others: !c.Required, Timeout: c.Timeout.Std()}
	i.From, i.Unix = network.ParseSet(c.From)
	return i
}
