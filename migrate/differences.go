package migrate

import (
	"path/filepath"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/tenants"
)

// noteDifferences says what is different now, as far as it concerns the file.
func (m *migration) noteDifferences(config *proxy.Config) {
	if config == nil { // as far as the old one can be read
		config = &m.config
		config.Server.Address = ":8080"
	}
	m.noteListeners(config)
	m.noteTenants(config)
	m.noteScripts(config)
	if !m.document.Has(&m.config.RequestLimits.MaxHeaderSize) {
		m.note("requests may have 32KiB of header instead of 1MiB: request_limits.max_header_size")
	}
	m.note("X-Forwarded-For, X-Real-IP and their like are believed only from the proxies that server.trusted_proxies names: list those in front of the gateway")
	m.note("mistakes that were passed over are errors: keystone-gateway check -config NEW says which")
}

func (m *migration) noteListeners(config *proxy.Config) {
	if m.document.Has(&m.config.Server.Port) {
		m.note("server.port is where it listens; the flag -addr, which came first, is gone")
	} else {
		m.note("it listens on %s as before; in place of the flag -addr there is server.address", config.Server.Address)
	}
	base := config.AdminBasePath
	m.note("%s/health is on the public port as before; %s/tenants, which showed all settings there, is now on a listener of its own, %s (admin.address), with metrics and more", base, base, config.Admin.Address)
	if config.TLS.Enabled {
		m.note("tls is in force, which it was not from September 2025 on")
	}
}

// noteTenants is about what targets get.
func (m *migration) noteTenants(config *proxy.Config) {
	prefixed := names(config, func(t *tenants.Config) bool {
		return t.PathPrefix != "" && strings.Trim(t.PathPrefix, "/") != "" && len(t.Services) > 0
	})
	if len(prefixed) > 0 {
		m.note("targets of %s get the path with its path_prefix, as from September 2025 on; before, it was cut off, which strip_prefix: true of the tenant does", prefixed)
	}
	served := names(config, func(t *tenants.Config) bool { return len(t.Services) > 0 })
	if len(served) > 0 {
		m.note("targets of %s get the client's Host, as from September 2025 on; before, it was their own, which preserve_host: false of the tenant does", served)
		m.note("each target's health path is asked for as the file says; from September 2025 on it was /health everywhere")
	}
	open := names(config, func(t *tenants.Config) bool {
		return t.PathPrefix != "" && !strings.HasSuffix(t.PathPrefix, "/")
	})
	if len(open) > 0 {
		m.note("path_prefix of %s matches whole segments: /api has /api and /api/x, not /apix", open)
	}
}

func (m *migration) noteScripts(config *proxy.Config) {
	scripted := names(config, func(t *tenants.Config) bool { return len(t.LuaRoutes) > 0 })
	if len(scripted) == 0 {
		return
	}
	dir := config.LuaRouting.ScriptsDir
	switch beside := filepath.Join(filepath.Dir(m.file), dir); {
	case filepath.IsAbs(dir):
	case exists(beside):
		m.note("scripts_dir %q is found beside OLD: put NEW there too", dir)
	case exists(dir):
		m.note("scripts_dir %q is looked for beside NEW and, as it isn't there, below the working directory: start the gateway in this one", dir)
	}
	m.note("%s: the scripts are the tenant's own, run for every request and are refused (503) where one is missing or broken; before, requests then passed without them", scripted)
	m.note("scripts have no io, os.execute or os.getenv, and limits; docs/lua.md and docs/migration.md say what is there instead. Middleware that returns a function, and handlers that return a table, are of other versions and do nothing here: check warns of them")
}

// names lists the tenants of which something holds.
func names(config *proxy.Config, holds func(*tenants.Config) bool) string {
	const most = 5
	var list []string
	for i := range config.Tenants {
		if t := &config.Tenants[i]; holds(t) {
			list = append(list, t.Name)
		}
	}
	switch n := len(list); {
	case n == 0:
		return ""
	case n == 1:
		return "tenant " + list[0]
	case n > most:
		list = append(list[:most], "…")
	}
	return "tenants " + strings.Join(list, ", ")
}
