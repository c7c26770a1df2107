package upstream

// Foreign says what takes the place of keys that only the earlier Keystone Gateway
// had.
func (c *ServiceConfig) Foreign(key string) string {
	if key == "labels" {
		return "a script chooses a target by its name, request:upstream(name)"
	}
	return ""
}
