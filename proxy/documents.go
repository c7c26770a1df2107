package proxy

import (
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// Sources returns the source texts whose comments document the configuration.
func Sources() settings.Sources {
	return settings.Sources{configSource, tenants.Source(), upstream.Source()}
}

// Schema returns the JSON Schema of the configuration file.
func Schema() ([]byte, error) { return settings.Schema(DefaultConfig(), Sources()) }

// Reference returns the tables of docs/configuration.md.
func Reference() (string, error) { return settings.Markdown(DefaultConfig(), Sources()) }

// Warnings says what a good configuration asks for in vain.
func (c *Config) Warnings() []string {
	var list []string
	for i := range c.Tenants {
		if c.scripted(&c.Tenants[i]) {
			list = append(list, "tenant \""+c.Tenants[i].Name+"\" has scripts, which this version can't run: its requests are answered with 503")
		}
	}
	return list
}

// scripted reports whether a tenant has scripts. One that has is never served
// without them, not even with lua_routing.enabled off: they may be what keeps
// others out.
func (c *Config) scripted(t *tenants.Config) bool {
	return len(t.LuaRoutes) > 0 || c.LuaRouting.Enabled && len(c.LuaRouting.GlobalScripts) > 0
}
