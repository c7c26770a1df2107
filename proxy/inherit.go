package proxy

import (
	"reflect"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// inherit gives sections the values that they leave to the section of the same
// keys around them: one rule for all, which docs/configuration.md explains.
func (c *Config) inherit(d *settings.Document) {
	c.RequestLimits.Fill(tenants.DefaultRequestLimits())
	for i := range c.Tenants {
		t := &c.Tenants[i]
		section := func(path string, inner, outer any) {
			d.Inherit(settings.Section{Value: inner, Secrets: &t.Secrets, Path: path}, settings.Section{Value: outer, Secrets: &c.Secrets, Path: path})
		}
		section("request_limits", &t.RequestLimits, &c.RequestLimits)
		t.RequestLimits.Fill(c.RequestLimits)
		section("compression", &t.Compression, &c.Compression)
		section("client_tls", &t.ClientTLS, &c.ClientTLS)
		c.inheritTimeouts(d, &t.ClientTimeouts)
		t.InheritPools(d, d.Within(tenantsKey, i))
	}
}

// inheritTimeouts is by hand, since the server has these keys in other sections.
func (c *Config) inheritTimeouts(d *settings.Document, t *tenants.ClientTimeoutsConfig) {
	if !d.Has(&t.BodyIdle) {
		t.BodyIdle = c.Server.Timeouts.BodyIdle
	}
	if !d.Has(&t.WriteIdle) {
		t.WriteIdle = c.Server.Timeouts.WriteIdle
	}
	if !d.Has(&t.MinRate) {
		t.MinRate = c.Server.MinRate
	}
}

// serverTimeouts are what tenants inherit.
func (c *Config) serverTimeouts() tenants.ClientTimeoutsConfig {
	return tenants.ClientTimeoutsConfig{BodyIdle: c.Server.Timeouts.BodyIdle, WriteIdle: c.Server.Timeouts.WriteIdle, MinRate: c.Server.MinRate}
}

// withoutInherited is a copy of a tenant's section without what it has from the
// server, so that a change of that isn't one of each tenant.
func (c *Config) withoutInherited(index int) tenants.Config {
	t := c.Tenants[index]
	if t.RequestLimits == c.RequestLimits {
		t.RequestLimits = tenants.RequestLimitsConfig{}
	}
	if reflect.DeepEqual(t.Compression, c.Compression) {
		t.Compression = tenants.CompressionConfig{}
	}
	if t.ClientTLS.Equal(&c.ClientTLS) {
		t.ClientTLS = tenants.ClientTLSConfig{}
	}
	if t.ClientTimeouts == c.serverTimeouts() {
		t.ClientTimeouts = tenants.ClientTimeoutsConfig{}
	}
	return t
}

// checkTraffic checks what tenants say of themselves that the server says too.
func (c *Config) checkTraffic(own func(index int) settings.Reporter, written func(field any) bool) {
	for i := range c.Tenants {
		t, r := &c.Tenants[i], own(i)
		if t.RequestLimits != c.RequestLimits {
			t.RequestLimits.Check(r, &c.RequestLimits)
		}
		if !reflect.DeepEqual(t.Compression, c.Compression) {
			t.Compression.Check(r)
		}
		if t.ClientTimeouts != c.serverTimeouts() {
			t.ClientTimeouts.Check(r)
		}
		if !t.ClientTLS.Equal(&c.ClientTLS) {
			t.ClientTLS.Check(r, written)
		}
	}
}

// loadNamed reads the files that the store and tenants name: certificates of and for
// servers and targets, and what policies have.
func (c *Config) loadNamed(d *settings.Document) {
	if c.Store.Redis != nil {
		c.Store.Redis.Load(c.inputs.read, d)
	}
	for i := range c.Tenants {
		t, own := &c.Tenants[i], d.Within(tenantsKey, i)
		t.LoadPolicies(c.inputs.read, c.inputs.directory, own)
		t.TargetTLS.Load(c.inputs.read, own)
		for _, p := range t.AllPools() {
			c.loadServices(d, own, p.Services)
		}
	}
}

// loadServices reads the files that the services of a pool name.
func (c *Config) loadServices(d *settings.Document, own settings.Reporter, services []upstream.ServiceConfig) {
	for i := range services {
		service := &services[i]
		address, err := upstream.ParseAddress(service.URL)
		if err == nil && !address.Secure() {
			if d.Has(&service.TLS) {
				own.Errorf(&service.TLS, "tls is set for the target %q, which doesn't speak it, expected a url that begins with https, h2 or grpcs", service.URL)
			}
			continue
		}
		service.TLS.Load(c.inputs.read, own)
	}
}
