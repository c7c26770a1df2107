package ratelimit

import (
	"fmt"

	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

var _ policy.Distinct = (*Config)(nil)

// Clash is policy.Distinct's: what has the same name, rate, burst and by is one limit in
// the store, wherever it stands, which a request that passes both would use up twice.
func (c *Config) Clash(earlier policy.Section) (field any, wrong string) {
	e, ok := earlier.(*Config)
	if !ok || c.Name == "" || c.Store == policy.InProcess || e.Store == policy.InProcess || c.sharedName("") != e.sharedName("") {
		return nil, ""
	}
	return &c.Name, fmt.Sprintf("name %q, with this rate, burst and by, would be counted twice for each request, expected one of both, or other names: it is the limit", c.Name)
}
