package proxy

import (
	"fmt"
	"path/filepath"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/tenants"
)

// claimsOf are the patterns that a tenant's routes have, with their places in the file.
func (c *Config) claimsOf(t *tenants.Config) (claims []lua.Claim) {
	for i := range t.Routes {
		r := &t.Routes[i]
		for j := range r.Path {
			at := c.places[&r.Path[j]]
			place := fmt.Sprintf("%s:%d:%d", filepath.Base(c.file), at.line, at.column)
			claims = append(claims, lua.Claim{Methods: r.AllMethods(), Pattern: r.Path[j], Place: place})
		}
	}
	return claims
}
