package upstream

import "github.com/keystone-gateway/keystone-gateway/proxy/settings"

// Foreign knows the keys that only the earlier Keystone Gateway had.
func (c *ServiceConfig) Foreign(key string) string {
	if key == "labels" {
		return settings.Earlier("a script chooses a target by its name, request:upstream(name)")
	}
	return ""
}
