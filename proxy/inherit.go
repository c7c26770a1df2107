package proxy

import (
	"fmt"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// inherit gives sections the values that they leave to the section of the same
// keys around them: one rule for all, which docs/configuration.md explains.
func (c *Config) inherit(d *settings.Document) {
	for i := range c.Tenants {
		t := &c.Tenants[i]
		for j := range t.Services {
			d.Inherit(settings.Section{Value: &t.Services[j].TLS, Secrets: &t.Secrets, Path: fmt.Sprintf("services[%d].tls", j)},
				settings.Section{Value: &t.TargetTLS, Secrets: &t.Secrets, Path: "target_tls"})
		}
	}
}

// loadTargetTLS reads the certificates of and for targets.
func (c *Config) loadTargetTLS(d *settings.Document) {
	for i := range c.Tenants {
		t, own := &c.Tenants[i], d.Within(tenantsKey, i)
		t.TargetTLS.Load(c.inputs.read, own)
		for j := range t.Services {
			service := &t.Services[j]
			address, err := upstream.ParseAddress(service.URL)
			if err == nil && address.Scheme != "https" {
				if d.Has(&service.TLS) {
					own.Errorf(&service.TLS, "tls is set for the target %q, which doesn't speak it, expected a url that begins with https", service.URL)
				}
				continue
			}
			service.TLS.Load(c.inputs.read, own)
		}
	}
}
