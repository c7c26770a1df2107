package upstream

import "fmt"

// Warnings says what the services of a tenant ask for that is allowed, and
// seldom meant.
func Warnings(tenant string, services []ServiceConfig) []string {
	drained := len(services) > 0
	for i := range services {
		drained = drained && services[i].Weight == 0
	}
	if !drained {
		return nil
	}
	return []string{fmt.Sprintf("every service of tenant %q has weight 0: its requests are answered with 503", tenant)}
}
