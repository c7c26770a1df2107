package proxy

import (
	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/acme"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/certificates"
	"github.com/keystone-gateway/keystone-gateway/proxy/logs"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// Sources returns the source texts whose comments document the configuration.
func Sources() settings.Sources {
	return append(append(tenants.Sources(), upstream.ResilienceSources()...), configSource, logs.Source(), listener.Source(), certificates.ConfigSource(), acme.ConfigSource(), redis.Source(), upstream.Source(), lua.Source())
}

// Schema returns the JSON Schema of the configuration file.
func Schema() ([]byte, error) { return settings.Schema(DefaultConfig(), Sources()) }

// Reference returns the tables of docs/configuration.md.
func Reference() (string, error) { return settings.Markdown(DefaultConfig(), Sources()) }
