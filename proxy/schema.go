package proxy

import (
	"slices"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/certificates"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// Sources returns the source texts whose comments document the configuration.
func Sources() settings.Sources {
	return append(tenants.Sources(), configSource, listener.Source(), certificates.ConfigSource(), upstream.Source(), lua.Source())
}

// Schema returns the JSON Schema of the configuration file.
func Schema() ([]byte, error) { return settings.Schema(DefaultConfig(), Sources()) }

// Reference returns the tables of docs/configuration.md.
func Reference() (string, error) { return settings.Markdown(DefaultConfig(), Sources()) }

// Warnings says what a good configuration asks for in vain.
func (c *Config) Warnings() []string {
	list := slices.Clone(c.doubts)
	for i := range c.Tenants {
		if !c.LuaRouting.Enabled && len(c.Tenants[i].LuaRoutes) > 0 {
			list = append(list, "tenant \""+c.Tenants[i].Name+"\" has scripts, but lua_routing.enabled is false: its requests are answered with 503")
		}
		list = append(list, upstream.Warnings(c.Tenants[i].Name, c.Tenants[i].Services)...)
	}
	for i := range list {
		list[i] = c.redactor.Redact(list[i])
	}
	return list
}
