package listener

import (
	_ "embed" // for Source
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/network"
)

//go:embed config.go
var source string

// Source returns the text of this file, whose comments document its sections in
// the JSON Schema and in docs/configuration.md.
func Source() string { return source }

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
	if len(c.From) == 0 && written(c) {
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
