package admin

import (
	"fmt"
	"time"
)

// earlierHealth is the answer to health on the public listener where the file has
// compatibility: keystone-1: what the earlier Keystone Gateway told there, with
// the names of the tenants, and status 200 whatever their targets do.
type earlierHealth struct {
	Status  string            `json:"status"`
	Tenants map[string]string `json:"tenants"` // by name, as "1/2 healthy"
	Uptime  string            `json:"uptime"`
	Version string            `json:"version"`
}

func (a *API) earlierHealth() earlierHealth {
	h := earlierHealth{
		Status: healthy, Tenants: map[string]string{}, Version: a.version,
		Uptime: time.Since(a.started).Round(time.Millisecond).String(),
	}
	if a.server.Draining() {
		h.Status = draining
	}
	for t := range a.server.Tenants() {
		up, all := 0, 0
		for _, p := range t.Pools {
			up, all = up+p.Healthy(), all+len(p.Targets())
		}
		h.Tenants[t.Name] = fmt.Sprintf("%d/%d healthy", up, all)
	}
	return h
}
