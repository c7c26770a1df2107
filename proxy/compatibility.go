package proxy

import (
	"path/filepath"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// Keystone1 is the value of compatibility that stands for the earlier Keystone
// Gateway, up to its versions of November 2025.
const Keystone1 = "keystone-1"

// beCompatible gives what the file leaves open the defaults that it had when it
// was written. It takes nothing away that a file says.
func (c *Config) beCompatible(dir string, written func(field any) bool) {
	if c.Compatibility != Keystone1 {
		return
	}
	defaults := DefaultConfig()
	if !written(&c.Server.Address) && c.Server.Port == "" {
		c.Server.Address = ":8080"
	}
	if !written(&c.Compression) {
		c.Compression.Enabled = true
	}
	if c.Compression.Level == 0 {
		c.Compression.Level = defaults.Compression.Level
	}
	if len(c.Compression.ContentTypes) == 0 {
		c.Compression.ContentTypes = defaults.Compression.ContentTypes
	}
	if !written(&c.Admin.OnPublic) {
		c.Admin.OnPublic = true
	}
	c.TLS.CertFile, c.TLS.KeyFile = besideOrBelow(dir, c.TLS.CertFile), besideOrBelow(dir, c.TLS.KeyFile)
	for i := range c.Tenants {
		t := &c.Tenants[i]
		if t.HealthInterval == 0 && t.Health.Interval == 0 {
			t.HealthInterval = c.DefaultHealthInterval
		}
		if !written(&t.StripSlashes) {
			t.StripSlashes = true
		}
	}
}

// besideOrBelow is a file below the working directory where there is none beside
// the configuration.
func besideOrBelow(dir, file string) string {
	if file == "" || exists(inDir(dir, file)) || !exists(file) {
		return file
	}
	if absolute, err := filepath.Abs(file); err == nil {
		return absolute
	}
	return file
}

// checkCompatibility reports keys that only the earlier Keystone Gateway had.
func (c *Config) checkCompatibility(r settings.Reporter, written func(field any) bool) {
	field := &c.DefaultHealthInterval
	if !written(field) {
		return
	}
	if c.Compatibility == "" {
		r.Errorf(field, "default_health_interval is a key of the earlier Keystone Gateway, expected compatibility: %s with it; %s makes a file of this one", Keystone1, settings.Migrate)
		return
	}
	probes := tenants.Config{Health: upstream.DefaultHealth(), HealthInterval: *field}
	health := probes.Probes()
	health.Check(at{r, field})
}

// at reports every error at one field.
type at struct {
	settings.Reporter
	field any
}

func (a at) Errorf(_ any, format string, args ...any) { a.Reporter.Errorf(a.field, format, args...) }

// Foreign says what takes the place of keys that only the earlier Keystone Gateway
// had.
func (c *Config) Foreign(key string) string {
	return map[string]string{
		"gateway":    "server.port or server.address is where the gateway listens, tenants[].health.timeout how long a probe may take",
		"headers":    "no field chooses a tenant, its domains and path_prefix do",
		"lua_engine": "scripts run in the gateway, lua_routing.scripts_dir is where they are and tenants[].lua_routes which",
		"middleware": "requests have ids and a panic ends none but its own; access_log is the log, server.trusted_proxies whose X-Forwarded-For is believed, tenants[].timeouts.total how long a request may take, server.max_connections how many clients there may be",
		"metrics":    "they are at /metrics of the admin listener, admin.address",
	}[key]
}

// Foreign says what takes the place of keys that only the earlier Keystone Gateway
// had.
func (c *LuaRoutingConfig) Foreign(key string) string {
	return map[string]string{
		"timeout":         "tenants[].lua.timeout bounds a script's request, lua.load_timeout its loading",
		"state_pool_size": "there are as many VMs of a tenant as it needs, one for each processor at most",
		"module_paths":    "scripts can require what docs/lua.md lists and files in scripts_dir/TENANT",
		"module_cpaths":   "scripts can require what docs/lua.md lists and files in scripts_dir/TENANT, nothing written in C",
	}[key]
}
