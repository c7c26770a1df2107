package tenants

import "github.com/keystone-gateway/keystone-gateway/proxy/settings"

// Foreign knows the keys that only the earlier Keystone Gateway had.
func (c *Config) Foreign(key string) string {
	switch key {
	case "host":
		return settings.Earlier("domains is the list of hosts")
	case "lua_script":
		return settings.Earlier("lua_routes names scripts, which declare middleware and routes")
	case "routes", "route_groups":
		return settings.Earlier("scripts declare routes, chi.get(pattern, handler) and chi.group(function), and lua_routes names them")
	case "error_handlers":
		return settings.Earlier("scripts declare them, chi_not_found(handler) and chi_method_not_allowed(handler)")
	}
	return ""
}
