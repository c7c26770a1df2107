package upstream

import (
	"fmt"
	"time"
)

// Warnings says what the services of a tenant ask for that is allowed, and
// seldom meant.
func Warnings(tenant string, services []ServiceConfig) (list []string) {
	drained := len(services) > 0
	for i := range services {
		c := &services[i]
		drained = drained && c.Weight == 0
		address, err := ParseAddress(c.URL)
		if err == nil && address.Secure() {
			list = append(list, c.TLS.warnings(fmt.Sprintf("%q of tenant %q", c.displayName(address), tenant), time.Now())...)
		}
	}
	if drained {
		list = append(list, fmt.Sprintf("every service of tenant %q has weight 0: its requests are answered with 503", tenant))
	}
	return list
}
