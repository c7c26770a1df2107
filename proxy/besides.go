package proxy

import (
	"slices"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/certificates"
)

// Besides is a listener with TLS that no configuration lists, and that each
// generation has all the same: the demo's.
type Besides struct {
	Address string
	// Cert and Key are the files of its certificate, which is the last one of all:
	// clients get it for its names, and the default is another one if there is any.
	Cert, Key string
}

// addTo has a configuration ask for the listener too, unless it does already.
func (b *Besides) addTo(c *Config) {
	if b == nil || c.besides == b {
		return
	}
	var own listener.Config
	own.SetDefaults()
	own.Address, own.TLS = b.Address, true
	c.besides, c.listeners = b, append(slices.Clone(c.listeners), own)
}

// pairs are its certificates, as far as there are any.
func (b *Besides) pairs() []certificates.Pair {
	if b == nil {
		return nil
	}
	return []certificates.Pair{{Cert: b.Cert, Key: b.Key}}
}
