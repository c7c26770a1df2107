package proxy

import (
	"cmp"
	"fmt"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// maxListeners bounds the listeners: each has series of its own in the metrics.
const maxListeners = 64

// listListeners makes the short form, and sections that leave keys to the server's,
// into what they stand for.
func (c *Config) listListeners(d *settings.Document) {
	if len(c.Listeners) == 0 {
		var short listener.Config
		short.SetDefaults()
		short.Address, short.TLS = c.listenAddress(), c.TLS.Enabled
		short.ProxyProtocol, short.TrustedProxies = c.Server.ProxyProtocol, c.Server.TrustedProxies
		c.listeners = []listener.Config{short}
		return
	}
	for i := range c.Listeners {
		l := &c.Listeners[i]
		d.Inherit(settings.Section{Value: &l.ProxyProtocol, Path: "proxy_protocol"}, settings.Section{Value: &c.Server.ProxyProtocol, Path: "server.proxy_protocol"})
		if !d.Has(&l.TrustedProxies) {
			l.TrustedProxies = c.Server.TrustedProxies
		}
	}
	c.listeners = c.Listeners
}

// listenAddress is that of the short form.
func (c *Config) listenAddress() string {
	if c.Server.Port != "" {
		return ":" + c.Server.Port
	}
	return c.Server.Address
}

// speaksTLS reports whether any listener does.
func (c *Config) speaksTLS() bool { return c.tlsKey() != nil || c.besides != nil }

// tlsKey is the field by which the first listener speaks TLS; nil: none does.
func (c *Config) tlsKey() any {
	if len(c.Listeners) == 0 && c.TLS.Enabled {
		return &c.TLS.Enabled
	}
	for i := range c.Listeners {
		if c.Listeners[i].TLS {
			return &c.Listeners[i].TLS
		}
	}
	return nil
}

// checkListeners reports what is wrong with them.
func (c *Config) checkListeners(r settings.Reporter, written func(any) bool) {
	c.checkShortForm(r, written)
	if len(c.Listeners) > maxListeners {
		r.Errorf(&c.Listeners, "there are %d listeners, expected at most %d", len(c.Listeners), maxListeners)
	}
	names := map[string]bool{}
	for i := range c.Listeners {
		l := &c.Listeners[i]
		l.Check(r, written)
		if l.Name != "" && names[l.Name] {
			r.Errorf(&l.Name, "listener name %q is already taken, expected unique names", l.Name)
		}
		names[l.Name] = true
		for j := range c.Listeners[:i] {
			if other := c.Listeners[j].Address; l.Address != "" && listener.Collide(l.Address, other) {
				r.Errorf(&l.Address, "address %q is that of another listener too%s, expected each address once", l.Address, within(l.Address, other))
				break
			}
		}
	}
	for i := range c.Listeners {
		if l := &c.Listeners[i]; l.RedirectToHTTPS && l.HTTPSPort == 0 && !c.speaksTLS() {
			r.Errorf(&l.RedirectToHTTPS, "redirect_to_https is set, and no listener has tls: true, expected one, or https_port where something in front of the gateway ends TLS")
		}
	}
	c.checkAdminAddress(r, written)
}

// within says which address has all others of a port, where two collide that aren't
// spelled the same.
func within(address, other string) string {
	if listener.SameAddress(address, other) {
		return ""
	}
	return fmt.Sprintf(" (%q, which leaves no room for it)", other)
}

// checkAdminAddress reports that the admin API would listen where a listener does, at
// the one of them that the file has.
func (c *Config) checkAdminAddress(r settings.Reporter, written func(any) bool) {
	if !c.Admin.Enabled {
		return
	}
	for i := range c.listeners {
		at := c.listeners[i].Address
		if !listener.Collide(c.Admin.Address, at) {
			continue
		}
		own := any(&c.Server.Address)
		switch {
		case len(c.Listeners) > 0:
			own = &c.Listeners[i].Address
		case c.Server.Port != "":
			own = &c.Server.Port
		}
		if !written(&c.Admin.Address) && written(own) {
			r.Errorf(own, "address %q is that of the admin API too (admin.address is %q), expected another one", at, c.Admin.Address)
			continue
		}
		r.Errorf(&c.Admin.Address, "address %q is that of a listener too%s, expected another one", c.Admin.Address, within(c.Admin.Address, at))
	}
}

// checkShortForm reports the short form beside the list.
func (c *Config) checkShortForm(r settings.Reporter, written func(any) bool) {
	if len(c.Listeners) == 0 {
		if written(&c.Listeners) {
			r.Errorf(&c.Listeners, "listeners is empty, expected at least one, or no such key and server.address")
		}
		return
	}
	for key, field := range map[string]any{"server.address": &c.Server.Address, "server.port": &c.Server.Port, "tls.enabled": &c.TLS.Enabled} {
		if written(field) {
			r.Errorf(field, "both %s and listeners are set, expected one of them: %s", key, cmp.Or(insteadOf[key], "listeners: [{address: …}]"))
		}
	}
}

var insteadOf = map[string]string{"tls.enabled": "listeners: [{address: …, tls: true}]"}

// checkLoops reports targets that are the gateway itself.
func (c *Config) checkLoops(own func(index int) settings.Reporter) {
	for t := range c.Tenants {
		for _, p := range c.Tenants[t].AllPools() {
			for i := range p.Services {
				service := &p.Services[i]
				address, err := upstream.ParseAddress(service.URL)
				if err == nil && c.listensAt(&address) {
					own(t).Errorf(&service.URL, "url %q is the gateway's own address, expected that of an application", service.URL)
				}
			}
		}
	}
}

func (c *Config) listensAt(at *upstream.Address) bool {
	for i := range c.listeners {
		address := c.listeners[i].Address
		if at.Network == "unix" && listener.SameAddress("unix:"+at.Socket, address) || at.Network != "unix" && listener.SameAddress(at.HostPort(), address) {
			return true
		}
	}
	return false
}
