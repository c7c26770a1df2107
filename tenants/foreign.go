package tenants

// Foreign says what takes the place of keys that only the earlier Keystone Gateway
// had.
func (c *Config) Foreign(key string) string {
	switch key {
	case "host":
		return "domains is the list of hosts"
	case "lua_script":
		return "lua_routes names scripts, which declare middleware and routes"
	case "route_groups":
		return "scripts declare routes, chi.get(pattern, handler) and chi.group(function), and lua_routes names them"
	case "error_handlers":
		return "scripts declare them, chi_not_found(handler) and chi_method_not_allowed(handler)"
	}
	return ""
}

// Foreign says the same of keys of a route.
func (*Route) Foreign(key string) string {
	switch key {
	case "pattern":
		return "path is the pattern"
	case "method":
		return "methods is a list of them, or one"
	case "handler", "middleware":
		return "scripts declare routes, chi.get(pattern, handler) and chi.group(function), and lua_routes names them; routes here redirect, respond, or pass on to services"
	}
	return ""
}
